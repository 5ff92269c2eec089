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
}
