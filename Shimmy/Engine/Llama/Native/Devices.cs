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
        {
            var device = GgmlApi.ggml_backend_dev_get(i);
            GgmlDeviceProps props;
            GgmlApi.ggml_backend_dev_get_props(device, &props);
            devices.Add(new DeviceFacts
            {
                Name = Text(props.Name),
                Description = Text(props.Description).Trim(),
                Kind = (uint)props.Type < (uint)Kinds.Length ? Kinds[props.Type] : "unknown",
                Backend = Text(GgmlApi.ggml_backend_reg_name(GgmlApi.ggml_backend_dev_backend_reg(device))),
                MemoryFreeBytes = (long)props.MemoryFree,
                MemoryTotalBytes = (long)props.MemoryTotal,
            });
        }
        return devices;
    }

    /// <summary>The plug-ins that lie beside the libraries, and which of them registered.</summary>
    public static BackendReport Report()
    {
        var loaded = new List<string>();
        for (nuint i = 0; i < GgmlApi.ggml_backend_reg_count(); i++)
            loaded.Add(Text(GgmlApi.ggml_backend_reg_name(GgmlApi.ggml_backend_reg_get(i))));
        var backends = loaded.Select(name => new BackendFacts { Name = name, Loaded = true }).ToList();
        foreach (var name in PluginNames().Where(name => !loaded.Contains(name, StringComparer.OrdinalIgnoreCase)))
            backends.Add(new BackendFacts { Name = name, Reason = $"the plug-in lies in {RuntimeLibraries.Directory} but did not load: "
                + "its driver or one of the libraries it needs is missing" });
        return new BackendReport
        {
            LibraryVersion = RuntimeLibraries.Version,
            RuntimeDirectory = RuntimeLibraries.Directory,
            Backends = backends,
            Devices = List(),
        };
    }

    // libggml-vulkan.so → vulkan; the CPU variants (libggml-cpu-haswell.so) are one backend, libggml-base is none.
    private static IEnumerable<string> PluginNames() =>
        Directory.EnumerateFiles(RuntimeLibraries.Directory, "*ggml-*")
            .Select(file => Path.GetFileNameWithoutExtension(file))
            .Select(file => file[(file.IndexOf("ggml-", StringComparison.Ordinal) + 5)..])
            .Where(name => name != "base")
            .Select(name => name.StartsWith("cpu", StringComparison.Ordinal) ? "CPU" : name.Split('.')[0])
            .Distinct(StringComparer.OrdinalIgnoreCase);

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";
}
