using Shimmy.Engine;

namespace Shimmy.Worker.Native;

/// <summary>The backend and the devices that a model is loaded on.</summary>
/// <param name="Backend">The backend, never <see cref="GpuBackend.Auto"/>.</param>
/// <param name="Handles">ggml's handles of its devices; none for the CPU.</param>
internal sealed record DeviceChoice(GpuBackend Backend, IReadOnlyList<nint> Handles)
{
    private static readonly DeviceChoice OfCpu = new(GpuBackend.Cpu, []);

    /// <summary>The devices, with their free memory of now.</summary>
    public IReadOnlyList<DeviceFacts> Facts => [.. Handles.Select(Devices.FactsOf)];

    /// <summary>
    /// Chooses as asked. Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>) saying why a backend that was named
    /// cannot be had, or which devices there are where one that was named is not.
    /// </summary>
    public static DeviceChoice For(LoadTuning tuning)
    {
        var wanted = tuning.Backend ?? GpuBackend.Auto;
        if (wanted == GpuBackend.Cpu)
        {
            return tuning.Devices.Count > 0
                ? throw Failure($"device {tuning.Devices[0]} is asked for, but the backend cpu has no devices to choose")
                : tuning.GpuLayers is { Number: > 0 and var layers }
                    ? throw Failure($"{layers} layers are to go to a GPU, but the backend cpu uses none")
                : OfCpu;
        }
        var seen = new List<nint>();
        foreach (var backend in wanted == GpuBackend.Auto ? RuntimeDirectory.GpuBackends : [wanted])
        {
            var plugin = Backends.Load(backend);
            var gpus = Backends.GpusOf(plugin);
            seen.AddRange(gpus);
            if (gpus.Count > 0 && Named(tuning.Devices, gpus) is { } devices)
                return new DeviceChoice(backend, devices);
            if (wanted != GpuBackend.Auto && gpus.Count == 0)
                throw Failure($"the backend {RuntimeDirectory.PluginName(wanted)} cannot be used: {plugin.Reason ?? NoDevice}");
        }
        return tuning.Devices.Count == 0 ? OfCpu : throw Failure(Unknown(tuning.Devices, seen));
    }

    /// <summary>Reason for a backend that loaded and has no device.</summary>
    public const string NoDevice = "it loaded, but its driver shows no GPU";

    // The named devices in their order; null where this backend lacks one of them.
    private static IReadOnlyList<nint>? Named(IReadOnlyList<string> names, IReadOnlyList<nint> gpus)
    {
        if (names.Count == 0)
            return gpus;
        var found = names.Select(name => gpus.FirstOrDefault(gpu => NameOf(gpu).Equals(name, StringComparison.OrdinalIgnoreCase))).ToList();
        return found.Contains(0) ? null : found;
    }

    private static string Unknown(IReadOnlyList<string> names, List<nint> seen)
    {
        var missing = names.FirstOrDefault(name => !seen.Exists(gpu => NameOf(gpu).Equals(name, StringComparison.OrdinalIgnoreCase)));
        if (missing is null)
            return $"the devices {string.Join(", ", names)} belong to several backends; a model runs on those of one";
        return $"unknown device '{missing}'; there {(seen.Count == 0 ? "is no GPU that a backend can use" : "are " + string.Join(", ", seen.Select(NameOf)))}"
            + " (shimmy gpu-info says why)";
    }

    private static string NameOf(nint device) => Devices.FactsOf(device).Name;

    private static EngineException Failure(string message) => new(EngineFailure.LoadFailed, message);
}
