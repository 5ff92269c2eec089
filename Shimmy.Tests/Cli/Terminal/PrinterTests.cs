using Shimmy.Cli.Terminal;

namespace Shimmy.Tests.Cli.Terminal;

/// <summary>What it means that stdout cannot be written.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PrinterTests
{
    [TestMethod]
    public void Only_a_reader_that_left_is_passed_over_in_silence()
    {
        int[] closed = OperatingSystem.IsWindows() ? [unchecked((int)0x8007006D), unchecked((int)0x800700E8)] : [32];
        foreach (var code in closed)
            Assert.IsInstanceOfType<OutputClosedException>(Printer.FailureOf(new IOException("gone", code)));
        Assert.IsInstanceOfType<OutputClosedException>(Printer.FailureOf(new UnauthorizedAccessException()));

        var full = (CommandException)Printer.FailureOf(new IOException("No space left on device", 28));
        Assert.AreEqual((1, "cannot write to stdout: No space left on device"), (full.ExitCode, full.Message));
    }
}
