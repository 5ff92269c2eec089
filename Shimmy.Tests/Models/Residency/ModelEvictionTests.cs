using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Models.Residency;

/// <summary>How long models stay and who makes room for whom.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ModelEvictionTests
{
    private const long Megabyte = 1 << 20;

    private readonly ScriptedEngine _engine = new();
    private readonly ManualTime _time = new();

    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Deadline => TestContext.CancellationToken;

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task An_idle_model_goes_when_its_time_is_over_and_a_busy_one_stays()
    {
        await using var residency = Residency(new ResidencyOptions { KeepAlive = TimeSpan.FromMinutes(5) });
        var lease = await residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.IsNull(residency.Resident.Single().ExpiresAt);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.HasCount(1, residency.Resident);

        lease.Dispose();
        Assert.AreEqual(_time.GetUtcNow() + TimeSpan.FromMinutes(5), residency.Resident.Single().ExpiresAt);
        _time.Advance(TimeSpan.FromMinutes(4));
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        _time.Advance(TimeSpan.FromMinutes(4));
        Assert.HasCount(1, residency.Resident, "a request begins the time anew");
        _time.Advance(TimeSpan.FromMinutes(1) + TimeSpan.FromSeconds(1));

        await Gone(residency);
        Assert.AreEqual(0, _engine.Alive);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task The_request_beats_the_model_and_the_model_beats_the_default()
    {
        await using var residency = Residency(new ResidencyOptions { KeepAlive = TimeSpan.FromMinutes(5) });
        var own = Model("own") with { Settings = ModelSettings.None with { KeepAlive = TimeSpan.FromMinutes(1) } };
        (await residency.AcquireAsync(own, null, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("asked"), null, TimeSpan.FromHours(2), Deadline)).Dispose();
        (await residency.AcquireAsync(Model("plain"), null, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("ever"), null, KeepAlive.Forever, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("never"), null, TimeSpan.Zero, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("long"), null, TimeSpan.FromDays(4_000_000), Deadline)).Dispose();

        await Remaining(residency, "asked ever long own plain");
        _time.Advance(TimeSpan.FromMinutes(2));
        await Remaining(residency, "asked ever long plain");
        _time.Advance(TimeSpan.FromMinutes(10));
        await Remaining(residency, "asked ever long");
        _time.Advance(TimeSpan.FromDays(400));
        await Remaining(residency, "ever long");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_pinned_model_stays_whatever_happens()
    {
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 2 });
        var pinned = Model("pinned") with { Settings = ModelSettings.None with { Pinned = true } };
        (await residency.AcquireAsync(pinned, null, TimeSpan.Zero, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("b"), null, Deadline)).Dispose();
        await Remaining(residency, "b pinned");
        _time.Advance(TimeSpan.FromDays(1));
        await Remaining(residency, "pinned");
        Assert.IsTrue(residency.Resident.Single().Pinned);
        Assert.IsTrue(await residency.UnloadAsync("pinned", Deadline), "by hand it goes");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_model_is_pinned_by_hand_until_it_is_let_go_or_unloaded()
    {
        await using var residency = Residency(new ResidencyOptions());
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        residency.Pin(Model("a"), true);
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        _time.Advance(TimeSpan.FromDays(1));
        await Remaining(residency, "a");

        residency.Pin(Model("a"), false);
        await Remaining(residency, "");

        residency.Pin(Model("a"), true);
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        Assert.IsTrue(await residency.UnloadAsync("a", Deadline));
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        Assert.IsFalse(residency.Resident.Single().Pinned, "an unload takes the pin away");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task The_idle_model_that_was_used_longest_ago_is_evicted()
    {
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 3 });
        foreach (var name in new[] { "a", "b", "c" })
        {
            (await residency.AcquireAsync(Model(name), null, Deadline)).Dispose();
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        using var busy = await residency.AcquireAsync(Model("b"), null, Deadline);
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();
        using var d = await residency.AcquireAsync(Model("d"), null, Deadline);

        await Remaining(residency, "a b d");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Only_as_many_models_go_as_the_memory_needs()
    {
        await using var residency = Residency(Budget(100));
        foreach (var name in new[] { "a30", "b30", "c30" })
        {
            (await residency.AcquireAsync(Model(name), null, Deadline)).Dispose();
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        (await residency.AcquireAsync(Model("d10"), null, Deadline)).Dispose();
        await Remaining(residency, "a30 b30 c30 d10");
        (await residency.AcquireAsync(Model("e50"), null, Deadline)).Dispose();
        await Remaining(residency, "c30 d10 e50");
        Assert.AreEqual(90 * Megabyte, residency.Resident.Sum(model => model.MemoryBytes));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task What_a_model_really_took_counts_once_it_is_known()
    {
        _engine.Facts = spec => new ModelFacts { Architecture = "x", Description = "x", ResidentBytes = 80 * Megabyte };
        await using var residency = Residency(Budget(100));
        (await residency.AcquireAsync(Model("a30"), null, Deadline)).Dispose();
        (await residency.AcquireAsync(Model("b30"), null, Deadline)).Dispose();
        await Remaining(residency, "b30");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task What_can_never_fit_is_refused_with_the_numbers()
    {
        await using var residency = Residency(Budget(100) with { MaxLoaded = 2 });
        var huge = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("a130"), null, Deadline));
        Assert.AreEqual(EngineFailure.LoadFailed, huge.Failure);
        Assert.StartsWith("model 'a130' needs about 130 MB but the memory budget is 100 MB: weights 130 MB, ", huge.Message);

        (await residency.AcquireAsync(Pinned("p60"), null, Deadline)).Dispose();
        var beside = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("b50"), null, Deadline));
        Assert.StartsWith(
            "model 'b50' needs about 50 MB but the memory budget is 100 MB, of which 60 MB are taken by pinned models: ", beside.Message);

        (await residency.AcquireAsync(Pinned("q10"), null, Deadline)).Dispose();
        var full = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("c1"), null, Deadline));
        Assert.AreEqual("model 'c1' cannot be loaded: at most 2 models may be in memory and as many are pinned", full.Message);
        Assert.AreEqual(2, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_model_that_cannot_be_loaded_at_all_is_refused_with_its_reason()
    {
        await using var residency = Residency();
        var failure = await Assert.ThrowsExactlyAsync<EngineException>(
            () => residency.AcquireAsync(Model("a") with { WhyUnloadable = "it is Ollama's" }, null, Deadline));
        Assert.AreEqual("model 'a' cannot be loaded: it is Ollama's", failure.Message);
        Assert.AreEqual(0, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_load_that_would_fail_in_any_case_is_not_begun_and_evicts_nothing()
    {
        await using var residency = Residency(new ResidencyOptions
        {
            MaxLoaded = 1,
            Need = (entry, spec, _, _) => ValueTask.FromResult(new LoadNeed(spec, MemoryEstimate.Of(spec, entry.SizeBytes))
            {
                WhyUnfit = entry.Name == "b" ? "its projector is for another width" : null,
            }),
        });
        (await residency.AcquireAsync(Model("a"), null, Deadline)).Dispose();

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("b"), null, Deadline));

        Assert.AreEqual((EngineFailure.LoadFailed, true, "its projector is for another width"),
            (refused.Failure, refused.IsLasting, refused.Message));
        Assert.AreEqual((1, "a"), (_engine.Loads, residency.Resident.Single().Entry.Name));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_busy_model_is_not_unloaded_for_another_until_it_is_idle()
    {
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 1 });
        var busy = await residency.AcquireAsync(Model("a"), null, Deadline);
        var waiting = residency.AcquireAsync(Model("b"), null, Deadline);
        using var again = await residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.IsFalse(waiting.IsCompleted);
        busy.Dispose();
        Assert.IsFalse(waiting.IsCompleted);
        again.Dispose();

        using var lease = await waiting;
        Assert.AreEqual(1, _engine.Alive);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_model_under_steady_use_lets_another_in_after_a_while_and_comes_back()
    {
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 1, DrainAfter = TimeSpan.FromSeconds(5) });
        var first = await residency.AcquireAsync(Model("a"), null, Deadline);
        var other = residency.AcquireAsync(Model("b"), null, Deadline);
        _time.Advance(TimeSpan.FromSeconds(4));
        var second = await residency.AcquireAsync(Model("a"), null, Deadline);
        first.Dispose();

        _time.Advance(TimeSpan.FromSeconds(2));
        var third = residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.AreEqual(ResidencyState.Draining, residency.Resident.First(model => model.Entry.Name == "a").State);
        Assert.IsFalse(third.IsCompleted, "it takes no more requests before the other had its turn");
        Assert.IsFalse(second.Model.Completion.IsCompleted, "what it has begun it ends");
        second.Dispose();

        var lease = await other;
        Assert.IsFalse(third.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(6));
        Assert.IsFalse(third.IsCompleted);
        lease.Dispose();
        (await third).Dispose();
        Assert.AreEqual(3, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_model_that_drains_for_a_request_that_gave_up_takes_requests_again()
    {
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 1, DrainAfter = TimeSpan.FromSeconds(5) });
        using var busy = await residency.AcquireAsync(Model("a"), null, Deadline);
        using var leaving = new CancellationTokenSource();
        var other = residency.AcquireAsync(Model("b"), null, leaving.Token);
        _time.Advance(TimeSpan.FromSeconds(6));
        var held = residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.IsFalse(held.IsCompleted);

        await leaving.CancelAsync();
        using var lease = await held;

        Assert.AreSame(busy.Model, lease.Model);
        await Assert.ThrowsAsync<OperationCanceledException>(() => other);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Of_two_that_wait_the_first_is_loaded_first_even_where_the_later_one_would_fit()
    {
        await using var residency = Residency(Budget(100));
        var busy = await residency.AcquireAsync(Model("a60"), null, Deadline);
        var large = residency.AcquireAsync(Model("b90"), null, Deadline);
        var small = residency.AcquireAsync(Model("c10"), null, Deadline);
        Assert.IsFalse(small.IsCompleted);
        busy.Dispose();

        using var lease = await large;
        using var next = await small;
        await Remaining(residency, "b90 c10");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task The_most_wanted_comes_first_until_another_has_waited_long_enough()
    {
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 1, DrainAfter = TimeSpan.FromSeconds(5) });
        var busy = await residency.AcquireAsync(Model("a"), null, Deadline);
        var early = residency.AcquireAsync(Model("b"), null, Deadline);
        var wanted = new[] { residency.AcquireAsync(Model("c"), null, Deadline), residency.AcquireAsync(Model("c"), null, Deadline) };
        busy.Dispose();
        var leases = await Task.WhenAll(wanted);
        Assert.IsFalse(early.IsCompleted);

        var later = new[] { residency.AcquireAsync(Model("d"), null, Deadline), residency.AcquireAsync(Model("d"), null, Deadline) };
        _time.Advance(TimeSpan.FromSeconds(6));
        Array.ForEach(leases, lease => lease.Dispose());
        using var patient = await early;
        Assert.IsFalse(later[0].IsCompleted);
        patient.Dispose();
        Array.ForEach(await Task.WhenAll(later), lease => lease.Dispose());
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Memory_for_states_counts_and_is_less_where_others_are_loaded()
    {
        var budget = Budget(100);
        await using var residency = Residency(budget with
        {
            // As much as the estimate gives where nobody has said how much.
            Need = async (entry, spec, left, cancellation) => await budget.Need(entry, spec, left, cancellation) is var need
                ? need with { Spec = need.Spec with { PrefixMemoryBytes = 20 * Megabyte } }
                : throw new InvalidOperationException(),
        });
        foreach (var name in new[] { "a30", "b30", "c10" })
        {
            (await residency.AcquireAsync(Model(name), null, Deadline)).Dispose();
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        // 20 of 70, 10 of 20, half of 0.
        await Remaining(residency, "a30 b30 c10");
        CollectionAssert.AreEqual(new[] { 50L, 40L, 10L }, residency.Resident.Select(model => model.MemoryBytes / Megabyte).ToArray());
        CollectionAssert.AreEqual(new long?[] { 20, 10, 0 },
            residency.Resident.Select(model => model.Model!.Spec.PrefixMemoryBytes / Megabyte).ToArray());
    }

    private ModelResidency Residency(ResidencyOptions? options = null) =>
        new([_engine], entry => new ModelSpec { Name = entry.Name, Path = entry.Path }, _time, options);

    // A model's name ends in its size in megabytes.
    private static ResidencyOptions Budget(int megabytes) => new()
    {
        MemoryBudget = megabytes * Megabyte,
        Need = (entry, spec, _, _) => ValueTask.FromResult(ResidencyRun.NeedOf(spec, long.Parse(entry.Name[1..], null) * Megabyte)),
    };

    private static ModelEntry Pinned(string name) => Model(name) with { Settings = ModelSettings.None with { Pinned = true } };

    private static ModelEntry Model(string name) => new() { Name = name, Path = $"/models/{name}.gguf" };

    private static Task Gone(ModelResidency residency) => Remaining(residency, "");

    // Unloading ends on another thread.
    private static Task Remaining(ModelResidency residency, string names) => Poll.UntilAsync(
        () => string.Join(' ', residency.Resident.Select(model => model.Entry.Name)) == names, $"only '{names}' are in memory");
}
