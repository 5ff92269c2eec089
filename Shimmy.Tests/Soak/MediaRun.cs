using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Damaged pictures, sent to a model that sees, and damaged sounds, sent to one that hears, in every dialect, and damaged projectors that
/// these are loaded with: each is used or refused in its dialect's form, the server lives, a worker that dies is counted, and nothing is
/// left behind.
/// </summary>
internal static class MediaRun
{
    private const int FullRun = 10_000;
    private const int ProjectorShare = 10;
    private const long Kept = 256 << 20;
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);
    private static readonly int[] OddNumbers = [0, 1, -1, 255, 0xFFFF, 0x7FFFFFFF, int.MinValue, 65_536, 16_777_216];

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        using var folder = new TemporaryFolder();
        var shape = new RandomModelShape { Says = "hm" };
        RandomModel.Write(folder["models/seeing.gguf"], shape);
        RandomModel.Write(folder["models/hearing.gguf"], shape);
        var eye = RandomProjector.Write(folder["mmproj.gguf"], shape.Embedding);
        var ear = RandomProjector.WriteHearing(folder["mmproj-ear.gguf"], shape.Embedding);
        await File.WriteAllTextAsync(folder["shimmy.config.json"], """
            {"models":[{"name":"seeing","base_path":"models/seeing.gguf","mmproj":"mmproj.gguf"},
             {"name":"hearing","base_path":"models/hearing.gguf","mmproj":"mmproj-ear.gguf"}]}
            """);
        using var server = await ServerProcess.StartAsync(folder,
            new Dictionary<string, string> { ["SHIMMY_CONFIG"] = folder["shimmy.config.json"] },
            ["--threads", "1", "--log-level", "warning", .. options.Serve]);
        server.Client.Timeout = Hang;
        var total = options.Requests ?? FullRun;
        var seeing = new Sense("seeing", "picture", See, 3, eye, Pictures.Square(28, 255, 0, 0));
        // What the first request opens for good counts as the state before.
        await AskAsync(server, seeing, 0, seeing.Whole);
        var before = ProcessState.Of(server.Id);
        await TryAsync(seeing, Seen(), total);
        // Half as many, and they take longer: each is half a minute to its encoder.
        await TryAsync(new Sense("hearing", "sound", Hear, 6, ear, Sounds.Tone), Heard(), total / 2);
        var open = ProcessState.Of(server.Id).Files;
        verdict.Require(open <= before.Files + 16, $"no file is left open ({before.Files} before, {open} after)");
        var (code, _) = await server.TerminateAsync();
        verdict.Require(code == 0, $"the server ends with 0 ({code})");

        async Task TryAsync(Sense sense, List<byte[]> files, int count)
        {
            await MediaAsync(server, sense, files, count - (count / ProjectorShare), options, verdict);
            await ProjectorsAsync(server, sense, count / ProjectorShare, options.Seed, verdict);
            verdict.Require(server.Workers.Count <= 1, $"at most one worker is left ({server.Workers.Count})");
            using (await server.Client.PostAsync($"api/models/{sense.Model}/unload", null))
                verdict.Require(server.Workers.Count == 0, $"none is left of the {sense.Model} model ({server.Workers.Count})");
        }
    }

    // A model, what it takes and how it is asked about one, its projector, and a medium that is whole.
    private sealed record Sense(
        string Model, string Medium, Func<int, byte[], (string Path, HttpContent Body)> Ask, int Dialects, string Projector, byte[] Whole);

    private static async Task MediaAsync(
        ServerProcess server, Sense sense, List<byte[]> files, int count, SoakOptions options, Verdict verdict)
    {
        if (await AskAsync(server, sense, 0, files[0]) is (not 200, var why))
            throw new InvalidOperationException($"the model does not take a whole {sense.Medium}: {why}");
        var complaints = new Complaints();
        var (before, statuses) = (ProcessState.Of(server.Id), new int[600]);
        await SendAsync(0, count / 2);
        var half = ProcessState.Of(server.Id);
        await SendAsync(count / 2, count);
        var after = ProcessState.Of(server.Id);
        verdict.Say($"{sense.Medium}s: {Told(statuses)}; before {before}, halfway {half}, after {after}");
        verdict.Require(complaints.Count == 0, $"each {sense.Medium} was taken or refused ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        verdict.Require(await CrashesAsync(server, sense) == 0, $"no worker died of a {sense.Medium}");
        // The allocators keep what pictures of millions of pixels took, up to some 200 MB in each of several runs of one kind.
        verdict.Require(after.PrivateBytes < before.PrivateBytes + Kept, $"the server keeps less than {Kept >> 20} MB");

        async Task SendAsync(int from, int to)
        {
            var number = from - 1;
            await Task.WhenAll(Enumerable.Range(0, Math.Min(options.Clients, 8)).Select(_ => Task.Run(async () =>
            {
                while (Interlocked.Increment(ref number) is var mine && mine < to)
                {
                    var random = new Random(unchecked((options.Seed * 1_000_003) + mine));
                    var medium = Damaged(files[random.Next(files.Count)], random);
                    try
                    {
                        var (status, answer) = await AskAsync(server, sense, random.Next(sense.Dialects), medium);
                        Interlocked.Increment(ref statuses[status]);
                        if (status >= 500 || (status >= 400 && !answer.Contains("error", StringComparison.Ordinal)))
                            complaints.Add($"{sense.Medium} {mine}: {status} {answer}");
                    }
                    catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
                    {
                        complaints.Add($"{sense.Medium} {mine}: {e.GetType().Name} {e.Message}");
                    }
                }
            })));
            await Task.Delay(2500);
        }
    }

    private static async Task ProjectorsAsync(ServerProcess server, Sense sense, int count, int seed, Verdict verdict)
    {
        var complaints = new Complaints();
        var (statuses, slowest) = (new int[600], TimeSpan.Zero);
        var whole = await File.ReadAllBytesAsync(sense.Projector);
        for (var i = 0; i < count; i++)
        {
            using (await server.Client.PostAsync($"api/models/{sense.Model}/unload", null))
                await File.WriteAllBytesAsync(sense.Projector, Damaged(whole, new Random(unchecked((seed * 7_919) + i))));
            var begun = Stopwatch.GetTimestamp();
            try
            {
                var (status, answer) = await AskAsync(server, sense, i % sense.Dialects, sense.Whole);
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

        await File.WriteAllBytesAsync(sense.Projector, whole);
        using (await server.Client.PostAsync($"api/models/{sense.Model}/unload", null))
            statuses[(await AskAsync(server, sense, 0, sense.Whole)).Status]++;
        var died = await CrashesAsync(server, sense);
        verdict.Say(string.Create(CultureInfo.InvariantCulture,
            $"projectors for {sense.Medium}s: {Told(statuses)}; {died} workers died; the slowest answer took {slowest.TotalSeconds:F1} s"));
        verdict.Require(complaints.Count == 0, $"each projector was used or refused in the dialect's form ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        verdict.Require((await AskAsync(server, sense, 0, sense.Whole)).Status == 200, "the whole projector is used again");
    }

    private static string Told(int[] statuses) =>
        string.Join(", ", Enumerable.Range(0, statuses.Length).Where(status => statuses[status] > 0).Select(status => $"{statuses[status]} × {status}"));

    private static async Task<(int Status, string Answer)> AskAsync(ServerProcess server, Sense sense, int dialect, byte[] medium)
    {
        var (path, body) = sense.Ask(dialect, medium);
        using var answer = await server.Client.PostAsync(path, body);
        return ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    private static (string Path, HttpContent Body) See(int dialect, byte[] picture)
    {
        var base64 = Convert.ToBase64String(picture);
        var url = "data:image/png;base64," + base64;
        return dialect switch
        {
            0 => Chat(new JsonObject { ["type"] = "image_url", ["image_url"] = new JsonObject { ["url"] = url } }),
            1 => Turn("v1/messages", "max_tokens", "messages", new JsonObject
            {
                ["type"] = "image",
                ["source"] = new JsonObject { ["type"] = "base64", ["media_type"] = "image/png", ["data"] = base64 },
            }, "seeing"),
            _ => Response(new JsonObject { ["type"] = "input_image", ["image_url"] = url }, "seeing"),
        };
    }

    private static (string Path, HttpContent Body) Hear(int dialect, byte[] sound)
    {
        var base64 = Convert.ToBase64String(sound);
        var part = new JsonObject { ["type"] = "input_audio", ["input_audio"] = new JsonObject { ["data"] = base64, ["format"] = "wav" } };
        return dialect switch
        {
            0 => Chat(part, "hearing"),
            1 => Response(part, "hearing"),
            2 => ("v1/audio/transcriptions", new MultipartFormDataContent
            {
                { new StringContent("hearing"), "model" },
                { new ByteArrayContent(sound), "file", "a.mp3" },
            }),
            3 => Json("api/generate", new JsonObject
            {
                ["model"] = "hearing",
                ["prompt"] = "What is it?",
                ["audio"] = new JsonArray(base64),
                ["max_tokens"] = 1,
            }),
            4 => Json("completion", new JsonObject
            {
                ["model"] = "hearing",
                ["prompt"] = new JsonObject { ["prompt_string"] = "<__media__> is", ["multimodal_data"] = new JsonArray(base64) },
                ["n_predict"] = 1,
            }),
            _ => Json("api/chat", new JsonObject
            {
                ["model"] = "hearing",
                ["stream"] = false,
                ["options"] = new JsonObject { ["num_predict"] = 1 },
                ["messages"] = new JsonArray(
                    new JsonObject { ["role"] = "user", ["content"] = "What is it?", ["images"] = new JsonArray(base64) }),
            }),
        };
    }

    private static (string Path, HttpContent Body) Chat(JsonNode part, string model = "seeing") =>
        Turn("v1/chat/completions", "max_tokens", "messages", part, model);

    // Answers that are kept would hold their media, as they are to.
    private static (string Path, HttpContent Body) Response(JsonNode part, string model) =>
        Turn("v1/responses", "max_output_tokens", "input", part, model, ("store", false));

    private static (string Path, HttpContent Body) Turn(
        string path, string limit, string turns, JsonNode part, string model, params (string Name, JsonNode Value)[] more)
    {
        var body = new JsonObject
        {
            ["model"] = model,
            [limit] = limit == "max_output_tokens" ? 16 : 1,
            [turns] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = new JsonArray(part) }),
        };
        foreach (var (name, value) in more)
            body[name] = value;
        return Json(path, body);
    }

    private static (string Path, HttpContent Body) Json(string path, JsonObject body) =>
        (path, new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"));

    private static async Task<int> CrashesAsync(ServerProcess server, Sense sense)
    {
        var metrics = await server.Client.GetStringAsync("metrics");
        return metrics.Split('\n').Where(line => line.StartsWith("shimmy_worker_crashes_total{", StringComparison.Ordinal)
            && line.Contains($"\"{sense.Model}\"", StringComparison.Ordinal))
            .Sum(line => (int)double.Parse(line.AsSpan(line.LastIndexOf(' ') + 1), CultureInfo.InvariantCulture));
    }

    // Pictures of our own, and those of SHIMMY_MEDIA_CASES, which has JPEG and GIF.
    private static List<byte[]> Seen() =>
    [
        Pictures.Square(28, 255, 0, 0), Pictures.Square(64, 0, 0, 255), Pictures.HalfRed, Pictures.Row,
        Pictures.Png(9, 5, 0, [.. Enumerable.Range(0, 45).Select(i => (byte)(i * 5))], ("eXIf", Pictures.Exif(6))),
        .. Cases(isSound: false),
    ];

    // Sounds of every coding that is read, and frames of MPEG of each version and layer with bytes of chance in them.
    private static List<byte[]> Heard()
    {
        var tone = Sounds.Sine(2_000, 16_000, 440);
        int[] whole = [.. tone.Select(sample => (int)(sample * 30_000))];
        var random = new Random(1);
        return
        [
            Sounds.Tone, Sounds.Wav(44_100, 2, tone), Sounds.Wav(8_000, 1, 8, 1, [.. whole.Select(sample => (byte)(sample >> 8))]),
            Sounds.Wav(48_000, 1, 32, 3, [.. tone.SelectMany(BitConverter.GetBytes)], isExtensible: true),
            Sounds.Wav(16_000, 1, 24, 1, [.. whole.SelectMany(sample => BitConverter.GetBytes(sample << 8).Skip(1))],
                before: [.. "LIST\u0004\0\0\0abcd"u8]),
            .. ((int[])[0, 1, 8, 9, 10, 11, 12, 32, 35]).Select(kind => Sounds.Flac(16_000, [whole[..900]], kind)),
            .. ((int[])[1, 8, 9, 10]).Select(assignment => Sounds.Flac(44_100, [whole[..900], [.. whole[..900].Reverse()]], 10, assignment)),
            Sounds.Flac(16_000, [whole], 9), Sounds.Mpeg(20), Sounds.Mpeg(20, isSilent: true),
            [.. "ID3\u0004\0\0\0\0\0\u0002ab"u8, .. Sounds.Mpeg(8)],
            .. ((uint[])[0xFFFB90C0, 0xFFFB9000, 0xFFFB9064, 0xFFF380C0, 0xFFE340C0, 0xFFFD90C0, 0xFFFA9040]).Select(Frames),
            .. Cases(isSound: true),
        ];

        byte[] Frames(uint header)
        {
            // As long as the frames of 128 kbit/s at 44,100 Hz; of others the decoder looks for the next.
            var frames = new byte[417 * 12];
            random.NextBytes(frames);
            for (var at = 0; at < frames.Length; at += 417)
                BinaryPrimitives.WriteUInt32BigEndian(frames.AsSpan(at), header);
            return frames;
        }
    }

    private static IEnumerable<byte[]> Cases(bool isSound) =>
        Environment.GetEnvironmentVariable("SHIMMY_MEDIA_CASES") is { Length: > 0 } cases
            ? Directory.GetFiles(Path.Combine(cases, "images")).Where(file => file.EndsWith(".wav", StringComparison.Ordinal) == isSound)
                .Order(StringComparer.Ordinal).Select(File.ReadAllBytes).Where(bytes => bytes.Length < 1 << 20)
            : [];

    // Cut, repeated in part, with numbers that lie, with bytes of chance; most of the damage where headers are.
    private static byte[] Damaged(byte[] whole, Random random)
    {
        var bad = Damage(whole, random);
        // Behind a wrong checksum nothing of a FLAC file is read.
        return random.Next(2) == 0 && bad.AsSpan().StartsWith("fLaC"u8) ? Sounds.Sealed(bad) : bad;
    }

    private static byte[] Damage(byte[] whole, Random random)
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
