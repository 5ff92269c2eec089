using Shimmy.Worker.Model;

namespace Shimmy.Tests.Worker.Model;

[TestClass]
[TestCategory("Unit")]
public sealed class ThreadTunerTests
{
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(8)]
    public void It_finds_the_fastest_number_from_any_other(int initial)
    {
        var tuner = new ThreadTuner([1, 2, 4, 8], initial);
        Run(tuner, 5000, threads => threads switch { 1 => 3.0, 2 => 2.0, 4 => 1.0, _ => 1.5 });

        Assert.AreEqual(4, tuner.Threads);
    }

    [TestMethod]
    public void Trials_that_bring_nothing_cost_under_one_percent()
    {
        var tuner = new ThreadTuner([1, 2], 2);
        var total = Run(tuner, 20_000, threads => threads == 2 ? 1.0 : 2.0);

        Assert.IsLessThan(20_200.0, total);
    }

    [TestMethod]
    public void A_hopeless_trial_ends_after_two_steps()
    {
        var tuner = new ThreadTuner([1, 2], 1);
        var slow = 0;
        Run(tuner, 300, threads =>
        {
            slow += threads == 2 ? 1 : 0;
            return threads == 2 ? 10.0 : 1.0;
        });

        Assert.AreEqual(2, slow);
    }

    [TestMethod]
    public void It_follows_when_the_machine_changes()
    {
        var tuner = new ThreadTuner([1, 2], 1);
        Run(tuner, 1000, threads => threads == 1 ? 1.0 : 3.0);
        Assert.AreEqual(1, tuner.Threads);

        Run(tuner, 5000, threads => threads == 1 ? 1.0 : 0.6);

        Assert.AreEqual(2, tuner.Threads);
    }

    [TestMethod]
    public void A_core_that_is_taken_away_costs_few_steps()
    {
        var tuner = new ThreadTuner([1, 2], 2, usual: 1.0);
        Run(tuner, 20, _ => 1.0);

        var slow = 0;
        Run(tuner, 100, threads =>
        {
            slow += threads == 2 ? 1 : 0;
            return threads == 2 ? 200.0 : 1.8;
        });

        Assert.AreEqual((1, 2), (tuner.Threads, slow));
        Assert.IsTrue(tuner.TakeReduced());
        Assert.IsFalse(tuner.TakeReduced());
        var other = new ThreadTuner([1, 2], 2);
        other.Follow(tuner);
        Assert.AreEqual(1, other.Threads);
        other.Follow(new ThreadTuner([1, 2], 2));
        Assert.AreEqual(1, other.Threads);
    }

    [TestMethod]
    public void Steps_that_became_longer_for_all_keep_the_number()
    {
        var tuner = new ThreadTuner([1, 2], 2, usual: 1.0);
        var fewer = 0;
        Run(tuner, 1000, threads =>
        {
            fewer += threads == 1 ? 1 : 0;
            return threads == 2 ? 10.0 : 20.0;
        });

        Assert.AreEqual(2, tuner.Threads);
        Assert.IsLessThan(20, fewer);
    }

    [TestMethod]
    public void A_number_that_was_given_is_kept()
    {
        var tuner = new ThreadTuner([3], 3);
        Run(tuner, 1000, _ => 1.0);

        Assert.AreEqual(3, tuner.Threads);
    }

    private static double Run(ThreadTuner tuner, int steps, Func<int, double> timeOf)
    {
        var total = 0.0;
        for (var i = 0; i < steps; i++)
        {
            var time = timeOf(tuner.Threads);
            total += time;
            tuner.Observe(time);
        }
        return total;
    }
}
