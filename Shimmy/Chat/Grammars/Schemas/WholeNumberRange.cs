using System.Globalization;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Integers between bounds, digit by digit: 95 to 1234 is 9[5-9], three digits, 1 with 0 or 1 and two digits, 12 with 0 to 2 and one digit,
/// 123[0-4].
/// </summary>
internal static class WholeNumberRange
{
    // Without a bound, numbers have as many digits as a double holds exactly, and at least one more than the other bound.
    private const int UsualDigits = 15;

    // Beyond, a grammar of every number would be long, and most answers are right without.
    private const int MostMultiples = 256;
    private const long Farthest = 1_000_000_000_000_000;

    /// <summary>The integers of a range; <see cref="Fragment.Nothing"/> where it is empty.</summary>
    public static Fragment Of(GrammarBuilder builder, decimal? least, decimal? most)
    {
        var digits = Math.Max(UsualDigits, Math.Max(DigitsOf(least), DigitsOf(most)) + 1);
        var widest = Power(digits) - 1;
        var (low, high) = (least ?? -widest, most ?? widest);
        if (low > high)
            return Fragment.Nothing;
        return Choice(
            high >= 0 ? Positive(builder, Math.Max(low, 0), high) : Fragment.Nothing,
            low < 0 ? Sequence(Literal("-"), Positive(builder, Math.Max(-high, 1), -low)) : Fragment.Nothing);
    }

    /// <summary>Whether all integers are multiples of a number.</summary>
    public static bool TakesAll(SchemaNode step) => step.Element.TryGetDecimal(out var number) && number > 0 && 1 % number == 0;

    /// <summary>
    /// The integers within bounds that are multiples of some numbers, one by one; false where none is asked for, or they are too many.
    /// </summary>
    public static bool TryMultiples(IReadOnlyList<SchemaNode> steps, NumberBounds bounds, out Fragment found)
    {
        found = Fragment.Nothing;
        if (steps.Count == 0 || bounds is not
            { LeastWhole: >= -Farthest and <= Farthest and var least, GreatestWhole: >= -Farthest and <= Farthest and var most })
        {
            return false;
        }
        // Of a step that is greater, 0 alone is a multiple within the bounds.
        var (low, high, widest) = ((long)least, (long)most, 0L);
        foreach (var step in steps)
        {
            if (TakesAll(step))
                continue;
            if (!step.Element.TryGetDecimal(out var number) || number <= 0 || number != decimal.Truncate(number))
                return false;
            widest = Math.Max(widest, (long)Math.Min(number, long.MaxValue));
        }
        if (widest == 0)
            return false;
        var first = low - (low % widest);
        if (first < low)
            first += widest;
        if (first <= high && (high - first) / widest >= MostMultiples)
            return false;
        var texts = new List<string>();
        for (var number = first; number <= high; number += widest)
        {
            if (IsMultiple(number, steps))
                texts.Add(number.ToString(CultureInfo.InvariantCulture));
        }
        found = Literals.AnyOf(texts);
        return true;
    }

    private static bool IsMultiple(long number, IReadOnlyList<SchemaNode> steps)
    {
        foreach (var step in steps)
        {
            if (number % step.Element.GetDecimal() != 0)
                return false;
        }
        return true;
    }

    // Both bounds are at least 0. Lengths of which all numbers are allowed are written as one.
    private static Fragment Positive(GrammarBuilder builder, decimal low, decimal high)
    {
        var alternatives = new List<Fragment>();
        var (wholeFrom, wholeTo) = (0, 0);
        for (var digits = DigitsOf(low); digits <= DigitsOf(high); digits++)
        {
            var from = Math.Max(low, digits == 1 ? 0 : Power(digits - 1));
            var to = Math.Min(high, Power(digits) - 1);
            if (digits > 1 && from == Power(digits - 1) && to == Power(digits) - 1)
                (wholeFrom, wholeTo) = (wholeFrom == 0 ? digits : wholeFrom, digits);
            else
                alternatives.Add(SameLength(builder, Digits(from), Digits(to)));
        }
        if (wholeFrom > 0)
            alternatives.Add(Sequence(Range('1', '9'), builder.Repeat(JsonRules.Digit, wholeFrom - 1, wholeTo - 1)));
        return Choice(alternatives);
    }

    /// <summary>Digit strings between two of equal length, both included.</summary>
    public static Fragment SameLength(GrammarBuilder builder, string low, string high)
    {
        if (low.Length == 0)
            return Fragment.Empty;
        if (low[0] == high[0])
            return Sequence(Literal(low[..1]), SameLength(builder, low[1..], high[1..]));
        var rest = low.Length - 1;
        var first = low[1..].All(c => c == '0') ? low[0] : (char)(low[0] + 1);
        var last = high[1..].All(c => c == '9') ? high[0] : (char)(high[0] - 1);
        return Choice(
            first > low[0] ? Sequence(Literal(low[..1]), SameLength(builder, low[1..], new string('9', rest))) : Fragment.Nothing,
            first <= last ? Sequence(Range(first, last), builder.Repeat(JsonRules.Digit, rest, rest)) : Fragment.Nothing,
            last < high[0] ? Sequence(Literal(high[..1]), SameLength(builder, new string('0', rest), high[1..])) : Fragment.Nothing);
    }

    private static Fragment Range(char first, char last) => OneOf(CharacterSet.Of((first, last)));

    private static int DigitsOf(decimal? number) => number is { } value ? Digits(Math.Abs(value)).Length : 0;

    private static string Digits(decimal number) => decimal.Truncate(number).ToString("F0", CultureInfo.InvariantCulture);

    private static decimal Power(int digits) =>
        decimal.Parse("1" + new string('0', digits), NumberStyles.None, CultureInfo.InvariantCulture);
}
