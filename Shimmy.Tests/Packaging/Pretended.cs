using Shimmy.Packaging;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>Published folders with a script in the place of the program.</summary>
internal static class Pretended
{
    private const string Program = "#!/bin/sh\necho \"pretended $*\"\n";

    /// <summary>Makes a folder as publish.sh does, with its bill of materials; gives its path.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="scratch">
    /// Gets what publishing has beside it: the assets of the restore, its packages, and the manifest of the runtimes.
    /// </param>
    /// <param name="platform">The platform.</param>
    /// <param name="backend">Its plug-ins, with hyphens between them.</param>
    /// <param name="program">The program.</param>
    public static string Published(
        string folder, TemporaryFolder scratch, Platform platform, string backend = "", string program = Program)
    {
        foreach (var (path, text) in new[]
        {
            (platform.Executable, program), ("LICENSE", "a licence"), ("runtimes/llama.cpp-v1/libllama.so", "library"),
            ("runtimes/llamasharp/libllama.so", "library"), ("share/man/man1/shimmy.1", ".TH"),
            ("share/bash-completion/completions/shimmy", "complete"), ("share/zsh/site-functions/_shimmy", "#compdef shimmy"),
            ("share/fish/vendor_completions.d/shimmy.fish", "complete"), ("models/shimmy-demo.gguf", "GGUF"),
        })
        {
            Packed.Write(Path.Combine(folder, path), System.Text.Encoding.UTF8.GetBytes(text));
        }
        if (platform.NodeSystem == "linux" && !platform.Musl)
        {
            File.WriteAllText(Path.Combine(folder, "runtimes/llamasharp/libgomp.so.1"), "library");
            File.WriteAllText(Path.Combine(folder, "runtimes/llamasharp/LICENSE.libgomp"),
                "libgomp.so.1 is a library.\nIt is unchanged from this compiler: gcc (Debian 12.2.0-14) 12.2.0\nIts source is that of GCC.\n");
        }
        var packages = scratch["packages"];
        Directory.CreateDirectory(Path.Combine(packages, "example/1.0.0"));
        File.WriteAllText(Path.Combine(packages, "example/1.0.0/example.nuspec"), """<license type="expression">MIT</license>""");
        var (assets, manifest) = (scratch["assets.json"], scratch["manifest.json"]);
        File.WriteAllText(assets, $$$"""
            { "packageFolders": { "{{{packages.Replace('\\', '/')}}}": {} }, "project": { "frameworks": { "net10.0": { "downloadDependencies": [
                { "name": "Microsoft.NETCore.App.Runtime.NativeAOT.{{{platform.Rid}}}", "version": "[10.0.1, 10.0.1]" } ] } } },
              "targets": { "net10.0": { "Elsewhere/1.0.0": { "runtime": { "a.dll": {} } } }, "net10.0/{{{platform.Rid}}}": {
                  "OfPlatform/1.0.0": { "native": { "a.so": {} } }, "Example/1.0.0": { "runtime": { "a.dll": {} } }, "Generator/1.0.0": {},
                  "ConsoleAppFramework/5.0.0": {} } } }
            """);
        File.WriteAllText(manifest, $$"""
            { "llamaCpp": "v1", "version": "3.0.0", "packages": [
                { "rid": "{{platform.Rid}}", "backend": "cpu", "package": "@example/{{platform.Rid}}" },
                { "rid": "{{platform.Rid}}", "backend": "metal", "package": "@example/{{platform.Rid}}" },
                { "rid": "{{platform.Rid}}", "backend": "cuda", "package": "@example/{{platform.Rid}}-cuda" },
                { "rid": "{{platform.Rid}}", "backend": "cuda12", "package": "@example/{{platform.Rid}}-cuda12" } ] }
            """);
        SoftwareBill.Write(folder, assets, manifest, "1.2.3", platform, backend);
        return folder;
    }
}
