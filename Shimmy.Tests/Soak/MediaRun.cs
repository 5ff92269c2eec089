using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Damaged pictures, sent to a model that sees, and damaged projectors that it is loaded with: each is used or refused in its dialect's
/// form, the server lives, a worker that dies is counted, and nothing is left behind.
/// </summary>
internal static class MediaRun
{
    private const int FullRun = 10_000;
    private const int ProjectorShare = 10;
    private const long Kept = 256 << 20;
    private const string Model = "seeing";
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);
    private static readonly int[] OddNumbers = [0, 1, -1, 255, 0xFFFF, 0x7FFFFFFF, int.MinValue, 65_536, 16_777_216];

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        using var folder = new TemporaryFolder();
        var shape = new RandomModelShape();
        RandomModel.Write(folder["models/seeing.gguf"], shape);
        var projector = RandomProjector.Write(folder["mmproj.gguf"], shape.Embedding);
        var sound = await File.ReadAllBytesAsync(projector);
        await File.WriteAllTextAsync(folder["shimmy.config.json"],
            $$"""{"models":[{"name":"{{Model}}","base_path":"models/seeing.gguf","mmproj":"mmproj.gguf"}]}""");
        using var server = await ServerProcess.StartAsync(folder,
            new Dictionary<string, string> { ["SHIMMY_CONFIG"] = folder["shimmy.config.json"] },
            ["--threads", "1", "--log-level", "warning", .. options.Serve]);
        server.Client.Timeout = Hang;
        var total = options.Requests ?? FullRun;
        var projectors = total / ProjectorShare;
        var complaints = new Complaints();

        var files = Files();
        if (await AskAsync(server, 0, files[0]) is (not 200, var why))
            throw new InvalidOperationException($"the model does not see a whole picture: {why}");
        var before = ProcessState.Of(server.Id);
        var statuses = new int[600];
        await SeeAsync(0, (total - projectors) / 2);
        var half = ProcessState.Of(server.Id);
        await SeeAsync((total - projectors) / 2, total - projectors);
        var after = ProcessState.Of(server.Id);
        verdict.Say($"pictures: {Told(statuses)}; before {before}, halfway {half}, after {after}");
        verdict.Require(complaints.Count == 0, $"each picture was seen or refused ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        verdict.Require(await CrashesAsync(server) == 0, "no worker died of a picture");
        // The allocators keep what pictures of millions of pixels took, up to some 200 MB in each of several runs of one kind.
        verdict.Require(after.PrivateBytes < before.PrivateBytes + Kept, $"the server keeps less than {Kept >> 20} MB");

        await LoadAsync(server, projector, sound, projectors, options.Seed, verdict);
        verdict.Require(server.Workers.Count <= 1, $"at most one worker is left ({server.Workers.Count})");
        var open = ProcessState.Of(server.Id).Files;
        verdict.Require(open <= before.Files + 16, $"no file is left open ({before.Files} before, {open} after)");
        var (code, _) = await server.TerminateAsync();
        verdict.Require(code == 0, $"the server ends with 0 ({code})");

        async Task SeeAsync(int from, int to)
        {
            var number = from - 1;
            await Task.WhenAll(Enumerable.Range(0, Math.Min(options.Clients, 8)).Select(_ => Task.Run(async () =>
            {
                while (Interlocked.Increment(ref number) is var mine && mine < to)
                {
                    var random = new Random(unchecked((options.Seed * 1_000_003) + mine));
                    var picture = Damaged(files[random.Next(files.Count)], random);
                    try
                    {
                        var (status, answer) = await AskAsync(server, random.Next(3), picture);
                        Interlocked.Increment(ref statuses[status]);
                        if (status >= 500 || (status >= 400 && !answer.Contains("error", StringComparison.Ordinal)))
                            complaints.Add($"picture {mine}: {status} {answer}");
                    }
                    catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
                    {
                        complaints.Add($"picture {mine}: {e.GetType().Name} {e.Message}");
                    }
                }
            })));
            await Task.Delay(2500);
        }
    }

    private static async Task LoadAsync(ServerProcess server, string path, byte[] sound, int count, int seed, Verdict verdict)
    {
        var complaints = new Complaints();
        var (statuses, slowest) = (new int[600], TimeSpan.Zero);
        var red = Pictures.Square(28, 255, 0, 0);
        for (var i = 0; i < count; i++)
        {
            using (await server.Client.PostAsync($"api/models/{Model}/unload", null))
                await File.WriteAllBytesAsync(path, Damaged(sound, new Random(unchecked((seed * 7_919) + i))));
            var begun = Stopwatch.GetTimestamp();
            try
            {
                var (status, answer) = await AskAsync(server, i % 3, red);
                statuses[status]++;
                if (status >= 400 && !answer.Contains("error", StringComparison.Ordinal))
                    complaints.Add($"projector {i}: {status} {answer}");
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
            {
                complaints.Add($"projector {i}: {e.GetType().Name} {e.Message}");
            }

            slowest = Stopwatch.GetElapsedTime(begun) is var taken && taken > slowest ? taken : slowest;
        }

        await File.WriteAllBytesAsync(path, sound);
        using (await server.Client.PostAsync($"api/models/{Model}/unload", null))
            statuses[(await AskAsync(server, 0, red)).Status]++;
        var died = await CrashesAsync(server);
        verdict.Say(string.Create(CultureInfo.InvariantCulture,
            $"projectors: {Told(statuses)}; {died} workers died; the slowest answer took {slowest.TotalSeconds:F1} s"));
        verdict.Require(complaints.Count == 0, $"each projector was used or refused in the dialect's form ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        verdict.Require((await AskAsync(server, 0, red)).Status == 200, "the whole projector is used again");
    }

    private static string Told(int[] statuses) =>
        string.Join(", ", Enumerable.Range(0, statuses.Length).Where(status => statuses[status] > 0).Select(status => $"{statuses[status]} × {status}"));

    private static async Task<(int Status, string Answer)> AskAsync(ServerProcess server, int dialect, byte[] picture)
    {
        var base64 = Convert.ToBase64String(picture);
        (string Path, JsonNode Part)[] dialects =
        [
            ("v1/chat/completions", new JsonObject
            {
                ["type"] = "image_url",
                ["image_url"] = new JsonObject { ["url"] = "data:image/png;base64," + base64 },
            }),
            ("v1/messages", new JsonObject
            {
                ["type"] = "image",
                ["source"] = new JsonObject { ["type"] = "base64", ["media_type"] = "image/png", ["data"] = base64 },
            }),
            ("v1/responses", new JsonObject { ["type"] = "input_image", ["image_url"] = "data:image/png;base64," + base64 }),
        ];
        var (path, part) = dialects[dialect];
        var isResponse = path == "v1/responses";
        var turns = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = new JsonArray(part) });
        var body = new JsonObject
        {
            ["model"] = Model,
            [isResponse ? "max_output_tokens" : "max_tokens"] = isResponse ? 16 : 1,
            [isResponse ? "input" : "messages"] = turns,
        };
        // Answers that are kept hold their pictures, as they are to.
        if (isResponse)
            body["store"] = false;
        using var answer = await server.Client.PostAsync(path, new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"));
        return ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    private static async Task<int> CrashesAsync(ServerProcess server)
    {
        var metrics = await server.Client.GetStringAsync("metrics");
        return metrics.Split('\n').Where(line => line.StartsWith("shimmy_worker_crashes_total{", StringComparison.Ordinal))
            .Sum(line => (int)double.Parse(line.AsSpan(line.LastIndexOf(' ') + 1), CultureInfo.InvariantCulture));
    }

    // Pictures of our own, and those of SHIMMY_MEDIA_CASES, which has JPEG and GIF.
    private static List<byte[]> Files()
    {
        List<byte[]> files =
        [
            Pictures.Square(28, 255, 0, 0), Pictures.Square(64, 0, 0, 255), Pictures.HalfRed, Pictures.Row,
            Pictures.Png(9, 5, 0, [.. Enumerable.Range(0, 45).Select(i => (byte)(i * 5))], ("eXIf", Pictures.Exif(6))),
        ];
        if (Environment.GetEnvironmentVariable("SHIMMY_MEDIA_CASES") is { Length: > 0 } cases)
        {
            files.AddRange(Directory.GetFiles(Path.Combine(cases, "images")).Where(file => !file.EndsWith(".wav", StringComparison.Ordinal))
                .Order(StringComparer.Ordinal).Select(File.ReadAllBytes).Where(bytes => bytes.Length < 1 << 20));
        }
        return files;
    }

    // Cut, repeated in part, with numbers that lie, with bytes of chance; most of the damage where headers are.
    private static byte[] Damaged(byte[] whole, Random random)
    {
        var bad = (byte[])whole.Clone();
        if (bad.Length < 8)
            return bad;
        var near = Math.Min(bad.Length, random.Next(3) == 0 ? bad.Length : 200);
        switch (random.Next(5))
        {
            case 0:
                return bad[..random.Next(bad.Length)];
            case 1:
                var (from, length) = (random.Next(bad.Length), random.Next(64));
                return [.. bad[..from], .. bad[from..Math.Min(bad.Length, from + length)], .. bad[from..]];
            case 2:
                var odd = BitConverter.GetBytes(OddNumbers[random.Next(OddNumbers.Length)]);
                if (random.Next(2) == 0)
                    Array.Reverse(odd);
                odd.CopyTo(bad, random.Next(Math.Max(1, near - 4)));
                return bad;
            default:
                for (var flips = random.Next(1, 8); flips > 0; flips--)
                    bad[random.Next(near)] = (byte)random.Next(256);
                return bad;
        }
    }
}
