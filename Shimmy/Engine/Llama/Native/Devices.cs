using System.Runtime.InteropServices;

namespace Shimmy.Engine.Llama.Native;

/// <summary>What the loaded backends offer.</summary>
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

    /// <summary>What a device says of itself now.</summary>
    public static DeviceFacts FactsOf(nint device)
    {
        GgmlDeviceProps props;
        GgmlApi.ggml_backend_dev_get_props(device, &props);
        return new DeviceFacts
        {
            Name = Text(props.Name),
            Description = Text(props.Description).Trim(),
            Kind = (uint)props.Type < (uint)Kinds.Length ? Kinds[props.Type] : "unknown",
            Backend = Text(GgmlApi.ggml_backend_reg_name(GgmlApi.ggml_backend_dev_backend_reg(device))),
            MemoryFreeBytes = (long)props.MemoryFree,
            MemoryTotalBytes = (long)props.MemoryTotal,
        };
    }

    /// <summary>Loads every plug-in there is and tells what became of each, and what auto would choose.</summary>
    public static BackendReport Report()
    {
        var backends = new List<BackendFacts> { new() { Name = "cpu", Loaded = true, Devices = Named(List()) } };
        foreach (var backend in Backends.Order)
        {
            var plugin = Backends.Load(backend);
            var gpus = Backends.GpusOf(plugin);
            backends.Add(new BackendFacts
            {
                Name = Backends.FileWord(backend),
                Loaded = plugin.State == PluginState.Loaded,
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
            Auto = Backends.FileWord(DeviceChoice.For(LoadTuning.None).Backend),
        };

        static IReadOnlyList<string> Named(IEnumerable<DeviceFacts> devices) => [.. devices.Select(device => device.Name)];
    }

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";
}
