using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Residency;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelResidencyTests
{
    private readonly ScriptedEngine _engine = new();
    private readonly ManualTime _time = new();

    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Deadline => TestContext.CancellationToken;

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Requests_for_an_unloaded_model_load_it_once()
    {
        var gate = new TaskCompletionSource();
        _engine.Loading = (_, _, _) => gate.Task;
        await using var residency = Residency();

        var requests = Enumerable.Range(0, 20).Select(_ => residency.AcquireAsync(Model("a"), null, Deadline)).ToList();
        Assert.AreEqual(ResidencyState.Loading, residency.Resident.Single().State);
        Assert.IsFalse(requests.Any(request => request.IsCompleted));
        gate.SetResult();
        var leases = await Task.WhenAll(requests);

        Assert.AreEqual(1, _engine.Loads);
        Assert.AreEqual(1, leases.Select(lease => lease.Model).Distinct().Count());
        Assert.AreEqual(20, residency.Resident.Single().Requests);
        foreach (var lease in leases)
        {
            lease.Dispose();
            lease.Dispose();
        }

        Assert.AreEqual(0, residency.Resident.Single().Requests);
        Assert.AreEqual(1, _engine.Alive);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task async_load()
    {
        var gate = new TaskCompletionSource();
        _engine.Loading = (spec, _, _) => spec.Name == "slow" ? gate.Task : Task.CompletedTask;
        await using var residency = Residency();
        using var quick = await residency.AcquireAsync(Model("quick"), null, Deadline);

        var slow = residency.AcquireAsync(Model("slow"), null, Deadline);
        using var again = await residency.AcquireAsync(Model("quick"), null, Deadline);
        using var another = await residency.AcquireAsync(Model("another"), null, Deadline);

        Assert.IsFalse(slow.IsCompleted);
        gate.SetResult();
        (await slow).Dispose();
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_cancelled_wait_leaves_the_load_to_the_others()
    {
        var gate = new TaskCompletionSource();
        CancellationToken ofLoad = default;
        _engine.Loading = (_, _, cancellation) =>
        {
            ofLoad = cancellation;
            return gate.Task;
        };
        await using var residency = Residency();
        using var leaving = new CancellationTokenSource();

        var first = residency.AcquireAsync(Model("a"), null, leaving.Token);
        var second = residency.AcquireAsync(Model("a"), null, Deadline);
        await leaving.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => first);
        gate.SetResult();
        using var lease = await second;

        Assert.IsFalse(ofLoad.IsCancellationRequested);
        Assert.AreEqual(1, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task No_more_requests_wait_for_a_load_than_the_model_will_take()
    {
        var begun = new TaskCompletionSource<IProgress<float>>();
        var gate = new TaskCompletionSource();
        _engine.Loading = (_, progress, _) =>
        {
            begun.SetResult(progress!);
            return gate.Task;
        };
        await using var residency = new ModelResidency(
            [_engine], entry => new ModelSpec { Name = entry.Name, Path = entry.Path, Parallel = 1, Queue = 1 }, _time);
        using var leaving = new CancellationTokenSource();
        var first = residency.AcquireAsync(Model("a"), null, Deadline);
        var second = residency.AcquireAsync(Model("a"), null, leaving.Token);
        _time.Advance(TimeSpan.FromSeconds(10));
        (await begun.Task).Report(0.25f);

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("a"), null, Deadline));
        await leaving.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => second);
        var third = residency.AcquireAsync(Model("a"), null, Deadline);
        gate.SetResult();
        using var lease = await first;
        using var other = await third;
        using var afterwards = await residency.AcquireAsync(Model("a"), null, Deadline);

        Assert.AreEqual((EngineFailure.QueueFull, 30), (refused.Failure, refused.RetryAfterSeconds));
        Assert.Contains("2 requests already wait", refused.Message);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_load_that_everybody_left_goes_on_for_who_asks_again()
    {
        var gate = new TaskCompletionSource();
        _engine.Loading = (_, _, _) => gate.Task;
        await using var residency = Residency();
        using var leaving = new CancellationTokenSource();

        var first = residency.AcquireAsync(Model("a"), null, leaving.Token);
        await leaving.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => first);
        var second = residency.AcquireAsync(Model("a"), null, Deadline);
        gate.SetResult();
        using var lease = await second;

        Assert.AreEqual(1, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_load_that_everybody_left_is_called_off_for_who_needs_its_memory()
    {
        _engine.Loading = (spec, _, cancellation) => spec.Name == "a" ? Task.Delay(Timeout.Infinite, cancellation) : Task.CompletedTask;
        await using var residency = Residency(new ResidencyOptions { MaxLoaded = 1 });
        using var leaving = new CancellationTokenSource();

        var first = residency.AcquireAsync(Model("a"), null, leaving.Token);
        await leaving.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => first);
        using var lease = await residency.AcquireAsync(Model("b"), null, Deadline);

        Assert.AreEqual("b", residency.Resident.Single().Entry.Name);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_failed_load_fails_all_who_wait_and_the_next_request_tries_again()
    {
        var gate = new TaskCompletionSource();
        _engine.Loading = (_, _, _) => gate.Task;
        await using var residency = Residency();

        var requests = Enumerable.Range(0, 3).Select(_ => residency.AcquireAsync(Model("a"), null, Deadline)).ToList();
        gate.SetException(new EngineException(EngineFailure.LoadFailed, "bad tensor"));
        foreach (var request in requests)
        {
            var failure = await Assert.ThrowsExactlyAsync<EngineException>(() => request);
            Assert.AreEqual("bad tensor", failure.Message);
        }

        Assert.IsEmpty(residency.Resident);
        _engine.Loading = (_, _, _) => Task.CompletedTask;
        using var lease = await residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.AreEqual(2, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task What_no_engine_takes_and_what_an_engine_throws_are_failed_loads()
    {
        await using var residency = Residency();
        _engine.Takes = _ => false;
        var nobody = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("a"), null, Deadline));
        _engine.Takes = _ => true;
        _engine.Loading = (_, _, _) => throw new InvalidOperationException("oops");
        var fault = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("a"), null, Deadline));

        Assert.AreEqual("no engine can load 'a.gguf'", nobody.Message);
        Assert.AreEqual((EngineFailure.LoadFailed, "oops"), (fault.Failure, fault.Message));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_model_whose_worker_died_is_loaded_anew()
    {
        await using var residency = Residency();
        using var before = await residency.AcquireAsync(Model("a"), null, Deadline);
        ((ScriptedModel)before.Model).Die();

        using var after = await residency.AcquireAsync(Model("a"), null, Deadline);
        before.Dispose();

        Assert.AreNotSame(before.Model, after.Model);
        Assert.IsTrue(((ScriptedModel)before.Model).Disposed);
        Assert.AreEqual(1, residency.Resident.Single().Requests);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Everyone_who_waits_hears_of_the_progress()
    {
        var halfway = new TaskCompletionSource();
        var gate = new TaskCompletionSource();
        _engine.Loading = async (_, progress, _) =>
        {
            progress!.Report(0.5f);
            halfway.SetResult();
            await gate.Task;
            progress.Report(1);
        };
        await using var residency = Residency();
        var early = new Recorded();
        var late = new Recorded();

        var first = residency.AcquireAsync(Model("a"), early, Deadline);
        await halfway.Task;
        var second = residency.AcquireAsync(Model("a"), late, Deadline);
        Assert.AreEqual(0.5f, residency.Resident.Single().Progress);
        gate.SetResult();
        (await first).Dispose();
        (await second).Dispose();

        Assert.AreEqual("0.5 1", string.Join(' ', early.Values));
        Assert.AreEqual("0.5 1", string.Join(' ', late.Values));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Unloading_waits_for_what_runs_and_holds_back_what_comes()
    {
        await using var residency = Residency();
        var running = await residency.AcquireAsync(Model("a"), null, Deadline);

        var unload = residency.UnloadAsync("a", Deadline);
        var next = residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.AreEqual(ResidencyState.Draining, residency.Resident.Single().State);
        Assert.IsFalse(unload.IsCompleted || next.IsCompleted || running.Model.Completion.IsCompleted);
        running.Dispose();

        Assert.IsTrue(await unload);
        using var lease = await next;
        Assert.AreNotSame(running.Model, lease.Model);
        Assert.IsFalse(await residency.UnloadAsync("b", Deadline));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_load_that_nobody_waits_for_is_called_off_by_unloading()
    {
        _engine.Loading = (_, _, cancellation) => Task.Delay(Timeout.Infinite, cancellation);
        await using var residency = Residency();
        using var leaving = new CancellationTokenSource();
        var request = residency.AcquireAsync(Model("a"), null, leaving.Token);
        await leaving.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => request);

        Assert.IsTrue(await residency.UnloadAsync("a", Deadline));
        Assert.IsEmpty(residency.Resident);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_changed_way_of_loading_takes_effect_with_the_next_request()
    {
        var context = 512;
        await using var residency = new ModelResidency(
            [_engine], entry => new ModelSpec { Name = entry.Name, Path = entry.Path, ContextLength = context }, _time);
        var before = await residency.AcquireAsync(Model("a"), null, Deadline);
        using var same = await residency.AcquireAsync(Model("a"), null, Deadline);
        Assert.AreSame(before.Model, same.Model);
        context = 1024;

        var pending = residency.AcquireAsync(Model("a"), null, Deadline);
        before.Dispose();
        Assert.IsFalse(pending.IsCompleted);
        same.Dispose();

        using var after = await pending;
        Assert.AreEqual(1024, after.Model.Spec.ContextLength);
        Assert.AreEqual(1, _engine.Alive);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Disposing_ends_everything()
    {
        _engine.Loading = (spec, _, cancellation) =>
            spec.Name == "stuck" ? Task.Delay(Timeout.Infinite, cancellation) : Task.CompletedTask;
        var residency = Residency();
        var busy = await residency.AcquireAsync(Model("busy"), null, Deadline);
        (await residency.AcquireAsync(Model("idle"), null, Deadline)).Dispose();
        var stuck = residency.AcquireAsync(Model("stuck"), null, Deadline);

        await residency.DisposeAsync();

        Assert.AreEqual(0, _engine.Alive);
        Assert.IsTrue(busy.Model.Completion.IsCompleted);
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(() => stuck);
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(() => residency.AcquireAsync(Model("busy"), null, Deadline));
        busy.Dispose();
    }

    [TestMethod]
    public async Task A_loaded_model_can_what_its_load_has_shown()
    {
        var facts = _engine.Facts;
        _engine.Facts = spec => facts(spec) with { CanSee = false, SampleRate = 16_000 };
        await using var residency = Residency();
        var model = Model("a") with { Sees = true };
        Assert.Contains("vision", residency.AsLoaded(model).Capabilities);

        using var lease = await residency.AcquireAsync(model, null, Deadline);

        CollectionAssert.AreEqual(new[] { "completion", "audio" }, residency.AsLoaded(model).Capabilities.ToArray());
    }

    private ModelResidency Residency(ResidencyOptions? options = null) =>
        new([_engine], entry => new ModelSpec { Name = entry.Name, Path = entry.Path }, _time, options);

    private static ModelEntry Model(string name) => new() { Name = name, Path = $"/models/{name}.gguf" };

    private sealed class Recorded : IProgress<float>
    {
        public List<float> Values { get; } = [];

        public void Report(float value) => Values.Add(value);
    }
}
