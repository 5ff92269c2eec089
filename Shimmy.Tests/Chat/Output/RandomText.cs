namespace Shimmy.Tests.Chat.Output;

/// <summary>Texts of few letters, so that they are full of near misses of each other; characters of one to four bytes of UTF-8.</summary>
internal static class RandomText
{
    private static readonly string[] Letters = ["a", "b", "\n", "é", "中", "😀", "😁"];

    /// <summary>A text of up to this many characters.</summary>
    public static string Next(Random random, int least, int most) =>
        string.Concat(Enumerable.Range(0, random.Next(least, most + 1)).Select(_ => Letters[random.Next(Letters.Length)]));

    /// <summary>Cuts a sequence into pieces of random length; some are empty.</summary>
    public static IEnumerable<T[]> Split<T>(Random random, T[] whole)
    {
        for (var at = 0; at < whole.Length;)
        {
            var length = Math.Min(random.Next(0, 6), whole.Length - at);
            yield return whole[at..(at + length)];
            at += length;
        }
    }
}
