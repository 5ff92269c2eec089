using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Shimmy.SafeTensors;
using Shimmy.SafeTensors.Files;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Hugging Face folders with one damaged file each, read as a scan and a load read them: they are refused in words or read, with no fault
/// of ours, no hang, and no more memory than their files are long and 64 MB.
/// </summary>
internal static class FolderRun
{
    private const int FullRun = 100_000;
    private const long Room = 64 << 20;
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(10);

    private static readonly string[] Numbers =
    [
        "0", "-1", "1", "3", "2147483647", "2147483648", "4294967296", "9223372036854775807",
            "18446744073709551615", "1e308", "1e-308", "0.5",
        "null", "true", "[]", "{}", "\"\"", "\"\\ud800\"", "[[[[[[[[[[]]]]]]]]]]",
    ];

    /// <summary>Runs it.</summary>
    public static void Run(SoakOptions options, Verdict verdict)
    {
        using var folder = new TemporaryFolder();
        var folders = Folders(folder);
        var total = options.Requests ?? FullRun;
        var complaints = new List<string>();
        var (refused, most, slowest) = (0, 0L, TimeSpan.Zero);
        for (var i = 0; i < total; i++)
        {
            var random = new Random(unchecked((options.Seed * 1_000_003) + i));
            var path = folders[random.Next(folders.Count)];
            var files = Directory.GetFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray();
            var file = files[random.Next(files.Length)];
            var whole = File.ReadAllBytes(file);
            File.WriteAllBytes(file, Damaged(whole, random));
            var length = files.Sum(one => new FileInfo(one).Length);
            var (begun, before) = (Stopwatch.GetTimestamp(), GC.GetAllocatedBytesForCurrentThread());
            try
            {
                _ = FolderConversion.HeaderOf(path);
            }
            catch (SafeTensorsException)
            {
                refused++;
            }
            catch (Exception e)
            {
                complaints.Add($"case {i}, {Path.GetFileName(path)}/{Path.GetFileName(file)}: {e.GetType().Name}: {e.Message}");
            }

            var (taken, more) = (Stopwatch.GetElapsedTime(begun), GC.GetAllocatedBytesForCurrentThread() - before - length);
            if (taken > Hang || more > Room)
                complaints.Add($"case {i}, {Path.GetFileName(path)}/{Path.GetFileName(file)}: {taken.TotalSeconds:F1} s, {more >> 20} MB");

            (slowest, most) = (taken > slowest ? taken : slowest, Math.Max(most, more));
            File.WriteAllBytes(file, whole);
        }

        verdict.Say(string.Create(CultureInfo.InvariantCulture,
            $"{total} folders, {refused} refused; the slowest took {slowest.TotalMilliseconds:F0} ms, the hungriest {most >> 20} MB more than its files"));
        verdict.Require(complaints.Count == 0, $"every folder was read or refused in words, in time and within memory ({complaints.Count})"
            + string.Concat(complaints.Take(20).Select(text => "\n    " + text)));
        verdict.Require(refused > total / 3, $"damage is noticed ({refused})");
    }

    private static List<string> Folders(TemporaryFolder folder)
    {
        var paths = new List<string>();
        foreach (var family in FolderFamily.All)
        {
            var path = RandomFolder.Write(folder[family.Class], family: family, shards: paths.Count % 3 == 0 ? 2 : 1, config: config =>
            {
                if (family.Class is "LlamaForCausalLM")
                    config["rope_scaling"] = JsonNode.Parse("""{"rope_type":"llama3","factor":8,"original_max_position_embeddings":64}""");
            });
            File.WriteAllText(Path.Combine(path, "generation_config.json"), """{"eos_token_id":[2,3],"temperature":0.5,"top_k":20}""");
            paths.Add(path);
            if (family.Class is "LlamaForCausalLM" or "Gemma2ForCausalLM" or "Phi3ForCausalLM")
            {
                var pieces = RandomFolder.Write(folder[family.Class + "-pieces"], family: family);
                File.WriteAllBytes(Path.Combine(pieces, "tokenizer.model"), SentencePieces());
                File.WriteAllText(Path.Combine(pieces, "added_tokens.json"), """{"<a>":355,"<b>":356}""");
                paths.Add(pieces);
            }
        }

        RandomPeft.Write(folder["adapter"]);
        return [.. paths, folder["adapter"]];
    }

    // ModelProto: field 1 is a piece of text (1), score (2) and kind (3).
    private static byte[] SentencePieces()
    {
        using var model = new MemoryStream();
        for (var i = 0; i < 300; i++)
        {
            var text = Encoding.UTF8.GetBytes($"p{i}");
            byte[] piece = [0x0A, (byte)text.Length, .. text, 0x15, .. BitConverter.GetBytes(-(float)i), 0x18, (byte)(i == 0 ? 2 : 1)];
            model.Write([0x0A, (byte)piece.Length, .. piece]);
        }

        return model.ToArray();
    }

    private static byte[] Damaged(byte[] whole, Random random)
    {
        var bad = (byte[])whole.Clone();
        if (bad.Length == 0)
            return bad;

        switch (random.Next(6))
        {
            case 0:
                return bad[..random.Next(bad.Length)];
            case 1 when bad.Length > 8:
                BitConverter.GetBytes(random.Next(3) == 0 ? random.NextInt64() : random.Next(bad.Length * 2)).CopyTo(bad, 0);
                return bad;
            case 2:
                var (from, count) = (random.Next(bad.Length), random.Next(64));
                return [.. bad[..from], .. bad[from..Math.Min(bad.Length, from + count)], .. bad[from..]];
            case 3 or 4:
                return WithOtherValue(bad, random);
            default:
                for (var flips = random.Next(1, 8); flips > 0; flips--)
                    bad[random.Next(Math.Min(bad.Length, 4000))] = (byte)random.Next(256);
                return bad;
        }
    }

    // A number in the text of JSON, or of a header, becomes another value; a header's length follows.
    private static byte[] WithOtherValue(byte[] bytes, Random random)
    {
        var text = bytes.AsSpan(0, Math.Min(bytes.Length, 1 << 16));
        var start = random.Next(text.Length);
        while (start < text.Length && !char.IsAsciiDigit((char)text[start]))
            start++;
        var end = start;
        while (end < text.Length && (char.IsAsciiDigit((char)text[end]) || text[end] is (byte)'.' or (byte)'e' or (byte)'-'))
            end++;
        var value = Encoding.ASCII.GetBytes(Numbers[random.Next(Numbers.Length)]);
        byte[] changed = [.. bytes[..start], .. value, .. bytes[end..]];
        if (bytes.Length > 8 && changed.Length > 8 && BitConverter.ToInt64(bytes, 0) is > 0 and < 1 << 24 && start >= 8)
            BitConverter.GetBytes(BitConverter.ToInt64(bytes, 0) + value.Length - (end - start)).CopyTo(changed, 0);
        return changed;
    }
}
