using Shimmy.Cli.Terminal;

namespace Shimmy.Tests.Cli.Terminal;

[TestClass]
[TestCategory("Unit")]
public sealed class TableTests
{
    private static readonly string[][] Rows = [["日本語モデル", "7", "/a/very/long/path/of/a/model.gguf"], ["short", "12345", "/b"]];

    [TestMethod]
    public void Columns_are_as_wide_as_their_cells_in_a_file() => Assert.AreEqual("""
        NAME          N      FILE
        日本語モデル  7      /a/very/long/path/of/a/model.gguf
        short         12345  /b
        """, Table.Format(["NAME", "N", "FILE"], Rows, null));

    [TestMethod]
    public void On_a_terminal_lines_fit_and_a_path_keeps_its_end()
    {
        var table = Table.Format(["NAME", "N", "FILE"], Rows, 36);
        Assert.AreEqual("""
            NAME          N      FILE
            日本語モデル  7      …f/a/model.gguf
            short         12345  /b
            """, table);
        Assert.IsTrue(table.Split('\n').All(line => TerminalText.WidthOf(line) <= 36));
    }

    [TestMethod]
    public void The_first_column_gives_last() => Assert.AreEqual("""
        MODEL WITH A NAME  QUANTIZ…  …el.gguf
        """, Table.Format(["MODEL WITH A NAME", "QUANTIZATION", "/a/long/path/model.gguf"], [], 37));

    [TestMethod]
    public void Progress_has_a_sign_that_turns_and_a_bar_and_comes_after_half_a_second()
    {
        Assert.AreEqual("⠋ loading x ██████████░░░░░░░░░░ 50 %", ProgressLine.Row("loading x", 0.5f, TimeSpan.Zero, 80));
        Assert.AreEqual("⠙ looking f…", ProgressLine.Row("looking for models", null, TimeSpan.FromMilliseconds(150), 13));
        var written = "";
        using var line = new ProgressLine(text => written += text);
        line.Set("quick", null);
        line.Clear();
        Assert.AreEqual("", written);
    }
}
