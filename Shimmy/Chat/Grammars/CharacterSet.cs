using System.Globalization;
using System.Text;

namespace Shimmy.Chat.Grammars;

/// <summary>A set of Unicode characters, as sorted ranges of code points. Surrogates and NUL are never in it.</summary>
internal sealed class CharacterSet
{
    private readonly (int Low, int High)[] _ranges;

    private CharacterSet((int Low, int High)[] ranges) => _ranges = ranges;

    /// <summary>All characters.</summary>
    public static CharacterSet All { get; } = Of((1, 0x10FFFF));

    /// <summary>The characters that JSON strings hold unescaped: all but quotes, backslashes and control characters.</summary>
    public static CharacterSet Plain { get; } = Of((0, 0x1F), (0x7F, 0x7F), ('"', '"'), ('\\', '\\')).Inverted();

    /// <summary>The ranges, sorted.</summary>
    public IReadOnlyList<(int Low, int High)> Ranges => _ranges;

    /// <summary>Whether the set has no character.</summary>
    public bool IsEmpty => _ranges.Length == 0;

    /// <summary>The set of the characters in these ranges, bounds included.</summary>
    public static CharacterSet Of(params IEnumerable<(int Low, int High)> ranges)
    {
        var merged = new List<(int Low, int High)>();
        foreach (var (low, high) in ranges.SelectMany(WithoutSurrogates).Where(range => range.Low <= range.High)
            .OrderBy(range => range.Low))
        {
            if (merged.Count > 0 && low <= merged[^1].High + 1)
                merged[^1] = (merged[^1].Low, Math.Max(merged[^1].High, high));
            else
                merged.Add((low, high));
        }
        return new CharacterSet([.. merged]);
    }

    /// <summary>The complement: all characters that are not in the set.</summary>
    public CharacterSet Inverted()
    {
        var ranges = new List<(int, int)>();
        var next = 1;
        foreach (var (low, high) in _ranges)
        {
            ranges.Add((next, low - 1));
            next = high + 1;
        }
        ranges.Add((next, 0x10FFFF));
        return Of(ranges);
    }

    /// <summary>The intersection with another set.</summary>
    public CharacterSet Intersect(CharacterSet other) => Of(_ranges.SelectMany(
        range => other._ranges.Select(with => (Math.Max(range.Low, with.Low), Math.Min(range.High, with.High)))));

    /// <summary>Whether the set contains a code point.</summary>
    public bool Contains(int character) => _ranges.Any(range => range.Low <= character && character <= range.High);

    /// <summary>The set as a GBNF character class.</summary>
    public string ToClass()
    {
        var text = new StringBuilder("[");
        foreach (var (low, high) in _ranges)
        {
            Write(text, low);
            if (high == low)
                continue;
            if (high > low + 1)
                text.Append('-');
            Write(text, high);
        }
        return text.Append(']').ToString();
    }

    /// <summary>Writes a character, escaped where a literal or a character class of GBNF needs it.</summary>
    public static void Write(StringBuilder text, int character)
    {
        if (character is '\n' or '\r' or '\t')
            text.Append('\\').Append(character switch { '\n' => 'n', '\r' => 'r', _ => 't' });
        else if (character is '"' or '\\' or '[' or ']' or '-')
            text.Append('\\').Append((char)character);
        else if (character is >= ' ' and < 0x7F and not '^')
            text.Append((char)character);
        else if (character <= 0xFF)
            text.Append(CultureInfo.InvariantCulture, $"\\x{character:X2}");
        else if (character <= 0xFFFF)
            text.Append(CultureInfo.InvariantCulture, $"\\u{character:X4}");
        else
            text.Append(CultureInfo.InvariantCulture, $"\\U{character:X8}");
    }

    private static IEnumerable<(int Low, int High)> WithoutSurrogates((int Low, int High) range) =>
        [(Math.Max(range.Low, 1), Math.Min(range.High, 0xD7FF)), (Math.Max(range.Low, 0xE000), Math.Min(range.High, 0x10FFFF))];
}
