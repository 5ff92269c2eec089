using System.Runtime.InteropServices;
using Shimmy.Engine;

namespace Shimmy.Worker.Native;

/// <summary>The devices of the loaded backends, and the report of all backends.</summary>
internal static unsafe class Devices
{
    private static readonly string[] Kinds = ["cpu", "gpu", "igpu", "accel", "meta"];

    /// <summary>Every device of every loaded backend, in ggml's order.</summary>
    public static IReadOnlyList<DeviceFacts> List()
    {
        var devices = new List<DeviceFacts>();
        for (nuint i = 0; i < GgmlApi.ggml_backend_dev_count(); i++)
            devices.Add(FactsOf(GgmlApi.ggml_backend_dev_get(i)));
        return devices;
    }

    /// <summary>The facts of a device, with its free memory of now.</summary>
    public static DeviceFacts FactsOf(nint device)
    {
        GgmlDeviceProps props;
        GgmlApi.ggml_backend_dev_get_props(device, &props);
        return new DeviceFacts
        {
            Name = Text(props.Name),
            Description = Text(props.Description).Trim(),
            Kind = (uint)props.Type < (uint)Kinds.Length ? Kinds[props.Type] : "unknown",
            // Several devices that compute as one (split-mode tensor) have no backend of their own.
            Backend = GgmlApi.ggml_backend_dev_backend_reg(device) is not 0 and var registration
                ? Text(GgmlApi.ggml_backend_reg_name(registration))
                : "",
            MemoryFreeBytes = (long)props.MemoryFree,
            MemoryTotalBytes = (long)props.MemoryTotal,
        };
    }

    /// <summary>Loads every plug-in and reports the result of each, and the backend that auto would choose.</summary>
    /// <param name="crashing">Names of backends that must not be loaded, each with the exit of a process that loaded its plug-in.</param>
    public static BackendReport Report(IReadOnlyDictionary<string, string> crashing)
    {
        var backends =
            new List<BackendFacts> { new() { Name = "cpu", Loaded = true, Devices = Named(List()), Version = RuntimeLibraries.Version } };
        var auto = GpuBackend.Cpu;
        foreach (var backend in RuntimeDirectory.GpuBackends)
        {
            if (crashing.TryGetValue(RuntimeDirectory.PluginName(backend), out var end))
            {
                backends.Add(
                    new BackendFacts
                    {
                        Name = RuntimeDirectory.PluginName(backend),
                        Crashed = true,
                        Reason = $"its plug-in ends the process that loads it: {end}"
                    });
                continue;
            }
            var plugin = Backends.Load(backend);
            var gpus = Backends.GpusOf(plugin);
            if (gpus.Count > 0 && auto == GpuBackend.Cpu)
                auto = backend;
            backends.Add(new BackendFacts
            {
                Name = RuntimeDirectory.PluginName(backend),
                Loaded = plugin.State == PluginState.Loaded,
                Version = plugin.Version,
                Reason = plugin.Reason ?? (gpus.Count == 0 ? DeviceChoice.NoDevice : null),
                Devices = Named(gpus.Select(FactsOf)),
            });
        }
        return new BackendReport
        {
            LibraryVersion = RuntimeLibraries.Version,
            RuntimeDirectory = RuntimeLibraries.Directory,
            Backends = backends,
            Devices = List(),
            Auto = RuntimeDirectory.PluginName(auto),
        };

        static IReadOnlyList<string> Named(IEnumerable<DeviceFacts> devices) => [.. devices.Select(device => device.Name)];
    }

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";
}
