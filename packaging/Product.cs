using System.Text;

namespace Shimmy.Packaging;

/// <summary>What every package says of Shimmy, in one table.</summary>
internal static class Product
{
    /// <summary>Name of the product, its executable and its packages.</summary>
    public const string Name = "shimmy";

    /// <summary>One line: at most 80 characters, without an article before it and a full stop behind (Homebrew, Debian).</summary>
    public const string Summary = "Local LLM server with the APIs of OpenAI, Anthropic, Ollama and llama-server";

    /// <summary>A paragraph.</summary>
    public const string Description = "Finds the GGUF and SafeTensors models on the machine, loads them on demand with llama.cpp "
        + "on CPU, CUDA, Vulkan or Metal, and answers on the APIs that tools already speak.";

    /// <summary>SPDX identifier of the product's own licence; the archive has those of its parts.</summary>
    public const string Licence = "MIT";

    /// <summary>Who is named as packager where a format wants somebody.</summary>
    public const string Maintainer = "The Shimmy authors <noreply@localhost>";

    /// <summary>The platforms that archives exist for.</summary>
    public static IReadOnlyList<Platform> Platforms { get; } =
    [
        new("linux-x64", "linux", "x64", Debian: "amd64", Rpm: "x86_64", Nix: "x86_64-linux"),
        new("linux-arm64", "linux", "arm64", Debian: "arm64", Rpm: "aarch64", Nix: "aarch64-linux"),
        new("linux-musl-x64", "linux", "x64", Musl: true),
        new("osx-arm64", "darwin", "arm64", Nix: "aarch64-darwin"),
        new("osx-x64", "darwin", "x64", Nix: "x86_64-darwin"),
        new("win-x64", "win32", "x64"),
        new("win-arm64", "win32", "arm64"),
    ];

    /// <summary>A text file of this tool with its <c>{{words}}</c> replaced; one without a value is an error.</summary>
    public static string Text(string file, params (string Word, string Value)[] values)
    {
        using var stream = typeof(Product).Assembly.GetManifestResourceStream(file)
            ?? throw new ArgumentException($"there is no file {file}", nameof(file));
        using var reader = new StreamReader(stream, Encoding.UTF8);
        var text = reader.ReadToEnd();
        foreach (var (word, value) in values)
            text = text.Replace("{{" + word + "}}", value, StringComparison.Ordinal);
        return text.Contains("{{", StringComparison.Ordinal) ? throw new InvalidOperationException($"{file} has a word without a value") : text;
    }
}

/// <summary>A platform, and what package managers call it.</summary>
/// <param name="Rid">.NET's name.</param>
/// <param name="NodeSystem">Node's <c>process.platform</c>.</param>
/// <param name="NodeProcessor">Node's <c>process.arch</c>.</param>
/// <param name="Debian">Architecture of Debian packages; null where there are none.</param>
/// <param name="Rpm">Architecture of RPM packages; null where there are none.</param>
/// <param name="Nix">System of Nix; null where the flake leaves it out.</param>
/// <param name="Musl">Whether its C library is musl.</param>
internal sealed record Platform(string Rid, string NodeSystem, string NodeProcessor,
    string? Debian = null, string? Rpm = null, string? Nix = null, bool Musl = false)
{
    /// <summary>Whether it is a Windows.</summary>
    public bool IsWindows => NodeSystem == "win32";

    /// <summary>The executable's file name.</summary>
    public string Executable => Product.Name + (IsWindows ? ".exe" : "");

    /// <summary>The ending of its archives.</summary>
    public string Ending => IsWindows ? ".zip" : ".tar.gz";
}
