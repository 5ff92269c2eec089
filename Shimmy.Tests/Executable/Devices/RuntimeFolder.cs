using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Executable.Devices;

/// <summary>
/// A folder for SHIMMY_RUNTIME_DIR: the libraries that take plug-ins, and plug-ins as a test wants them. They are brought on request alone
/// (runtimes/natives.targets, target BringNatives); without them the test is skipped.
/// </summary>
internal static class RuntimeFolder
{
    private static string Rid => RuntimeDirectory.PortableRid;

    private static string Libraries => Path.Combine(Repository.Root, "runtimes", Rid, "native");

    /// <summary>Where the plug-in of a backend is, if it was brought (runtimes/natives.targets, NativeBackends=…).</summary>
    public static string Plugin(string backend) => Path.Combine(Repository.Root, "runtimes", Rid, backend, $"libggml-{backend}.so");

    /// <summary>
    /// Links all libraries but GPU plug-ins into a folder of their own; gives the variables that make the program use it.
    /// </summary>
    public static Dictionary<string, string> Create(TemporaryFolder folder)
    {
        if (!Directory.Exists(Libraries))
            Assert.Inconclusive($"{Libraries} is missing: dotnet msbuild runtimes/natives.targets -t:BringNatives");
        var target = Directory.CreateDirectory(folder["runtime"]).FullName;
        foreach (var file in Directory.GetFiles(Libraries, "*.so"))
        {
            if (!file.Contains("vulkan", StringComparison.Ordinal) && !file.Contains("cuda", StringComparison.Ordinal))
                File.CreateSymbolicLink(Path.Combine(target, Path.GetFileName(file)), file);
        }

        return new Dictionary<string, string> { ["SHIMMY_RUNTIME_DIR"] = target };
    }

    /// <summary>Adds the plug-in of a backend, and makes Vulkan's take Mesa's software device, which it would leave aside.</summary>
    public static Dictionary<string, string> WithPlugin(TemporaryFolder folder, string backend)
    {
        var environment = Create(folder);
        File.CreateSymbolicLink(Path.Combine(environment["SHIMMY_RUNTIME_DIR"], Path.GetFileName(Plugin(backend))), Plugin(backend));
        environment["GGML_VK_VISIBLE_DEVICES"] = "0";
        return environment;
    }

    /// <summary>Compiles a plug-in from C into the folder.</summary>
    public static void Compile(IReadOnlyDictionary<string, string> environment, string name, string source)
    {
        var code = Path.Combine(environment["SHIMMY_RUNTIME_DIR"], name + ".c");
        File.WriteAllText(code, source);
        using var compiler = Process.Start("cc", ["-shared", "-fPIC", "-o", Path.ChangeExtension(code, ".so"), code]);
        compiler.WaitForExit();
        Assert.AreEqual(0, compiler.ExitCode, "cc");
    }
}
