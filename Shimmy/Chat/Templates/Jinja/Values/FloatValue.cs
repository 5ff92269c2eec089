using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Formats;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A floating-point number.</summary>
internal sealed class FloatValue(double number) : NumberValue
{
    /// <summary>The number.</summary>
    public double Number { get; } = number;

    /// <inheritdoc/>
    public override string TypeName => "float";

    /// <inheritdoc/>
    public override bool IsTrue => Number != 0;

    /// <inheritdoc/>
    public override double ToDouble() => Number;

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append(FloatText.Repr(Number));

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "real" => this,
        "imag" => new FloatValue(0),
        "conjugate" => BuiltIn.WithoutArguments(name, () => this),
        "is_integer" => BuiltIn.WithoutArguments(name, () => BooleanValue.Of(double.IsInteger(Number))),
        "as_integer_ratio" => BuiltIn.WithoutArguments(name, Ratio),
        _ => null,
    };

    /// <summary>The integer below the number, towards zero; fails for what is no number.</summary>
    public BigInteger Truncate()
    {
        if (double.IsNaN(Number))
            throw TemplateException.Evaluation("cannot convert float NaN to integer");
        if (double.IsInfinity(Number))
            throw TemplateException.Evaluation("cannot convert float infinity to integer");
        return new BigInteger(Number);
    }

    private TupleValue Ratio()
    {
        Truncate();
        var (mantissa, exponent) = FloatText.Decompose(Number);
        var numerator = exponent >= 0 ? mantissa << exponent : mantissa;
        var denominator = exponent >= 0 ? BigInteger.One : BigInteger.One << -exponent;
        var divisor = BigInteger.GreatestCommonDivisor(numerator, denominator);
        return new TupleValue([IntegerValue.Of(numerator / divisor), IntegerValue.Of(denominator / divisor)]);
    }
}
