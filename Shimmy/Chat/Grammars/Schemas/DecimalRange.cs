using System.Globalization;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Decimal numbers between bounds, without exponent. Integer parts strictly between those of the bounds allow any fraction; the bounds' own
/// integer parts allow fractions on the right side of the bound, digit by digit. Fractions are short enough that a double can tell them
/// from the bounds.
/// </summary>
internal sealed class DecimalRange
{
    // A double holds 15 digits; integer part and fraction share them.
    private const int Digits = 15;
    private const int MostPlaces = 8;

    private readonly GrammarBuilder _builder;
    private readonly int _places;

    private DecimalRange(GrammarBuilder builder, NumberBounds bounds)
    {
        _builder = builder;
        var whole = Math.Max(Places(bounds.Minimum ?? 0).Whole.Length, Places(bounds.Maximum ?? 0).Whole.Length);
        _places = Math.Clamp(Digits - whole, 1, MostPlaces);
    }

    /// <summary>
    /// The numbers within bounds, at least one of which is set; <see cref="Fragment.Nothing"/> where no number is within them.
    /// </summary>
    public static Fragment Of(GrammarBuilder builder, NumberBounds bounds)
    {
        var range = new DecimalRange(builder, bounds);
        var (least, most) = (bounds.Minimum, bounds.Maximum);
        var upper = most is null or > 0 || (most == 0 && !bounds.BelowMaximum)
            ? range.Positive(Math.Max(least ?? 0, 0), bounds.AboveMinimum && least >= 0, most, bounds.BelowMaximum)
            : Fragment.Nothing;
        // Without -0: zero is among the positive numbers.
        var lower = least is null or < 0
            ? Sequence(Literal("-"),
                range.Positive(Math.Max(-(most ?? 0), 0), most is null or >= 0 || bounds.BelowMaximum, -least, bounds.AboveMinimum))
            : Fragment.Nothing;
        return Choice(upper, lower);
    }

    private Fragment Positive(decimal least, bool above, decimal? most, bool below)
    {
        if (least > most || (least == most && (above || below)))
            return Fragment.Nothing;
        var (lowWhole, lowPlaces) = Places(least);
        if (most is not { } bound)
        {
            return Choice(
                Sequence(Literal(lowWhole), AtLeast(lowPlaces, above)),
                Sequence(WholeNumberRange.Of(_builder, decimal.Truncate(least) + 1, null), AnyPlaces));
        }
        var (highWhole, highPlaces) = Places(bound);
        if (lowWhole == highWhole)
            return Sequence(Literal(lowWhole), Between(lowPlaces, above, highPlaces, below));
        return Choice(
            Sequence(Literal(lowWhole), AtLeast(lowPlaces, above)),
            Sequence(WholeNumberRange.Of(_builder, decimal.Truncate(least) + 1, decimal.Truncate(bound) - 1), AnyPlaces),
            Sequence(Literal(highWhole), AtMost(highPlaces, below)));
    }

    private Fragment AnyPlaces => Optional(Sequence(Literal("."), _builder.Repeat(JsonRules.Digit, 1, _places)));

    private Fragment Tail => _builder.Repeat(JsonRules.Digit, 0, _places);

    // Digits, at least one of them not 0.
    private Fragment MoreThanZero =>
        Sequence(_builder.Repeat(Literal("0"), 0, _places / 2), Digit('1', '9'), _builder.Repeat(JsonRules.Digit, 0, _places / 2));

    private Fragment AtLeast(string places, bool above) => places.Length > 0
        ? Sequence(Literal("."), AtLeastDigits(places, above))
        : above ? Sequence(Literal("."), MoreThanZero) : AnyPlaces;

    private Fragment AtLeastDigits(string places, bool above) => places.Length == 0
        ? above ? MoreThanZero : Tail
        : Choice(Sequence(Digit((char)(places[0] + 1), '9'), Tail), Sequence(Literal(places[..1]), AtLeastDigits(places[1..], above)));

    private Fragment AtMost(string places, bool below) => places.Length > 0
        ? Optional(Sequence(Literal("."), AtMostDigits(places, below)))
        : below ? Fragment.Nothing : Fragment.Empty;

    // At least one digit. The bound's digits do not end with 0, so a proper prefix of them is below the bound.
    private Fragment AtMostDigits(string places, bool below) => Choice(
        Sequence(Digit('0', (char)(places[0] - 1)), Tail),
        Sequence(Literal(places[..1]), places.Length > 1
            ? Optional(AtMostDigits(places[1..], below))
            : below ? Fragment.Nothing : Fragment.Empty));

    private Fragment Between(string low, bool above, string high, bool below) => Choice(
        low.Length == 0 && !above && (high.Length > 0 || !below) ? Fragment.Empty : Fragment.Nothing,
        high.Length == 0 ? Fragment.Nothing : Sequence(Literal("."), BetweenDigits(low, above, high, below)));

    private Fragment BetweenDigits(string low, bool above, string high, bool below)
    {
        var first = low.Length > 0 ? low[0] : '0';
        var last = high[0];
        var lowRest = low.Length > 0 ? low[1..] : "";
        if (first == last)
        {
            var ends = lowRest.Length == 0 && !above && (high.Length > 1 || !below);
            return Sequence(Literal(high[..1]), Choice(
                ends ? Fragment.Empty : Fragment.Nothing,
                high.Length > 1 ? BetweenDigits(lowRest, above, high[1..], below) : Fragment.Nothing));
        }
        return Choice(
            Sequence(Digit(first, first), AtLeastDigits(lowRest, above)),
            Sequence(Digit((char)(first + 1), (char)(last - 1)), Tail),
            Sequence(Digit(last, last), high.Length > 1
                ? Optional(AtMostDigits(high[1..], below))
                : below ? Fragment.Nothing : Fragment.Empty));
    }

    private static Fragment Digit(char first, char last) => first > last ? Fragment.Nothing : OneOf(CharacterSet.Of((first, last)));

    private static (string Whole, string Places) Places(decimal number)
    {
        var parts = Math.Abs(number).ToString(CultureInfo.InvariantCulture).Split('.');
        return (parts[0], parts.Length > 1 ? parts[1].TrimEnd('0') : "");
    }
}
