using System.Globalization;
using System.Text;

namespace Shimmy.Jinja.Runtime;

/// <summary>Python's classes of characters (Objects/unicodectype.c), which differ from .NET's in details.</summary>
internal static class CharacterClasses
{
    /// <summary>
    /// <c>str.isspace</c> of one UTF-16 unit: the white space that is stripped and split at by default. None lies beyond the basic plane.
    /// </summary>
    public static bool IsSpace(char unit) => unit switch
    {
        <= ' ' => unit is ' ' or (>= '\t' and <= '\r') or (>= '\x1C' and <= '\x1F'),
        < '\x85' => false,
        _ => char.IsWhiteSpace(unit),
    };

    /// <summary>Whether <c>splitlines</c> ends a line here.</summary>
    public static bool IsLineBreak(char unit) =>
        unit is (>= '\n' and <= '\r') or (>= '\x1C' and <= '\x1E') or '\x85' or '\u2028' or '\u2029';

    /// <summary><c>str.isprintable</c> of one character: what <c>repr()</c> does not escape.</summary>
    public static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or
        UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or
        UnicodeCategory.SpaceSeparator);

    /// <summary><c>str.isalpha</c>.</summary>
    public static bool IsAlpha(Rune rune) => Rune.IsLetter(rune);

    /// <summary><c>str.isdecimal</c>.</summary>
    public static bool IsDecimal(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.DecimalDigitNumber;

    /// <summary><c>str.isdigit</c>: decimals, superscripts and the like.</summary>
    public static bool IsDigit(Rune rune)
    {
        if (IsDecimal(rune))
            return true;
        Span<char> units = stackalloc char[2];
        return CharUnicodeInfo.GetDigitValue(new string(units[..rune.EncodeToUtf16(units)]), 0) >= 0;
    }

    /// <summary><c>str.isnumeric</c>: whatever has a numeric value.</summary>
    public static bool IsNumeric(Rune rune) => rune.IsAscii ? Rune.IsDigit(rune) : Rune.GetNumericValue(rune) >= 0 ||
        Rune.GetUnicodeCategory(rune) is UnicodeCategory.LetterNumber or UnicodeCategory.DecimalDigitNumber;

    /// <summary><c>str.isalnum</c>.</summary>
    public static bool IsAlphanumeric(Rune rune) => IsAlpha(rune) || IsDigit(rune) || IsNumeric(rune);

    /// <summary>Whether a regular expression's <c>\w</c> matches.</summary>
    public static bool IsWord(Rune rune) => rune.Value == '_' || IsAlphanumeric(rune);

    /// <summary>Whether the character has upper or lower case.</summary>
    public static bool IsCased(Rune rune) => IsLower(rune) || IsUpper(rune) ||
        Rune.GetUnicodeCategory(rune) == UnicodeCategory.TitlecaseLetter;

    /// <summary><c>str.islower</c> of one character.</summary>
    public static bool IsLower(Rune rune) => Rune.IsLower(rune) || rune.Value is 0xAA or 0xBA;

    /// <summary><c>str.isupper</c> of one character.</summary>
    public static bool IsUpper(Rune rune) => Rune.IsUpper(rune);
}
