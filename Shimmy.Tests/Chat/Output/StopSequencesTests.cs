using System.Text;
using Shimmy.Chat.Output;

namespace Shimmy.Tests.Chat.Output;

[TestClass]
[TestCategory("Unit")]
public sealed class StopSequencesTests
{
    [TestMethod]
    public void Random_texts_are_cut_at_the_same_place_however_they_are_split()
    {
        var random = new Random(3);
        var hits = 0;
        for (var round = 0; round < 20_000; round++)
        {
            var stops = Enumerable.Range(0, random.Next(0, 4)).Select(_ => RandomText.Next(random, 1, 4)).ToArray();
            var text = RandomText.Next(random, 0, 30);
            var (expected, stop) = Cut(text, stops);
            var filter = new StopSequences(stops);
            var sent = new StringBuilder();
            var seen = new StringBuilder();
            // Tokens are whole characters once the bytes are assembled: a surrogate pair is not split.
            foreach (var piece in RandomText.Split(random, text.EnumerateRunes().ToArray()))
            {
                var next = string.Concat(piece);
                seen.Append(next);
                sent.Append(filter.Push(next));
                var what = $"text {text}, stops {string.Join(" | ", stops)}, after {seen}";
                Assert.StartsWith(sent.ToString(), expected, what);
                if (filter.Hit is null)
                    Assert.AreEqual(Undecided(seen.ToString(), stops), seen.Length - sent.Length, what);
            }
            if (filter.Hit is null)
                sent.Append(filter.Flush());
            Assert.AreEqual(expected, sent.ToString(), $"text {text}, stops {string.Join(" | ", stops)}");
            Assert.AreEqual(stop, filter.Hit);
            hits += filter.Hit is null ? 0 : 1;
        }
        Assert.IsInRange(4_000, 16_000, hits, "the random texts should hit often and miss often");
    }

    [TestMethod]
    public void A_stop_string_that_spans_tokens_never_leaks()
    {
        var filter = new StopSequences(["</answer>"]);

        Assert.AreEqual("42", filter.Push("42</"));
        Assert.AreEqual("", filter.Push("ans"));
        Assert.AreEqual("", filter.Push("wer"));
        Assert.AreEqual("", filter.Push("> and more"));
        Assert.AreEqual("</answer>", filter.Hit);
        Assert.AreEqual("", filter.Push("nothing comes after it"));
        Assert.AreEqual("", filter.Flush());
    }

    [TestMethod]
    public void Text_that_only_began_like_a_stop_string_is_sent_after_all()
    {
        var filter = new StopSequences(["aab"]);

        Assert.AreEqual("", filter.Push("a"));
        Assert.AreEqual("", filter.Push("a"));
        Assert.AreEqual("a", filter.Push("a"));
        Assert.AreEqual("aac", filter.Push("c"));
        Assert.AreEqual("", filter.Push("a"));
        Assert.AreEqual("a", filter.Flush());
        Assert.IsNull(filter.Hit);
    }

    [TestMethod]
    public void Of_stop_strings_that_end_together_the_longest_is_cut()
    {
        foreach (var stops in new string[][] { ["b", "ab", "xab"], ["xab", "ab", "b"] })
        {
            var filter = new StopSequences(stops);
            Assert.AreEqual("-", filter.Push("-xab-"));
            Assert.AreEqual("xab", filter.Hit);
        }
    }

    [TestMethod]
    public void The_stop_string_that_is_complete_first_ends_the_answer_though_another_began_before()
    {
        foreach (var tokens in new string[][] { ["abc"], ["ab", "c"], ["a", "b", "c"] })
        {
            var filter = new StopSequences(["abc", "b"]);
            Assert.AreEqual("a", string.Concat(tokens.Select(filter.Push)));
            Assert.AreEqual("b", filter.Hit);
        }
    }

    [TestMethod]
    public void Without_stop_strings_all_text_passes_at_once()
    {
        var filter = new StopSequences([""]);
        Assert.AreEqual("any", filter.Push("any"));
        Assert.AreEqual("", filter.Flush());
        Assert.IsNull(filter.Hit);
    }

    // What a reader does who looks at the text after each character: the first time that it ends with a stop string, the longest of
    // those that it ends with is cut off.
    private static (string Text, string? Stop) Cut(string text, string[] stops)
    {
        for (var end = 1; end <= text.Length; end++)
        {
            var stop = stops.Where(stop => text[..end].EndsWith(stop, StringComparison.Ordinal)).MaxBy(stop => stop.Length);
            if (stop is not null)
                return (text[..(end - stop.Length)], stop);
        }
        return (text, null);
    }

    // As much as has to be held back and no more: the longest end that is the beginning of a stop string.
    private static int Undecided(string text, string[] stops) =>
        Enumerable.Range(0, text.Length + 1).Select(start => text[start..])
            .First(end => end.Length == 0 || stops.Any(stop => stop.StartsWith(end, StringComparison.Ordinal))).Length;
}
