using System.Runtime.Intrinsics.X86;

namespace Shimmy.Engine.Runtimes;

/// <summary>
/// The variants of LLamaSharp's libraries, each in a folder of its own, and which of them this processor can run. A wrong one ends the
/// process at its first instruction, so the choice is made before anything is loaded.
/// </summary>
internal static class CpuVariant
{
    // What the machine code of the package uses, read off a disassembly of 0.30.0, in Linux' words: its "avx" has FMA, F16C and BMI2, which
    // came with AVX2 only, or nearly so. rosetta2 is what Apple's translator runs, which may have no AVX. Best first.
    private static readonly (string Folder, string[] Needs)[] Known =
    [
        ("avx512", ["avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"]),
        ("avx2", ["avx2", "fma", "f16c", "bmi2"]),
        ("avx", ["avx", "fma", "f16c", "bmi2"]),
        ("noavx", []),
    ];

    private const string Translated = "rosetta2";

    /// <summary>The folder of the best variant in a runtime's folder; null where it has none, and its libraries lie there themselves.</summary>
    public static string? FolderIn(string directory) => Best(Features, name => Directory.Exists(Path.Combine(directory, name)))
        is { } name ? Path.Combine(directory, name) : null;

    /// <summary>The name of the best variant.</summary>
    /// <param name="features">What the processor has and the system lets be used, in Linux' words.</param>
    /// <param name="isThere">Whether the runtime has a variant.</param>
    internal static string? Best(IReadOnlySet<string> features, Func<string, bool> isThere)
    {
        foreach (var (name, needs) in Known)
        {
            if (isThere(name) && Array.TrueForAll(needs, features.Contains))
                return name;
        }
        return !features.Contains("avx2") && isThere(Translated) ? Translated : null;
    }

    private static HashSet<string> Features { get; } = Read();

    // Avx2.IsSupported and its like are no use: compiled ahead of time they say what the compiler was allowed to assume, which is nothing.
    private static HashSet<string> Read()
    {
        const string flags = "flags";
        if (!X86Base.IsSupported)
            return [];
        if (OperatingSystem.IsLinux())
        {
            try
            {
                // Without what the system does not enable.
                if (File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith(flags, StringComparison.Ordinal)) is { } line)
                    return [.. line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Split(' ')];
            }
            catch (IOException)
            {
                return [];
            }
        }

        var (_, _, first, _) = X86Base.CpuId(1, 0);
        var (_, seventh, _, _) = X86Base.CpuId(7, 0);
        // The other systems that .NET runs on enable the registers of what the processor has, and say by this bit that they do.
        const int osSavesRegisters = 27;
        if ((first & (1 << osSavesRegisters)) == 0)
            return [];
        (string Word, int Register, int Bit)[] bits =
        [
            ("fma", first, 12), ("avx", first, 28), ("f16c", first, 29), ("avx2", seventh, 5), ("bmi2", seventh, 8),
            ("avx512f", seventh, 16), ("avx512dq", seventh, 17), ("avx512cd", seventh, 28), ("avx512bw", seventh, 30),
            ("avx512vl", seventh, 31),
        ];
        return [.. bits.Where(one => (one.Register & (1 << one.Bit)) != 0).Select(one => one.Word)];
    }
}
