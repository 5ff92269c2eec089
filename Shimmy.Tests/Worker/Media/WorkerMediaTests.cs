using System.Diagnostics;
using Shimmy.Chat.Media;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Engine.Runtimes;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Worker;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Media;

/// <summary>A random model that sees through a random projector.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerMediaTests
{
    private static TemporaryFolder _folder = null!;
    private static ILoadedModel _model = null!;

    [ClassInitialize]
    public static async Task Load(TestContext _)
    {
        _folder = new TemporaryFolder();
        var projector = RandomProjector.Write(_folder["mmproj.gguf"], new RandomModelShape().Embedding);
        _model = await LoadAsync(_folder, spec => spec with { Parallel = 8, Projector = projector, Speculate = false });
    }

    [ClassCleanup]
    public static async Task Unload()
    {
        await _model.DisposeAsync();
        _folder.Dispose();
    }

    [TestMethod]
    public void A_picture_is_encoded_for_one_client_alone_unless_all_share()
    {
        var prompt = new Prompt { Media = [new Medium(MediumKind.Picture, 1, 1, "h")] };
        string[] hashes = [.. ((string[])["", "one", "two"]).Select(client => WorkerHost.OfClient(prompt, client).Media[0].Hash)];

        Assert.HasCount(3, hashes.Distinct().ToArray());
        Assert.AreEqual("h", hashes[0]);
        Assert.AreEqual(hashes[1], WorkerHost.OfClient(prompt, "one").Media[0].Hash);
    }

    [TestMethod]
    public async Task Usage_counts_the_tokens_of_a_picture_and_counting_agrees()
    {
        var text = await _model.TokenizeAsync(Prompt.FromText("Look: "), CancellationToken.None);
        var prompt = Seeing("Look: ", Red, "");
        var answer = await RunAsync(_model, Greedy(prompt, 4));
        Assert.AreEqual(text.Count + RandomProjector.Tokens, answer.Start.PromptTokens);
        Assert.HasCount(4, answer.Tokens);
        // A prompt may end with a picture; its size alone is enough to count.
        var counted = await _model.TokenizeAsync(prompt with { Media = [Red with { Data = default }] }, CancellationToken.None);
        Assert.AreEqual(answer.Start.PromptTokens, counted.Count);
        Assert.AreEqual(RandomProjector.Tokens, counted.Count(token => token == -1));
    }

    [TestMethod]
    public async Task A_picture_is_computed_once_and_another_one_is_not_taken_for_it()
    {
        const string after = " what is this thing, if you please, and why does it lie there on the table?";
        var first = await RunAsync(_model, Greedy(Seeing("Again ", Red, after), 2));
        var same = await RunAsync(_model, Greedy(Seeing("Again ", Red, after), 2));
        var other = await RunAsync(_model, Greedy(Seeing("Again ", Blue, after), 2));
        Assert.AreEqual(first.Start.PromptTokens - 1, same.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, same.Tokens);
        // Not one token of the picture, though its first tokens have the same place.
        Assert.AreEqual((await _model.TokenizeAsync(Prompt.FromText("Again "), CancellationToken.None)).Count, other.Start.CachedTokens);
    }

    [TestMethod]
    public async Task A_model_that_keeps_no_encoded_pictures_shares_what_was_computed_of_them_all_the_same()
    {
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.Write(folder["mmproj.gguf"], new RandomModelShape().Embedding);
        await using var model = await LoadAsync(folder, spec => spec with { Projector = projector, Speculate = false, MediaCacheBytes = 0 });

        var first = await RunAsync(model, Greedy(Seeing("Again ", Red, " what is this?"), 4));
        var same = await RunAsync(model, Greedy(Seeing("Again ", Red, " what is this?"), 4));
        // At another place it must be encoded once more.
        var moved = await RunAsync(model, Greedy(Seeing("Elsewhere ", Red, " what is this?"), 4));
        var expected = await RunAsync(_model, Greedy(Seeing("Elsewhere ", Red, " what is this?"), 4));

        Assert.AreEqual(first.Start.PromptTokens - 1, same.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, same.Tokens);
        CollectionAssert.AreEqual(expected.Tokens, moved.Tokens);
    }

    [TestMethod]
    public async Task Encoding_ranks_behind_what_runs_the_streams()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Only Linux tells the rank of each thread.");
        await RunAsync(_model, Greedy(Seeing("Rank ", Red, ""), 1));
        var process = $"/proc/{_model.Facts.ProcessId}";
        var own = NiceOf(process);
        var threads = Directory.GetDirectories(process + "/task").Select(NiceOf).ToArray();

        Assert.Contains(Math.Min(own + 5, 19), threads);
        Assert.IsGreaterThan(1, threads.Count(nice => nice == own));

        // proc(5): behind the name in parentheses, the seventeenth field.
        static int NiceOf(string folder) => int.Parse(
            File.ReadAllText(folder + "/stat").Split(") ")[^1].Split(' ')[16], System.Globalization.CultureInfo.InvariantCulture);
    }

    [TestMethod]
    public async Task Eight_requests_over_one_picture_prefill_it_once()
    {
        var picture = PictureDecoder.Decode(Pictures.Square(40, 9, 99, 199), PictureDecoder.DefaultMostPixels);
        var before = await _model.GetStatisticsAsync(CancellationToken.None);
        var head = "A long head that all of the eight requests have before the picture, so that joining pays: ";
        var answers = await Task.WhenAll(Enumerable.Range(0, 8)
            .Select(i => RunAsync(_model, Greedy(Seeing(head, picture, $" question {i}"), 2))));
        var after = await _model.GetStatisticsAsync(CancellationToken.None);
        var shared = (await _model.TokenizeAsync(Seeing(head, picture, ""), CancellationToken.None)).Count;
        // What is left of each prompt behind the picture is computed eight times, the rest once. Whether those that wait for the picture also
        // wait for the first tokens behind it, which all have, is a matter of time.
        var most = shared + answers.Sum(answer => answer.Start.PromptTokens - shared) + (8 * 4);
        Assert.IsLessThanOrEqualTo(most, after.PrefilledTokens - before.PrefilledTokens);
    }

    [TestMethod]
    public async Task A_prompt_that_is_too_long_by_its_pictures_is_refused_with_the_numbers()
    {
        var many = _model.Facts.ContextLength / RandomProjector.Tokens + 1;
        var prompt = new Prompt
        {
            Parts = [.. Enumerable.Range(0, many).Select(_ => new PromptPart("", ParseSpecial: true, 0))],
            Media = [Red],
        };
        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(_model, Greedy(prompt, 1)));
        Assert.AreEqual(EngineFailure.PromptTooLong, refused.Failure);
        Assert.IsGreaterThanOrEqualTo(many * RandomProjector.Tokens, refused.PromptTokens);
    }

    [TestMethod]
    public async Task A_projector_for_another_width_is_refused_or_left_out()
    {
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.Write(folder["mmproj.gguf"], 32);
        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            LoadAsync(folder, spec => spec with { Projector = projector }));
        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        Assert.Contains("embedding length 32, not 64", refused.Message);
        // Whoever plans the load hears the same, by the headers alone.
        var spec = new ModelSpec { Name = "random", Path = folder["random.gguf"], Projector = projector };
        Assert.AreEqual(refused.Message, spec.WhyUnfit(new HeaderCache().Read));
        Assert.IsNull((spec with { ProjectorIsFound = true }).WhyUnfit(new HeaderCache().Read));
        Assert.AreEqual("image-min-tokens 512 is more than image-max-tokens 64",
            (spec with { Projector = null, Tuning = spec.Tuning with { ImageMinTokens = 512, ImageMaxTokens = 64 } }).WhyUnfit(new HeaderCache().Read));
        await using var blind = await LoadAsync(folder, spec => spec with { Projector = projector, ProjectorIsFound = true });
        Assert.IsFalse(blind.Facts.CanSee);
        Assert.Contains("embedding length 32", blind.Facts.ProjectorSkipReason!);
        Assert.AreEqual(EngineFailure.InvalidRequest,
            (await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(blind, Greedy(Seeing("a", Red, "b"), 1)))).Failure);
    }

    [TestMethod]
    public async Task A_picture_whose_tokens_see_each_other_fits_one_step_whatever_its_shape()
    {
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.Write(folder["mmproj.gguf"], new RandomModelShape().Embedding, kind: "gemma4v");
        await using var model = await LoadAsync(folder, spec => spec with
        {
            Projector = projector,
            Speculate = false,
            ContextLength = 1024,
            BatchSize = 64,
            Tuning = LoadTuning.None with { FlashAttention = FlashAttention.Off },
        });
        var most = 0;
        foreach (var (width, height) in ((int, int)[])[(64, 64), (1024, 1024), (1280, 960), (960, 1280), (1920, 1080), (960, 672), (2000, 500)])
        {
            var pixels = PictureDecoder.Of(width, height, new byte[3 * width * height]);
            var prompt = Seeing("See ", pixels, "?");
            var tokens = (await model.TokenizeAsync(prompt, CancellationToken.None)).Count(token => token == -1);
            most = Math.Max(most, tokens);
            // libmtmd's own limit is 280; a worker that got more than it computes at once would end.
            Assert.AreEqual(1, (await RunAsync(model, Greedy(prompt, 1))).End.GeneratedTokens, $"{width} x {height}: {tokens} tokens");
        }
        Assert.IsGreaterThan(260, most);
    }

    [TestMethod]
    public async Task A_projector_whose_pictures_the_context_cannot_hold_is_refused_or_left_out()
    {
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.Write(folder["mmproj.gguf"], new RandomModelShape().Embedding, kind: "gemma4v");
        const string reason = "more than its context of 128 holds";

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => ShortAsync(isFound: false));
        await using var blind = await ShortAsync(isFound: true);

        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        Assert.Contains(reason, refused.Message);
        Assert.IsFalse(blind.Facts.CanSee);
        // A runtime that is given by SHIMMY_RUNTIME_DIR may have a reason of its own before that.
        Assert.Contains(InstalledRuntimes.Given is { HasMedia: false } ? "libmtmd" : reason, blind.Facts.ProjectorSkipReason!);
        Assert.HasCount(2, (await RunAsync(blind, Greedy("Say ", 2))).Tokens);

        Task<ILoadedModel> ShortAsync(bool isFound) => LoadAsync(folder,
            spec => spec with { Projector = projector, ProjectorIsFound = isFound, ContextLength = 128 });
    }

    [TestMethod]
    public async Task A_text_with_a_picture_is_embedded_as_its_tokens_pool_it()
    {
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.Write(folder["mmproj.gguf"], new RandomModelShape().Embedding);
        var prompt = Seeing("A picture ", Red, " and what is said of it");
        var tokens = await _model.TokenizeAsync(prompt, CancellationToken.None);
        var states = await EmbedAsync(PoolingOf("none"), prompt);
        var width = _model.Facts.EmbeddingLength;

        Assert.HasCount(tokens.Count * width, states);
        var rows = states.Chunk(width).ToArray();
        AssertNear(rows[^1], await EmbedAsync(PoolingOf("last"), prompt));
        AssertNear(rows[0], await EmbedAsync(PoolingOf("cls"), prompt));
        AssertNear([.. Enumerable.Range(0, width).Select(i => rows.Average(row => row[i]))], await EmbedAsync(PoolingOf("mean"), prompt));
        AssertNear(rows[^1], await EmbedAsync(_model, prompt));
        // It may end with a picture, and another picture is another text.
        Assert.HasCount(width, await EmbedAsync(_model, Seeing("A picture ", Red, "")));
        Assert.IsGreaterThan(1e-3f, rows[^1].Zip(await EmbedAsync(_model, Seeing("A picture ", Blue, " and what is said of it")),
            (one, other) => Math.Abs(one - other)).Max());

        static LoadTuning PoolingOf(string name) =>
            LoadTuning.None with { Pooling = Array.IndexOf((string[])["none", "mean", "cls", "last"], name) };

        async Task<float[]> EmbedAsync(object by, Prompt text)
        {
            var request = new EmbeddingRequest { Prompt = text };
            if (by is ILoadedModel model)
                return (await model.EmbedAsync(request, CancellationToken.None)).Values;
            await using var loaded = await LoadAsync(folder,
                spec => spec with { Projector = projector, Tuning = (LoadTuning)by });
            return (await loaded.EmbedAsync(request, CancellationToken.None)).Values;
        }

        static void AssertNear(float[] expected, float[] actual)
        {
            Assert.HasCount(expected.Length, actual);
            for (var i = 0; i < expected.Length; i++)
                Assert.AreEqual(expected[i], actual[i], 1e-3f, $"value {i}");
        }
    }

    [TestMethod]
    public async Task Pictures_are_embedded_beside_streams_and_each_gets_its_own()
    {
        var pictures = Enumerable.Range(0, 4)
            .Select(i => PictureDecoder.Decode(Pictures.Square(28, (byte)(60 * i), 40, 200), PictureDecoder.DefaultMostPixels)).ToArray();
        var alone = new List<float[]>();
        foreach (var picture in pictures)
            alone.Add((await EmbedAsync(picture)).Values);

        var stream = RunAsync(_model, Greedy("stream on", 100));
        var together = await Task.WhenAll(pictures.Select(EmbedAsync));

        for (var i = 0; i < pictures.Length; i++)
            CollectionAssert.AreEqual(alone[i], together[i].Values);
        Assert.AreEqual(4, alone.Select(values => string.Join(' ', values)).Distinct().Count());
        Assert.AreEqual(100, (await stream).End.GeneratedTokens);

        static Task<Embedding> EmbedAsync(Medium picture) =>
            _model.EmbedAsync(new EmbeddingRequest { Prompt = Seeing("See ", picture, " here") }, CancellationToken.None);
    }

    [TestMethod]
    public async Task A_text_to_embed_that_is_too_long_by_its_pictures_is_refused_and_never_cut()
    {
        var many = _model.Facts.ContextLength / RandomProjector.Tokens + 1;
        var prompt = new Prompt { Parts = [.. Enumerable.Range(0, many).Select(_ => new PromptPart("", ParseSpecial: true, 0))], Media = [Red] };

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            _model.EmbedAsync(new EmbeddingRequest { Prompt = prompt, Truncate = true }, CancellationToken.None));

        Assert.AreEqual(EngineFailure.PromptTooLong, refused.Failure);
        Assert.Contains("never cut", refused.Message);
    }

    [TestMethod]
    public async Task A_picture_that_is_too_large_to_embed_is_refused_before_it_is_encoded()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Only Linux tells the names of threads.");
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.Write(folder["mmproj.gguf"], new RandomModelShape().Embedding, side: 140);
        await using var model = await LoadAsync(folder, spec => spec with { Projector = projector, BatchSize = 64 });
        var prompt = Seeing("See ", Red, "");

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            model.EmbedAsync(new EmbeddingRequest { Prompt = prompt }, CancellationToken.None));

        Assert.AreEqual(EngineFailure.InvalidRequest, refused.Failure);
        Assert.Contains("has a picture of 100 tokens; at most 64 of one are embedded", refused.Message);
        // The thread that encodes is made at the first medium.
        Assert.DoesNotContain("media", Threads());
        await RunAsync(model, Greedy(prompt, 1));
        Assert.Contains("media", Threads());

        string[] Threads() => [.. Directory.GetDirectories($"/proc/{model.Facts.ProcessId}/task")
            .Select(task => File.ReadAllText(task + "/comm").Trim())];
    }

    [TestMethod]
    public async Task A_sound_takes_its_own_tokens_alone_and_is_computed_once()
    {
        using var folder = new TemporaryFolder();
        var projector = RandomProjector.WriteHearing(folder["mmproj.gguf"], new RandomModelShape().Embedding);
        await using var model = await LoadAsync(folder, spec => spec with { Projector = projector, Speculate = false, ContextLength = 512 });
        Assert.AreEqual((false, 16_000, RandomProjector.SoundTokens, 30),
            (model.Facts.CanSee, model.Facts.SampleRate, model.Facts.SoundTokens, model.Facts.SoundSeconds));
        var text = (await model.TokenizeAsync(Prompt.FromText("Hear: "), CancellationToken.None)).Count;

        var tone = SoundDecoder.Decode(Sounds.Tone, 16_000, 60);
        var first = await RunAsync(model, Greedy(Seeing("Hear: ", tone, "?"), 3));
        var same = await RunAsync(model, Greedy(Seeing("Hear: ", tone, "?"), 3));
        Assert.AreEqual(first.Start.PromptTokens - 1, same.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, same.Tokens);

        // libmtmd alone would make a chunk more of all but the third.
        foreach (var (samples, chunks) in ((int, int)[])[(2, 1), (16_000 * 30, 1), ((16_000 * 30) + 1, 2), (16_000 * 60, 2)])
        {
            var sound = new Medium(MediumKind.Sound, samples, 1, $"of {samples}") { Data = new byte[4 * samples] };
            var answer = await RunAsync(model, Greedy(Seeing("Hear: ", sound, ""), 1));
            Assert.AreEqual(text + (chunks * RandomProjector.SoundTokens), answer.Start.PromptTokens, $"{samples} samples");
            Assert.AreEqual(answer.Start.PromptTokens, await CountAsync(samples));
        }
        // An hour is counted without the memory that its samples would take.
        var before = MemoryOf(model.Facts.ProcessId);
        Assert.AreEqual(text + (120 * RandomProjector.SoundTokens), await CountAsync(16_000 * 3600));
        Assert.IsLessThan(before + (64L << 20), MemoryOf(model.Facts.ProcessId));
        var single = new Medium(MediumKind.Sound, 1, 1, "one") { Data = new byte[4] };
        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy(Seeing("", single, ""), 1)));
        Assert.Contains("fewer than two samples", refused.Message);
        var many = new Medium(MediumKind.Sound, 16_000 * 100, 1, "long") { Data = new byte[4 * 16_000 * 100] };
        refused = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy(Seeing("", many, ""), 1)));
        Assert.AreEqual(EngineFailure.PromptTooLong, refused.Failure);

        async Task<int> CountAsync(int samples) => (await model.TokenizeAsync(
            Seeing("Hear: ", new Medium(MediumKind.Sound, samples, 1, ""), ""), CancellationToken.None)).Count;

        static long MemoryOf(int process)
        {
            using var worker = Process.GetProcessById(process);
            return worker.PeakWorkingSet64;
        }
    }

    private static Medium Red { get; } = PictureDecoder.Decode(Pictures.Square(28, 250, 20, 10), PictureDecoder.DefaultMostPixels);

    private static Medium Blue { get; } = PictureDecoder.Decode(Pictures.Square(28, 10, 20, 250), PictureDecoder.DefaultMostPixels);

    private static Prompt Seeing(string before, Medium picture, string after) => new()
    {
        Parts = [new(before, ParseSpecial: true), new("", ParseSpecial: true, 0), new(after, ParseSpecial: true)],
        Media = [picture],
    };

    private static GenerationRequest Greedy(string prompt, int tokens) => WorkerFixture.Greedy(prompt, tokens);

    private static GenerationRequest Greedy(Prompt prompt, int tokens) => WorkerFixture.Greedy("", tokens) with { Prompt = prompt };
}
