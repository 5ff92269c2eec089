using Microsoft.Extensions.Logging;
using Shimmy.Cli.Servers;
using Shimmy.Observability;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.House;

/// <summary>Small helpers of the whole program: text that is not trusted, and files that others read.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ShownTextTests
{
    [TestMethod]
    [DataRow("plain", "plain")]
    [DataRow("a\u001b[2Jb", "a?[2Jb")]
    [DataRow("a\u202Eb\u200Bc\uFEFF", "a?b?c?")]
    [DataRow("a\U000E0041\U000E0042b", "a??b")]
    [DataRow("a\nb\u2028c", "a?b?c")]
    [DataRow("👩‍🚀 and می‌روم", "👩‍🚀 and می‌روم")]
    public void What_cannot_be_seen_or_steers_is_replaced(string text, string shown) =>
        Assert.AreEqual(shown, ShownText.Of(text, 100));

    [TestMethod]
    public void Half_a_surrogate_pair_is_shown_as_unknown() => Assert.AreEqual("half \uFFFD", ShownText.Of("half " + '\uD83D', 100));

    [TestMethod]
    public void No_character_is_cut_in_two()
    {
        Assert.AreEqual("ab…", ShownText.Cut("ab😀c", 3));
        Assert.AreEqual("ab😀…", ShownText.Cut("ab😀c", 4));
        using var tail = new LogTail();
        var (line, cut) = (new string('a', 1999) + "😀", new string('a', 1999) + "…");
        tail.CreateLogger("shimmy").Log(LogLevel.Information, default, line, null, (text, _) => text);
        Assert.AreEqual(cut, tail.After(0).Single().Text);
    }

    [TestMethod]
    [DataRow("""{"error":{"message":"no\u001b]0;title\u0007 model\u202e","code":"c"}}""", "no ]0;title  model ")]
    [DataRow("""{"error":"no\u001b[2J"}""", "no [2J")]
    [DataRow("no JSON\u001b[2J", "no JSON [2J")]
    public void A_server_that_refuses_does_not_steer_the_terminal(string body, string text)
    {
        var refusal = new ServerRefusal("http://a", 400, body);

        Assert.AreEqual(text, refusal.Text);
        Assert.AreEqual($"http://a answers 400: {text}", refusal.Message);
    }

    [TestMethod]
    public void A_file_that_cannot_be_put_in_place_leaves_nothing_beside_it()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["place/inner"]);

        Assert.Throws<Exception>(() => SmallFile.Write(folder["place"], [1]));

        Assert.IsEmpty(Directory.GetFiles(folder.Path));
        SmallFile.Write(folder["file"], [1, 2]);
        SmallFile.Write(folder["file"], [3]);
        CollectionAssert.AreEqual(new byte[] { 3 }, File.ReadAllBytes(folder["file"]));
        Assert.HasCount(1, Directory.GetFiles(folder.Path));
    }
}
