using System.Globalization;
using System.Text;

namespace Shimmy;

/// <summary>Text of files, registries and clients as people can be shown it, in errors and logs. None of these is trusted.</summary>
internal static class ShownText
{
    /// <summary>
    /// The text without what would steer a terminal, begin a line of a log, turn the direction of writing, or not be seen; cut where it is
    /// long.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="longest">The most characters of it.</param>
    /// <param name="instead">What stands for each hidden character.</param>
    public static string Of(string text, int longest, char instead = '?')
    {
        var shown = Cut(text, longest);
        var isFit = true;
        foreach (var character in shown.EnumerateRunes())
            isFit &= !IsHidden(character) && character != Rune.ReplacementChar; // which half a surrogate pair is read as
        if (isFit)
            return shown;
        var fit = new StringBuilder(shown.Length);
        foreach (var character in shown.EnumerateRunes())
            fit.Append(IsHidden(character) ? instead.ToString() : character.ToString());
        return fit.ToString();
    }

    /// <summary>The text, cut where it is long, and never in the middle of a character.</summary>
    public static string Cut(string text, int longest) => text.Length <= longest ? text
        : string.Concat(text.AsSpan(0, longest - (char.IsHighSurrogate(text[longest - 1]) ? 1 : 0)), "…");

    /// <summary>Whether it is a control character, or one that turns the direction of text or cannot be seen.</summary>
    /// <remarks>
    /// Unicode's joiners (U+200C, U+200D) are none of these: Persian words and many emoji are written with them.
    /// </remarks>
    public static bool IsHidden(Rune character) => character.Value is not (0x200C or 0x200D)
        && (character.Value is 0xFFFE or 0xFFFF or (>= 0xE0000 and <= 0xE0FFF) || Rune.GetUnicodeCategory(character)
            is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}
