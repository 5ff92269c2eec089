namespace Shimmy.Tests.Fixtures;

/// <summary>Damages JSON text in the ways that break parsers: bits, structure, numbers, escapes, depth.</summary>
internal static class JsonFuzz
{
    private static readonly string[] Insertions =
        ["\"", "{", "}", "[", "]", ":", ",", "\\u", "\\ud800", "1e999", "-", "null", "\0",
            "\uFEFF", "//", "0x1", "\"\":", "true", new string('[', 80)];

    public static byte[] Mutate(byte[] seed, Random random)
    {
        var json = (byte[])seed.Clone();
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            var at = random.Next(json.Length);
            switch (random.Next(5))
            {
                case 0:
                    json[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    json[at] = (byte)random.Next(256);
                    break;
                case 2:
                    json = [.. json[..at], .. System.Text.Encoding.UTF8.GetBytes(Insertions[random.Next(Insertions.Length)]),
                        .. json[at..]];
                    break;
                case 3:
                    var end = random.Next(at, Math.Min(json.Length, at + 20));
                    json = [.. json[..at], .. json[end..]];
                    break;
                default:
                    // A digit for a digit, a letter for a letter: stays well-formed.
                    json[at] = char.IsAsciiDigit((char)json[at]) ? (byte)random.Next('0', '9' + 1)
                        : char.IsAsciiLetter((char)json[at]) ? (byte)random.Next('a', 'z' + 1) : json[at];
                    break;
            }

            if (json.Length == 0)
                break;
        }

        return json;
    }
}
