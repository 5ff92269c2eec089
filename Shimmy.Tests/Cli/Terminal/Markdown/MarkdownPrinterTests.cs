using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Markdown;

namespace Shimmy.Tests.Cli.Terminal.Markdown;

/// <summary>Markdown as rows, whole and while it comes.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MarkdownPrinterTests
{
    [TestMethod]
    [DataRow("# Title\nA *word* in **bold** and `code`.", "\u001b[1;4mTitle\u001b[0m\nA \u001b[3mword\u001b[0m in \u001b[1mbold\u001b[0m and \u001b[36mcode\u001b[0m.")]
    [DataRow("2 * 3 * 4, snake_case_name, a\\*b, `open", "2 * 3 * 4, snake_case_name, a*b, `open")]
    [DataRow("[docs](http://x/y)", "\u001b[4mdocs\u001b[0m\u001b[2m (http://x/y)\u001b[0m")]
    [DataRow("***", "\u001b[2m────────────────────────────────────────\u001b[0m")]
    public void A_line_looks_as_it_is_meant(string markdown, string rows) => Assert.AreEqual(rows, string.Join('\n', Rows(markdown, 60)));

    [TestMethod]
    [DataRow("- one two three four five six seven\n  - deeper\n1. first", "• one two three four five six\n  seven\n  • deeper\n1. first")]
    [DataRow("> a quote that is too long for a row", "│ a quote that is too long\n│ for a row")]
    [DataRow("```py\nif x:\n    **y**\n\n```\nafter", "  py\n  if x:\n      **y**\n\nafter")]
    [DataRow("~~~~\n```\n~~~~\nafter", "  ```\nafter")]
    [DataRow("ein日本語の文章はここで折り返されます", "ein日本語の文章はここで折り返\nされます")]
    public void Blocks_keep_their_form_at_the_width(string markdown, string rows) =>
        Assert.AreEqual(rows, string.Join('\n', Rows(markdown, 30).Select(Frame.Plain)));

    [TestMethod]
    public void A_table_fits_the_width_and_breaks_what_is_long_within_its_column()
    {
        const string table =
            "| Name | What it does | N |\n|---|:--|--:|\n| 日本 | a `long` description of many words | 7 |\n| x | y | 12 |\nend";
        Assert.AreEqual("""
            Name │ What it does     │   N
            ─────┼──────────────────┼────
            日本 │ a long           │   7
                 │ description of   │
                 │ many words       │
            x    │ y                │  12
            end
            """, string.Join('\n', Rows(table, 30).Select(row => Frame.Plain(row).TrimEnd())));
        Assert.IsTrue(Rows(table, 20).TrueForAll(row => TerminalText.WidthOf(Frame.Plain(row)) < 20));
    }

    [TestMethod]
    public void Pieces_of_any_size_give_the_same_rows_and_what_is_open_is_live()
    {
        const string markdown = "# A\n\nsome **bold words** here\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n- last";
        var whole = Rows(markdown, 40);
        var printer = new MarkdownPrinter(() => 40);
        var rows = new List<string>();
        foreach (var c in markdown)
        {
            printer.Append(c.ToString());
            rows.AddRange(printer.TakeFinished());
            _ = printer.Live();
        }
        printer.Finish();
        rows.AddRange(printer.TakeFinished());
        CollectionAssert.AreEqual(whole, rows);

        var open = new MarkdownPrinter(() => 40);
        open.Append("so **bo");
        CollectionAssert.AreEqual(new[] { "so \u001b[1mbo\u001b[0m" }, open.Live());
    }

    [TestMethod]
    public void A_line_without_end_becomes_rows_before_its_end()
    {
        var printer = new MarkdownPrinter(() => 80);
        for (var i = 0; i < 300; i++)
        {
            printer.Append("*word and ten more words without the end of their line ");
            Assert.IsLessThan(80, printer.Live().Count);
        }
        Assert.IsGreaterThan(150, printer.TakeFinished().Count);
    }

    private static List<string> Rows(string markdown, int width)
    {
        var printer = new MarkdownPrinter(() => width);
        printer.Append(markdown);
        printer.Finish();
        return printer.TakeFinished();
    }
}
