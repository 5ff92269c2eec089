using System.Text;
using Shimmy.Worker.Sampling;

namespace Shimmy.Tests.Worker.Sampling;

/// <summary>Which texts lead a grammar into one state, and which into none.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class GrammarStatesTests
{
    private const string Json = """
        root ::= value
        value ::= string | number | "[" (value ("," value)*)? "]"
        string ::= "\"" [^"\\]* "\""
        number ::= "-"? [0-9]+ ("." [0-9]+)?
        """;

    private static GrammarState? After(GrammarStates states, params string[] pieces)
    {
        var path = new GrammarPath(states);
        foreach (var piece in pieces)
            path.Accept(Encoding.UTF8.GetBytes(piece));
        return path.State;
    }

    [TestMethod]
    [DataRow("\"ab", "\"xyz é", true)]
    [DataRow("\"", "[\"", false)]
    [DataRow("[1,\"a", "[\"b\",[],\"c", true)]
    [DataRow("1", "12", true)]
    [DataRow("1", "1.5", false)]
    [DataRow("[[1", "[1", false)]
    public void Texts_behind_which_the_same_may_follow_are_one_state(string one, string other, bool same)
    {
        var states = GrammarStates.Of(Json, "root")!;

        Assert.IsNotNull(After(states, one));
        Assert.AreEqual(same, ReferenceEquals(After(states, one), After(states, other)));
    }

    [TestMethod]
    [DataRow("x")]
    [DataRow("[,")]
    [DataRow("\"a\"b")]
    [DataRow("1..")]
    public void What_may_not_follow_has_no_state(string text) => Assert.IsNull(After(GrammarStates.Of(Json, "root")!, text));

    [TestMethod]
    public void Tokens_may_end_inside_a_character()
    {
        var states = GrammarStates.Of(Json, "root")!;
        var path = new GrammarPath(states);
        var bytes = Encoding.UTF8.GetBytes("\"é😀");

        for (var i = 0; i < bytes.Length; i++)
            path.Accept(bytes.AsSpan(i, 1));

        Assert.AreSame(After(states, "\"é😀"), path.State);
        path.Accept(bytes.AsSpan(1, 1));
        Assert.IsNull(path.State);
    }

    [TestMethod]
    public void A_rule_that_is_empty_or_calls_itself_at_its_end_makes_no_new_states()
    {
        var states = GrammarStates.Of("root ::= list\nlist ::= none \"a\" list | none\nnone ::= \"\"", "root")!;

        Assert.AreSame(After(states, "aa"), After(states, "aaaaaaa"));
        Assert.AreSame(states.Start, After(states, "a"));
    }

    [TestMethod]
    public void States_that_never_come_again_end_at_a_bound()
    {
        var states = GrammarStates.Of("root ::= \"(\" root \")\" | \"x\"", "root")!;
        var path = new GrammarPath(states);

        for (var i = 0; i < 20_000; i++)
            path.Accept("("u8);

        Assert.IsNull(path.State);
        Assert.IsNotNull(After(states, "(("));
    }

    [TestMethod]
    public void Many_optional_parts_in_a_row_are_not_as_deep_as_they_are_many()
    {
        var states = GrammarStates.Of("root ::= " + string.Concat(Enumerable.Repeat("\"a\"? ", 20_000)) + "\"b\"", "root")!;

        Assert.HasCount(20_001, states.Start!.Stacks);
        Assert.IsNotNull(After(states, "b"));
    }

    [TestMethod]
    public void What_needs_too_much_memory_is_dropped_and_begun_anew()
    {
        var cache = new GrammarStateCache();
        var grammar = "root ::= " + string.Concat(Enumerable.Repeat("\"a\"? ", 3000)) + "\"b\"";
        var states = cache.Of(grammar, "root")!;
        var path = new GrammarPath(states);

        for (var i = 0; i < 1000 && path.State is not null; i++)
            path.Accept("a"u8);

        Assert.IsNull(path.State);
        Assert.IsTrue(states.IsDropped);
        Assert.IsNull(states.Start);
        Assert.IsNotNull(cache.Of(grammar, "root")!.Start);
    }

    [TestMethod]
    [DataRow("root ::= \"{\" | \"{\" \"a\"", '{')]
    [DataRow("root ::= [{]", '{')]
    [DataRow("root ::= \"{\" | \"[\"", null)]
    [DataRow("root ::= [{-~]", null)]
    [DataRow("root ::= [^{]", null)]
    [DataRow("root ::= \"{\"?", null)]
    [DataRow("root ::= .", null)]
    public void The_only_character_is_reported(string grammar, char? only)
    {
        var states = GrammarStates.Of(grammar, "root")!;

        Assert.AreEqual(only ?? -1, states.OnlyCharacter(states.Start!));
    }

    [TestMethod]
    public void Thousands_of_characters_in_a_list_of_names_are_not_too_many()
    {
        var names = Enumerable.Range(0, 3000).Select(i => $"\"{(char)(0x4E00 + i)}{(char)(0x4E00 + ((i * 7) % 3000))}\"");
        var states = GrammarStates.Of("root ::= " + string.Join(" | ", names), "root")!;

        for (var i = 0; i < 3000; i++)
        {
            for (var next = 0; next < 3000; next += 100)
                Assert.AreEqual(next == (i * 7) % 3000, states.MayFollow(states.Start!, Encoding.UTF8.GetBytes($"{(char)(0x4E00 + i)}{(char)(0x4E00 + next)}")));
        }

        Assert.IsFalse(states.IsFull);
    }

    [TestMethod]
    public void A_grammar_whose_states_became_too_many_is_begun_anew()
    {
        const string Deep = "root ::= \"(\" root \")\" | \"x\"";
        var cache = new GrammarStateCache();
        var states = cache.Of(Deep, "root")!;

        Assert.IsNull(After(states, [.. Enumerable.Repeat("(", 20_000)]));

        Assert.IsTrue(states.IsFull);
        Assert.IsFalse(states.IsDropped);
        Assert.AreNotSame(states, cache.Of(Deep, "root"));
        Assert.IsNull(states.MayFollow(states.Start!, ")"u8));
    }

    [TestMethod]
    public void A_grammar_is_read_once()
    {
        var cache = new GrammarStateCache();

        Assert.AreSame(cache.Of(Json, "root"), cache.Of(Json, "root"));
        Assert.IsNull(cache.Of("root ::= ", "nowhere"));
        Assert.IsNull(cache.Of("no grammar", "root"));
    }
}
