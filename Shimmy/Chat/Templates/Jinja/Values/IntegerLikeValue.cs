using System.Globalization;
using System.Numerics;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>What booleans and integers share: Python's bool is an int.</summary>
internal abstract class IntegerLikeValue(BigInteger number) : NumberValue
{
    // The integers up to here are all doubles.
    private static readonly BigInteger Exact = BigInteger.One << 53;

    /// <summary>The number.</summary>
    public BigInteger Number { get; } = number;

    /// <inheritdoc/>
    public override bool IsTrue => !Number.IsZero;

    /// <inheritdoc/>
    public override double ToDouble()
    {
        // .NET cuts large integers off where Python rounds them to the nearest double.
        var value = BigInteger.Abs(Number) <= Exact
            ? (double)Number
            : double.Parse(Number.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return double.IsInfinity(value) ? throw TemplateException.Evaluation("int too large to convert to float") : value;
    }

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "real" or "numerator" => IntegerValue.Of(Number),
        "imag" => IntegerValue.Of(0),
        "denominator" => IntegerValue.Of(1),
        "bit_length" => BuiltIn.WithoutArguments(name, () => IntegerValue.Of((long)BigInteger.Abs(Number).GetBitLength())),
        "bit_count" => BuiltIn.WithoutArguments(name, () => IntegerValue.Of(BitCount())),
        "conjugate" => BuiltIn.WithoutArguments(name, () => IntegerValue.Of(Number)),
        "as_integer_ratio" => BuiltIn.WithoutArguments(name,
            () => new TupleValue([IntegerValue.Of(Number), IntegerValue.Of(1)])),
        "is_integer" => BuiltIn.WithoutArguments(name, () => BooleanValue.True),
        _ => null,
    };

    private long BitCount()
    {
        long count = 0;
        foreach (var part in BigInteger.Abs(Number).ToByteArray())
            count += BitOperations.PopCount(part);
        return count;
    }
}
