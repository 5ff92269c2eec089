using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Shimmy.Engine;
using Shimmy.Engine.Workers;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Model;

/// <summary>What a tuning asks for happens, and what cannot happen is refused; on the CPU.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerTuningTests
{
    // Heads of 32, as quantized caches need them.
    private static readonly RandomModelShape Shape = new() { Embedding = 128 };

    [TestMethod]
    public async Task Cache_types_change_the_bytes_of_the_cache()
    {
        var plain = await CacheBytesAsync(LoadTuning.None);

        Assert.AreEqual(2 * plain, await CacheBytesAsync(new LoadTuning { CacheTypeK = CacheType.F32, CacheTypeV = CacheType.F32 }));
        Assert.AreEqual(plain * 3 / 2, await CacheBytesAsync(new LoadTuning { CacheTypeK = CacheType.F32 }));
        // Logged to a hundredth of a MiB.
        Assert.AreEqual(plain * 34.0 / 64,
            await CacheBytesAsync(
                new LoadTuning { CacheTypeK = CacheType.Q8Level0, CacheTypeV = CacheType.Q8Level0, FlashAttention = FlashAttention.On }),
                    10_000);
    }

    [TestMethod]
    public async Task Positions_are_computed_as_asked()
    {
        var plain = await TokensAsync(LoadTuning.None);

        Assert.AreEqual(plain, await TokensAsync(new LoadTuning { RopeFrequencyScale = 1, RopeFrequencyBase = 10000 }));
        LoadTuning[] others =
        [
            new() { RopeFrequencyScale = 0.125f },
            new() { RopeFrequencyBase = 3 },
            new() { RopeScaling = RopeScaling.Yarn, RopeFrequencyScale = 0.125f, YarnOriginalContext = 32 },
            new() { RopeScaling = RopeScaling.Yarn, RopeFrequencyScale = 0.125f, YarnExtFactor = 0, YarnAttnFactor = 4 },
            new() { RopeScaling = RopeScaling.Yarn, RopeFrequencyScale = 0.125f, YarnOriginalContext = 32,
                YarnBetaFast = 0.1f, YarnBetaSlow = 0.01f },
        ];
        var seen = new HashSet<string> { plain };
        foreach (var other in others)
            Assert.IsTrue(seen.Add(await TokensAsync(other)), other.ToString());
        // Without extrapolation YaRN stretches as linear scaling does.
        Assert.AreEqual(await TokensAsync(others[0]), await TokensAsync(others[2] with { YarnOriginalContext = null, YarnExtFactor = 0 }));
        Assert.AreEqual(await TokensAsync(others[2]), await TokensAsync(others[2] with { YarnExtFactor = -1 }));
    }

    [TestMethod]
    public async Task Memory_is_taken_as_asked_and_the_answer_stays_the_same()
    {
        var plain = await TokensAsync(LoadTuning.None);

        Assert.AreEqual(plain, await TokensAsync(new LoadTuning { MemoryMap = false }));
        Assert.AreEqual(plain, await TokensAsync(new LoadTuning { MemoryMap = true, MemoryLock = true }));
        Assert.AreEqual(plain, await TokensAsync(new LoadTuning { Numa = NumaStrategy.Distribute }));
    }

    [TestMethod]
    public async Task Memory_is_locked_or_a_warning_says_that_it_is_not()
    {
        using var folder = new TemporaryFolder();
        using var log = new WarningLog();
        using var loggers = LoggerFactory.Create(builder => builder.AddProvider(log));
        var spec = new ModelSpec
        {
            Name = "random",
            Path = RandomModel.Write(folder["random.gguf"]),
            Threads = 1,
            Tuning = new LoadTuning { MemoryLock = true }
        };
        await using var model = await new WorkerEngine(loggers, WorkerFixture.Executable).LoadAsync(spec, null, CancellationToken.None);

        var warned =
            log.Lines.Any(line => line.StartsWith("--mlock: the system does not let all of the model be locked", StringComparison.Ordinal));
        if (OperatingSystem.IsLinux())
        {
            var locked = File.ReadLines($"/proc/{model.Facts.ProcessId}/status")
                .Single(line => line.StartsWith("VmLck:", StringComparison.Ordinal));
            Assert.AreEqual(int.Parse(locked.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) == 0,
                warned, locked);
        }
    }

    [TestMethod]
    public async Task Metadata_are_replaced()
    {
        using var folder = new TemporaryFolder();
        await using var model =
            await LoadAsync(folder,
                spec => spec with { Tuning = new LoadTuning { MetadataOverrides = [new("llama.context_length", "int", "96")] } }, Shape);

        Assert.AreEqual(96, model.Facts.TrainedContextLength);
    }

    [TestMethod]
    [DataRow("llama.context_length", "str", "96", "override-kv: Bad metadata override type for key 'llama.context_length'")]
    [DataRow("llama.contextlength", "int", "96", "override-kv: llama.cpp reads no 'llama.contextlength' of this model")]
    public async Task Metadata_that_would_not_be_replaced_are_refused(string key, string type, string value, string expected)
    {
        var refused = await RefusedAsync(new LoadTuning { MetadataOverrides = [new(key, type, value)] });
        Assert.Contains(expected, refused.Message);
    }

    [TestMethod]
    [DataRow("yarn", "yarn-attn-factor", "4", "yarn-attn-factor has no effect where YaRN extrapolates: it needs yarn-ext-factor 0")]
    [DataRow("none", "rope-scale", "4", "rope-scale and rope-freq-scale have no effect where nothing is scaled")]
    [DataRow("none", "rope-freq-scale", "0.5", "rope-scale and rope-freq-scale have no effect where nothing is scaled")]
    [DataRow("linear", "yarn-orig-ctx", "64", "yarn-orig-ctx has no effect where YaRN does not extrapolate: it needs rope-scaling yarn")]
    [DataRow("linear", "yarn-beta-slow", "1", "yarn-beta-slow has no effect where YaRN does not extrapolate: it needs rope-scaling yarn")]
    [DataRow("linear", "yarn-beta-fast", "32", "yarn-beta-fast has no effect where YaRN does not extrapolate: it needs rope-scaling yarn")]
    [DataRow("linear", "yarn-ext-factor", "0.5", "yarn-ext-factor has no effect without YaRN: it needs rope-scaling yarn")]
    public async Task What_positions_are_not_computed_with_is_refused(string scaling, string option, string value, string message)
    {
        var tuning = Set(Set(LoadTuning.None, "rope-scaling", scaling), option, value);
        Assert.Contains(message, (await RefusedAsync(tuning)).Message);

        static LoadTuning Set(LoadTuning tuning, string name, string text) =>
            TuningOption.All.Single(one => one.Name == name).Set(tuning, text)!;
    }

    [TestMethod]
    public async Task What_a_model_without_YaRN_extrapolates_by_is_refused_where_nobody_names_a_scaling()
    {
        Assert.Contains("yarn-orig-ctx has no effect", (await RefusedAsync(new LoadTuning { YarnOriginalContext = 64 })).Message);
        Assert.Contains("needs a yarn-ext-factor above 0",
            (await RefusedAsync(new LoadTuning { RopeScaling = RopeScaling.Yarn, YarnExtFactor = 0, YarnBetaFast = 8 })).Message);
    }

    [TestMethod]
    public async Task Quantized_values_without_flash_attention_are_refused()
    {
        var refused = await RefusedAsync(new LoadTuning { CacheTypeV = CacheType.Q4Level0, FlashAttention = FlashAttention.Off });
        Assert.Contains("quantized V cache requires flash_attn", refused.Message);
        Assert.DoesNotContain("memory", refused.Message);
    }

    [TestMethod]
    public async Task On_the_CPU_all_experts_are_there_and_counted()
    {
        using var folder = new TemporaryFolder();
        await using var model =
            await LoadAsync(folder,
                spec => spec with { Tuning = new LoadTuning { Backend = GpuBackend.Cpu, CpuExpertLayers = LoadTuning.AllLayers } },
            RandomModelShape.Mixtral);

        var memory = model.Facts.Memory.Single();
        const long experts = 4L * 4 * 3 * 64 * 128 * sizeof(float);
        Assert.AreEqual(("cpu", "CPU", experts, model.Facts.SizeBytes),
            (model.Facts.Backend, memory.Device, memory.ExpertBytes, memory.TensorBytes));
        Assert.AreEqual((0, 5), (model.Facts.GpuLayers, model.Facts.Layers));
    }

    private sealed class WarningLog : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = new();

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                Lines.Enqueue(formatter(state, exception));
        }

        public void Dispose()
        {
        }
    }

    private static async Task<EngineException> RefusedAsync(LoadTuning tuning)
    {
        using var folder = new TemporaryFolder();
        var refused =
            await Assert.ThrowsExactlyAsync<EngineException>(() => LoadAsync(folder, spec => spec with { Tuning = tuning }, Shape));
        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        return refused;
    }

    private static async Task<long> CacheBytesAsync(LoadTuning tuning)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Tuning = tuning }, Shape);
        return model.Facts.Memory.Single().CacheBytes;
    }

    private static async Task<string> TokensAsync(LoadTuning tuning)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Tuning = tuning }, Shape);
        var request = Greedy("once upon a time there was", 40);
        var answer = await RunAsync(model, request with { Options = request.Options with { TopLogProbabilities = 0 } });
        return string.Join(' ', answer.Tokens.Zip(answer.LogProbabilities, (token, likely) => $"{token}:{likely?.LogProbability:F3}"));
    }
}
