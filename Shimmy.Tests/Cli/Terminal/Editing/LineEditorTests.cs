using System.Text;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Editing;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Cli.Terminal.Editing;

/// <summary>The bytes of keys in, the screen out.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class LineEditorTests
{
    private const string PasteBegins = "\u001b[200~";
    private const string PasteEnds = "\u001b[201~";

    [TestMethod]
    [DataRow("hello", "hello")]
    [DataRow("a\u007f b", " b", DisplayName = "backspace")]
    [DataRow("helo\u001b[D\u0001X", "Xhelo", DisplayName = "Ctrl+A after an arrow")]
    [DataRow("one two\u0017three", "one three", DisplayName = "Ctrl+W")]
    [DataRow("one two\u001bb\u000b", "one ", DisplayName = "Alt+B, Ctrl+K")]
    [DataRow("one two\u0015\u0019\u0019", "one twoone two", DisplayName = "Ctrl+U, twice Ctrl+Y")]
    [DataRow("one two\u001b[1;5D\u001b[3~", "one wo", DisplayName = "Ctrl+Left, Delete")]
    [DataRow("ab\u0014", "ba", DisplayName = "Ctrl+T")]
    [DataRow("ab\u0017c\u001f\u001f", "ab", DisplayName = "Ctrl+_ takes back")]
    [DataRow("one\u001b\rtwo", "one\ntwo", DisplayName = "Alt+Enter")]
    [DataRow("one\ntwo", "one\ntwo", DisplayName = "Ctrl+J")]
    [DataRow("one\u001b[13;2utwo", "one\ntwo", DisplayName = "Shift+Enter as kitty tells it")]
    [DataRow("one\u001b[27;2;13~two", "one\ntwo", DisplayName = "Shift+Enter as xterm tells it")]
    [DataRow("one\\\rtwo", "one\ntwo", DisplayName = "a trailing backslash")]
    [DataRow("\"\"\"one\rtwo\rthree\"\"\"", "\"\"\"one\ntwo\nthree\"\"\"", DisplayName = "quotes")]
    [DataRow("日本\u001b[Dx", "日x本", DisplayName = "an arrow moves over a wide character")]
    [DataRow("a👨‍👩‍👧\u007fb", "ab", DisplayName = "backspace deletes a family as one")]
    [DataRow("one\u001b[13u", "one", DisplayName = "an Enter of kitty's protocol sends")]
    [DataRow("one\u001b[1;129Dx", "onxe", DisplayName = "an arrow under Num Lock")]
    [DataRow("\u001b[99;5uab\u001b[97;5uc", "cab", DisplayName = "Ctrl+A of kitty's protocol")]
    public void Keys_make_the_text(string keys, string text)
    {
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        Type(editor, keys);
        Assert.AreEqual(text, editor.Buffer.Text);
    }

    [TestMethod]
    public void A_paste_never_sends_and_a_long_one_folds_until_it_is_sent()
    {
        var history = new InputHistory(null);
        var editor = new LineEditor(history, (_, _) => null);
        var terminal = new Emulator(40, 24);
        var screen = new Screen(terminal.Write, () => (terminal.Columns, terminal.Rows));
        var lines = string.Join('\r', Enumerable.Range(1, 123).Select(i => $"line {i}"));

        Assert.AreEqual(EditOutcome.Editing, Type(editor, $"{PasteBegins}short\rpaste{PasteEnds} "));
        Assert.AreEqual(EditOutcome.Editing, Type(editor, $"{PasteBegins}{lines}{PasteEnds} what is it?"));
        screen.Show(editor.Layout(terminal.Columns, "> "));
        Assert.AreEqual("> short\n  paste [123 lines] what is it?", terminal.Text);

        Assert.AreEqual(EditOutcome.Sent, Type(editor, "\r"));
        Assert.AreEqual($"short\npaste {lines.Replace('\r', '\n')} what is it?", editor.Sent);
        Assert.AreEqual(editor.Sent, history.Lines[^1]);
    }

    [TestMethod]
    public void A_paste_that_comes_in_pieces_is_one_and_brings_no_control_characters()
    {
        var parser = new KeyParser();
        foreach (var piece in (string[])["\u001b", "[20", "0~a\u001b[31mb", "\u0003ü"[..1], "\u001b[20", "1~"])
        {
            parser.Feed(Encoding.UTF8.GetBytes(piece));
            if (piece != "1~")
                Assert.IsFalse(parser.TryNext(out _), piece);
        }
        Assert.IsTrue(parser.TryNext(out var key));
        Assert.AreEqual(KeyCode.Paste, key.Code);
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        editor.Handle(key);
        Assert.AreEqual("a[31mb", editor.Buffer.Text);
    }

    [TestMethod]
    public void Control_C_clears_a_text_and_says_so_on_an_empty_line_and_Control_D_ends()
    {
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        Assert.AreEqual(EditOutcome.Editing, Type(editor, "abc\u0003"));
        Assert.AreEqual("", editor.Buffer.Text);
        Assert.AreEqual(EditOutcome.Interrupted, Type(editor, "\u0003"));
        Assert.AreEqual(EditOutcome.Editing, Type(editor, "a\u0004"));
        Type(editor, "\u007f");
        Assert.AreEqual(EditOutcome.Ended, Type(editor, "\u0004"));
    }

    [TestMethod]
    public void A_row_that_is_full_breaks_and_the_cursor_stands_where_the_next_character_will()
    {
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        var terminal = new Emulator(10, 24);
        var screen = new Screen(terminal.Write, () => (terminal.Columns, terminal.Rows));
        foreach (var key in "abcdef日本語gh")
        {
            Type(editor, key.ToString());
            screen.Show(editor.Layout(terminal.Columns, "> "));
        }
        Assert.AreEqual("> abcdef\n  日本語g\n  h", terminal.Text);
        Assert.AreEqual((2, 3), terminal.Cursor);

        Type(editor, "\u0001X");
        screen.Show(editor.Layout(terminal.Columns, "> "));
        Assert.AreEqual("> Xabcdef\n  日本語g\n  h", terminal.Text);
        Assert.AreEqual((0, 3), terminal.Cursor);
    }

    [TestMethod]
    public void Arrows_go_through_the_history_and_bring_back_what_was_being_typed()
    {
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        foreach (var line in (string[])["first", "second\\\rline", " secret", "third"])
        {
            Type(editor, line + "\r");
            editor.Begin();
        }
        Type(editor, "draft\u001b[A\u001b[A");
        Assert.AreEqual("second\nline", editor.Buffer.Text);
        // Within a text of several lines an arrow moves, beyond it leaves the text.
        Type(editor, "\u001bOA");
        Assert.AreEqual("second\nline", editor.Buffer.Text);
        Type(editor, "\u001b[A");
        Assert.AreEqual("first", editor.Buffer.Text);
        Type(editor, "\u001b[B\u001b[B\u001b[B");
        Assert.AreEqual("draft", editor.Buffer.Text);
    }

    [TestMethod]
    public void Control_R_finds_older_lines_and_Enter_sends_the_one_that_is_shown()
    {
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        foreach (var line in (string[])["an apple", "a pear", "an Apricot"])
        {
            Type(editor, line + "\r");
            editor.Begin();
        }
        var terminal = new Emulator(40, 24);
        var screen = new Screen(terminal.Write, () => (terminal.Columns, terminal.Rows));
        Type(editor, "\u0012ap");
        screen.Show(editor.Layout(terminal.Columns, "> "));
        Assert.AreEqual("(search 'ap') an Apricot", terminal.Text);
        Assert.AreEqual(EditOutcome.Sent, Type(editor, "\u0012\r"));
        Assert.AreEqual("an apple", editor.Sent);

        editor.Begin("kept");
        Type(editor, "\u0012pear\u0007");
        Assert.AreEqual("kept", editor.Buffer.Text);
    }

    [TestMethod]
    public void The_history_is_read_again_with_its_lines_and_belongs_to_its_owner()
    {
        using var folder = new TemporaryFolder();
        var history = new InputHistory(folder["state/history"]);
        history.Add("one\ntwo \\n three\\");
        history.Add(" with a blank before it");
        history.Add("one\ntwo \\n three\\");
        CollectionAssert.AreEqual(new[] { "one\ntwo \\n three\\" }, new InputHistory(folder["state/history"]).Lines.ToArray());
        if (!OperatingSystem.IsWindows())
            Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["state/history"]));
    }

    [TestMethod]
    public void Tab_completes_what_is_common_and_shows_what_there_is_to_choose()
    {
        var editor = new LineEditor(new InputHistory(null), (text, _) => new Completion(0,
            [.. ((string[])["/set ", "/show", "/stats", "/system"]).Where(one => one.StartsWith(text, StringComparison.Ordinal))]));
        var terminal = new Emulator(30, 24);
        var screen = new Screen(terminal.Write, () => (terminal.Columns, terminal.Rows));
        Type(editor, "/s\t");
        screen.Show(editor.Layout(terminal.Columns, "> "));
        Assert.AreEqual("> /s\n/set     /show    /stats\n/system", terminal.Text);
        Assert.AreEqual((0, 4), terminal.Cursor);
        Type(editor, "h\t");
        screen.Show(editor.Layout(terminal.Columns, "> "));
        Assert.AreEqual("> /show", terminal.Text);
    }

    [TestMethod]
    public void What_is_printed_stands_above_the_text_that_is_typed_and_a_narrower_terminal_leaves_nothing_behind()
    {
        var editor = new LineEditor(new InputHistory(null), (_, _) => null);
        var terminal = new Emulator(40, 24);
        var columns = 40;
        var screen = new Screen(terminal.Write, () => (columns, 24));
        Type(editor, "this text takes almost the row, and more");
        screen.Show(editor.Layout(columns, "> "));
        screen.Print("a note");
        Assert.AreEqual("a note\n> this text takes almost the row, and m\n  ore", terminal.Text);
        screen.Keep(editor.Layout(columns, "> "));
        screen.Print("the answer");
        Assert.AreEqual("a note\n> this text takes almost the row, and m\n  ore\nthe answer", terminal.Text);

        // A terminal of half the width has made four rows of the two.
        var narrow = new Emulator(20, 24);
        var half = new Screen(text => (columns == 40 ? terminal : narrow).Write(text), () => (columns, 24));
        half.Show(editor.Layout(40, "> "));
        columns = 20;
        narrow.Write("> this text takes almost the row, and m\r\n  ore");
        half.Show(editor.Layout(columns, "> "));
        Assert.AreEqual("> this text takes a\n  lmost the row, an\n  d more", narrow.Text);
    }

    [TestMethod]
    [DataRow("a\u001b[2Jb\u0007", "a␛[2Jb␇")]
    [DataRow("\u009b31mred\u202e", "<U+009B>31mred<U+202E>")]
    [DataRow("tab\tand\nline", "tab\tand\nline")]
    public void Control_characters_are_shown(string text, string shown) => Assert.AreEqual(shown, TerminalText.Escaped(text));

    [TestMethod]
    [DataRow("abc", 3)]
    [DataRow("日本", 4)]
    [DataRow("e\u0301", 1)]
    [DataRow("👨‍👩‍👧", 2)]
    [DataRow("❤️", 2)]
    [DataRow("한글", 4)]
    public void A_text_takes_as_many_cells_as_a_terminal_gives_it(string text, int cells) =>
    Assert.AreEqual(cells, TerminalText.WidthOf(text));

    private static EditOutcome Type(LineEditor editor, string keys)
    {
        var parser = new KeyParser();
        parser.Feed(Encoding.UTF8.GetBytes(keys));
        var outcome = EditOutcome.Editing;
        while (parser.TryNext(out var key, isLate: true))
            outcome = editor.Handle(key);
        return outcome;
    }
}
