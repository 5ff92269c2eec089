using Shimmy.Cli.Terminal;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Cli.Terminal;

[TestClass]
[TestCategory("Unit")]
public sealed class ForceQuitTests
{
    [TestMethod]
    public void A_second_signal_ends_the_process_but_not_one_that_a_group_was_sent_with_the_first()
    {
        var (time, ended) = (new ManualTime(), 0);
        using var quit = new ForceQuit(() => ended++, time);

        quit.Arrived();
        quit.Arrived();
        time.Advance(TimeSpan.FromMilliseconds(999));
        quit.Arrived();
        Assert.AreEqual(0, ended);
        time.Advance(TimeSpan.FromMilliseconds(1));
        quit.Arrived();
        Assert.AreEqual(1, ended);
    }

    [TestMethod]
    public void The_first_signal_ends_nothing_however_late_it_comes()
    {
        var (time, ended) = (new ManualTime(), 0);
        using var quit = new ForceQuit(() => ended++, time);

        time.Advance(TimeSpan.FromHours(1));
        quit.Arrived();
        Assert.AreEqual(0, ended);
    }
}
