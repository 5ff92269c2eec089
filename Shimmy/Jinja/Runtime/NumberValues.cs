using System.Globalization;
using System.Numerics;

namespace Shimmy.Jinja.Runtime;

/// <summary>A floating-point number.</summary>
internal sealed class FloatValue(double number) : NumberValue
{
    /// <summary>The number.</summary>
    public double Number { get; } = number;

    public override string TypeName => "float";

    public override bool IsTrue => Number != 0;

    public override double ToDouble() => Number;

    public override void WriteRepr(TextBuilder text) => text.Append(FloatText.Repr(Number));

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "real" => this,
        "imag" => new FloatValue(0),
        "conjugate" => FunctionValue.WithoutArguments(name, () => this),
        "is_integer" => FunctionValue.WithoutArguments(name, () => BooleanValue.Of(double.IsInteger(Number))),
        "as_integer_ratio" => FunctionValue.WithoutArguments(name, Ratio),
        _ => null,
    };

    /// <summary>The number without its fraction, rounded towards zero; fails for infinities and NaN.</summary>
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

/// <summary>The common base of integers and booleans, since Python's bool is an int.</summary>
internal abstract class IntegerLikeValue(BigInteger number) : NumberValue
{
    // Every integer up to this one is exactly a double.
    private static readonly BigInteger Exact = BigInteger.One << 53;

    /// <summary>The number.</summary>
    public BigInteger Number { get; } = number;

    public override bool IsTrue => !Number.IsZero;

    public override double ToDouble()
    {
        // .NET truncates a large integer, Python rounds it to the nearest double.
        var value = BigInteger.Abs(Number) <= Exact
            ? (double)Number
            : double.Parse(Number.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return double.IsInfinity(value) ? throw TemplateException.Evaluation("int too large to convert to float") : value;
    }

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "real" or "numerator" => IntegerValue.Of(Number),
        "imag" => IntegerValue.Of(0),
        "denominator" => IntegerValue.Of(1),
        "bit_length" => FunctionValue.WithoutArguments(name, () => IntegerValue.Of((long)BigInteger.Abs(Number).GetBitLength())),
        "bit_count" => FunctionValue.WithoutArguments(name, () => IntegerValue.Of(BitCount())),
        "conjugate" => FunctionValue.WithoutArguments(name, () => IntegerValue.Of(Number)),
        "as_integer_ratio" => FunctionValue.WithoutArguments(name,
            () => new TupleValue([IntegerValue.Of(Number), IntegerValue.Of(1)])),
        "is_integer" => FunctionValue.WithoutArguments(name, () => BooleanValue.True),
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

/// <summary>An integer of any size, as Python has it; bounded where it is computed.</summary>
internal sealed class IntegerValue : IntegerLikeValue
{
    // Python refuses to write longer numbers (sys.int_info.default_max_str_digits).
    private const int MostDigits = 4300;

    private static readonly IntegerValue[] Small = CreateSmall();

    private IntegerValue(BigInteger number) : base(number)
    {
    }

    public override string TypeName => "int";

    /// <summary>The value of a number.</summary>
    public static IntegerValue Of(long number) =>
        number is >= -1 and < 256 ? Small[number + 1] : new IntegerValue(number);

    /// <summary>The value of a number.</summary>
    public static IntegerValue Of(BigInteger number) =>
        number >= -1 && number < 256 ? Small[(int)number + 1] : new IntegerValue(number);

    public override void WriteRepr(TextBuilder text)
    {
        if (Number.GetBitLength() > 14_285)
            throw TemplateException.Evaluation($"Exceeds the limit ({MostDigits} digits) for integer string conversion");
        text.Append(Number.ToString(CultureInfo.InvariantCulture));
    }

    private static IntegerValue[] CreateSmall()
    {
        var small = new IntegerValue[257];
        for (var i = 0; i < small.Length; i++)
            small[i] = new IntegerValue(i - 1);
        return small;
    }
}

/// <summary>A truth value, which is also the number 0 or 1.</summary>
internal sealed class BooleanValue : IntegerLikeValue
{
    private BooleanValue(bool value) : base(value ? BigInteger.One : BigInteger.Zero)
    {
    }

    /// <summary>The only instance that is true.</summary>
    public static BooleanValue True { get; } = new(true);

    /// <summary>The only instance that is false.</summary>
    public static BooleanValue False { get; } = new(false);

    public override string TypeName => "bool";

    /// <summary>The instance of a truth value.</summary>
    public static BooleanValue Of(bool value) => value ? True : False;

    public override void WriteRepr(TextBuilder text) => text.Append(IsTrue ? "True" : "False");
}

/// <summary>A number: integer, truth value or float. All compare with one another.</summary>
internal abstract class NumberValue : Value
{
    /// <summary>The number as a double; fails where an integer is too large for one.</summary>
    public abstract double ToDouble();

    /// <summary>Compares two numbers exactly; null where one is NaN.</summary>
    public static int? Compare(NumberValue left, NumberValue right)
    {
        if (left is IntegerLikeValue a && right is IntegerLikeValue b)
            return a.Number.CompareTo(b.Number);
        var (x, y) = (left as FloatValue, right as FloatValue);
        if (x is not null && y is not null)
            return double.IsNaN(x.Number) || double.IsNaN(y.Number) ? null : x.Number.CompareTo(y.Number);
        return x is not null ? CompareMixed(x.Number, (IntegerLikeValue)right) : -CompareMixed(y!.Number, (IntegerLikeValue)left);
    }

    public override bool EqualTo(Value other, RenderContext context) =>
        other is NumberValue number && Compare(this, number) == 0;

    public override int Hash(RenderContext context) =>
        this is IntegerLikeValue { Number: var number } && (number > long.MaxValue || number < long.MinValue)
        ? ((double)number is var wide && double.IsInfinity(wide) ? number.GetHashCode() : ToDouble().GetHashCode())
        : ToDouble().GetHashCode();

    private static int? CompareMixed(double number, IntegerLikeValue integer)
    {
        if (double.IsNaN(number))
            return null;
        if (double.IsInfinity(number))
            return number > 0 ? 1 : -1;
        var order = new BigInteger(number).CompareTo(integer.Number);
        return order != 0 ? order : (number - Math.Truncate(number)).CompareTo(0);
    }
}
