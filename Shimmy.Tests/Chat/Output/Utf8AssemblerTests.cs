using System.Text;
using Shimmy.Chat.Output;

namespace Shimmy.Tests.Chat.Output;

[TestClass]
[TestCategory("Unit")]
public sealed class Utf8AssemblerTests
{
    [TestMethod]
    public void Text_is_the_same_however_its_bytes_are_split()
    {
        var random = new Random(1);
        for (var round = 0; round < 2000; round++)
        {
            var text = RandomText.Next(random, 0, 40);
            Assert.AreEqual(text, Assemble(RandomText.Split(random, Encoding.UTF8.GetBytes(text))));
        }
    }

    [TestMethod]
    public void Only_whole_characters_come_out()
    {
        var assembler = new Utf8Assembler();

        Assert.AreEqual("", assembler.Push([0xF0, 0x9F]));
        Assert.AreEqual("", assembler.Push([]));
        Assert.AreEqual("", assembler.Push([0x98]));
        Assert.AreEqual("😀a", assembler.Push([0x80, (byte)'a']));
        Assert.AreEqual("", assembler.Flush());
    }

    // The Unicode Standard, tables 3-8 to 3-11: each maximal part of an ill-formed sequence is one U+FFFD.
    [TestMethod]
    [DataRow("61 F1 80 80 E1 80 C2 62 80 63 80 BF 64", "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd")]
    [DataRow("C0 AF E0 80 BF F0 81 82 41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA")]
    [DataRow("ED A0 80 ED BF BF ED AF 41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA")]
    [DataRow("F4 91 92 93 FF 41 80 BF 42", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB")]
    [DataRow("E1 80 E2 F0 91 92 F1 BF 41", "\uFFFD\uFFFD\uFFFD\uFFFDA")]
    public void What_is_no_UTF8_becomes_replacement_characters_as_the_standard_counts_them(string bytes, string text)
    {
        var all = Convert.FromHexString(bytes.Replace(" ", "", StringComparison.Ordinal));
        Assert.AreEqual(text, Assemble([all]));
        Assert.AreEqual(text, Assemble(all.Select(one => new[] { one })));
    }

    [TestMethod]
    public void Random_bytes_give_the_same_text_however_they_are_split()
    {
        var random = new Random(2);
        for (var round = 0; round < 2000; round++)
        {
            var bytes = Encoding.UTF8.GetBytes(RandomText.Next(random, 1, 120));
            for (var damage = random.Next(5); damage > 0; damage--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var whole = Assemble([bytes]);
            Assert.AreEqual(whole, Assemble(RandomText.Split(random, bytes)), Convert.ToHexString(bytes));
            Assert.AreEqual(new UTF8Encoding(false, false).GetString(bytes), whole);
        }
    }

    [TestMethod]
    public void A_character_that_never_ends_becomes_one_replacement_character()
    {
        var assembler = new Utf8Assembler();
        Assert.AreEqual("x", assembler.Push([(byte)'x', 0xE4, 0xB8]));
        Assert.AreEqual("\uFFFD", assembler.Flush());
        Assert.AreEqual("", assembler.Flush());
    }

    [TestMethod]
    public void A_piece_may_be_long()
    {
        var text = string.Concat(Enumerable.Repeat("é中😀", 5000));
        Assert.AreEqual(text, Assemble([Encoding.UTF8.GetBytes(text)]));
    }

    private static string Assemble(IEnumerable<byte[]> pieces)
    {
        var assembler = new Utf8Assembler();
        var text = new StringBuilder();
        foreach (var piece in pieces)
            text.Append(assembler.Push(piece));
        return text.Append(assembler.Flush()).ToString();
    }
}
