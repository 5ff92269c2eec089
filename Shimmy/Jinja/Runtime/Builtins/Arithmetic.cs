using System.Numerics;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Python's arithmetic operators.</summary>
internal static class Arithmetic
{
    // Python's integers are unbounded; no honest template computes with longer ones, a hostile one would to use up time.
    private const long MostBits = 1 << 16;

    /// <summary><c>left + right</c>.</summary>
    public static Value Add(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (TextValue a, TextValue b) => Concatenate(a, b, context),
        (IntegerLikeValue a, IntegerLikeValue b) => Bounded(a.Number + b.Number),
        (NumberValue a, NumberValue b) => new FloatValue(a.ToDouble() + b.ToDouble()),
        (ListValue a, ListValue b) => Concatenate(a, b, context),
        (TupleValue a, TupleValue b) => Concatenate(a, b, context),
        (TextValue, not UndefinedValue) =>
            throw TemplateException.Evaluation($"can only concatenate str (not \"{right.TypeName}\") to str"),
        (SequenceValue, not UndefinedValue) =>
            throw TemplateException.Evaluation($"can only concatenate {left.TypeName} (not \"{right.TypeName}\") to {left.TypeName}"),
        _ => throw Unsupported("+", left, right),
    };

    /// <summary><c>left - right</c>.</summary>
    public static Value Subtract(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (IntegerLikeValue a, IntegerLikeValue b) => Bounded(a.Number - b.Number),
        (NumberValue a, NumberValue b) => new FloatValue(a.ToDouble() - b.ToDouble()),
        _ => throw Unsupported("-", left, right),
    };

    /// <summary><c>left * right</c>.</summary>
    public static Value Multiply(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (IntegerLikeValue a, IntegerLikeValue b) => Product(a.Number, b.Number, context),
        (NumberValue a, NumberValue b) => new FloatValue(a.ToDouble() * b.ToDouble()),
        (TextValue a, IntegerLikeValue b) => Repeat(a, b.Number, context),
        (IntegerLikeValue a, TextValue b) => Repeat(b, a.Number, context),
        (SequenceValue a, IntegerLikeValue b) => Repeat(a, b.Number, context),
        (IntegerLikeValue a, SequenceValue b) => Repeat(b, a.Number, context),
        (TextValue or SequenceValue, not UndefinedValue) =>
            throw TemplateException.Evaluation($"can't multiply sequence by non-int of type '{right.TypeName}'"),
        _ => throw Unsupported("*", left, right),
    };

    /// <summary><c>left / right</c>.</summary>
    public static Value Divide(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (IntegerLikeValue a, IntegerLikeValue b) => TrueQuotient(a.Number, b.Number),
        (NumberValue a, NumberValue b) => new FloatValue(a.ToDouble() / NotZero(b.ToDouble(), "float division by zero")),
        _ => throw Unsupported("/", left, right),
    };

    /// <summary><c>left // right</c>: rounds down.</summary>
    public static Value FloorDivide(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (IntegerLikeValue a, IntegerLikeValue b) => IntegerValue.Of(FloorQuotient(a.Number, b.Number)),
        (NumberValue a, NumberValue b) => new FloatValue(FloatDivision(a.ToDouble(), b.ToDouble()).Quotient),
        _ => throw Unsupported("//", left, right),
    };

    /// <summary><c>left % right</c>: has the sign of the divisor; formats where the left side is a text.</summary>
    public static Value Modulo(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (TextValue a, _) => PercentFormat.Format(a, right, context),
        (IntegerLikeValue a, IntegerLikeValue b) =>
            IntegerValue.Of(a.Number - FloorQuotient(a.Number, b.Number, "integer modulo by zero") * b.Number),
        (NumberValue a, NumberValue b) => new FloatValue(FloatDivision(a.ToDouble(), b.ToDouble()).Remainder),
        _ => throw Unsupported("%", left, right),
    };

    /// <summary><c>left ** right</c>.</summary>
    public static Value Power(Value left, Value right, RenderContext context) => (left, right) switch
    {
        (IntegerLikeValue a, IntegerLikeValue { Number.Sign: >= 0 } b) => IntegerPower(a.Number, b.Number, context),
        (NumberValue a, NumberValue b) => FloatPower(a.ToDouble(), b.ToDouble()),
        _ => throw Unsupported("** or pow()", left, right),
    };

    /// <summary><c>-value</c>.</summary>
    public static Value Negate(Value value) => value switch
    {
        IntegerLikeValue integer => IntegerValue.Of(-integer.Number),
        FloatValue number => new FloatValue(-number.Number),
        UndefinedValue undefined => throw undefined.Fail(),
        _ => throw TemplateException.Evaluation($"bad operand type for unary -: '{value.TypeName}'"),
    };

    /// <summary><c>+value</c>.</summary>
    public static Value Plus(Value value) => value switch
    {
        IntegerLikeValue integer => IntegerValue.Of(integer.Number),
        FloatValue => value,
        UndefinedValue undefined => throw undefined.Fail(),
        _ => throw TemplateException.Evaluation($"bad operand type for unary +: '{value.TypeName}'"),
    };

    /// <summary><c>abs(value)</c>.</summary>
    public static Value Absolute(Value value) => value switch
    {
        IntegerLikeValue integer => IntegerValue.Of(BigInteger.Abs(integer.Number)),
        FloatValue number => new FloatValue(Math.Abs(number.Number)),
        _ => throw TemplateException.Evaluation($"bad operand type for abs(): '{value.TypeName}'"),
    };

    /// <summary>Joins two texts; where one is marked as safe HTML the other is escaped, as Markup does.</summary>
    public static TextValue Concatenate(TextValue left, TextValue right, RenderContext context)
    {
        if (left.IsMarkup || right.IsMarkup)
            (left, right) = (Html.Escape(left, context), Html.Escape(right, context));
        if (right.Text.Length == 0)
            return left;
        if (left.Text.Length == 0)
            return right;
        context.Reserve((long)left.Text.Length + right.Text.Length);
        if (left.Provenance.IsUniform && right.Provenance.IsUniform && left.Provenance.HasRequest == right.Provenance.HasRequest)
            return new TextValue(left.Text + right.Text, left.Provenance, left.IsMarkup);

        var builder = context.Rent();
        builder.Append(left);
        builder.Append(right);
        return context.Finish(builder, left.IsMarkup);
    }

    private static SequenceValue Concatenate(SequenceValue left, SequenceValue right, RenderContext context)
    {
        context.Step(left.Items.Length + right.Items.Length);
        context.ReserveValues((long)left.Items.Length + right.Items.Length);
        return left.Create([.. left.Items, .. right.Items]);
    }

    private static TextValue Repeat(TextValue text, BigInteger count, RenderContext context)
    {
        if (count.Sign <= 0 || text.Text.Length == 0)
            return TextValue.Empty.Marked(text.IsMarkup);
        context.Reserve((long)BigInteger.Min(count * text.Text.Length, long.MaxValue / 4));
        // Reserve refused every length that would not fit an array.
        var times = (int)count;
        var builder = context.Rent();
        if (text.Text.Length == 1)
        {
            builder.Append(text.Text[0], times, text.Provenance.HasRequest);
            return context.Finish(builder, text.IsMarkup);
        }

        context.Step(times / 2);
        for (var i = 0; i < times; i++)
            builder.Append(text);
        return context.Finish(builder, text.IsMarkup);
    }

    private static SequenceValue Repeat(SequenceValue sequence, BigInteger count, RenderContext context)
    {
        if (count.Sign <= 0 || sequence.Items.Length == 0)
            return sequence.Create([]);
        var length = (long)BigInteger.Min(count * sequence.Items.Length, long.MaxValue / 32);
        context.ReserveValues(length);
        var items = new Value[length];
        for (var i = 0L; i < length; i += sequence.Items.Length)
            sequence.Items.CopyTo(items, i);
        context.Step(length / 8);
        return sequence.Create(items);
    }

    private static IntegerValue Product(BigInteger left, BigInteger right, RenderContext context)
    {
        context.Step((left.GetBitLength() + right.GetBitLength()) >> 8);
        return left.GetBitLength() + right.GetBitLength() <= MostBits + 64 ? Bounded(left * right) : throw TooLarge();
    }

    private static IntegerValue Bounded(BigInteger number) =>
        number.GetBitLength() <= MostBits ? IntegerValue.Of(number) : throw TooLarge();

    private static TemplateException TooLarge() =>
        TemplateException.Limit($"a number has more than {MostBits} bits");

    private static IntegerValue IntegerPower(BigInteger number, BigInteger exponent, RenderContext context)
    {
        if (BigInteger.Abs(number) <= 1)
            return IntegerValue.Of(exponent.IsZero ? BigInteger.One : number.Sign >= 0 || !exponent.IsEven ? number : BigInteger.One);
        if (exponent > MostBits || (number.GetBitLength() - 1) * (long)exponent > MostBits)
            throw TooLarge();
        context.Step(number.GetBitLength() * (long)exponent / 16);
        return Bounded(BigInteger.Pow(number, (int)exponent));
    }

    private static FloatValue FloatPower(double number, double exponent)
    {
        if (number == 0 && exponent < 0)
            throw TemplateException.Evaluation("0.0 cannot be raised to a negative power");
        if (number < 0 && double.IsFinite(exponent) && !double.IsInteger(exponent))
            throw TemplateException.Evaluation("complex numbers are not supported");
        var power = Math.Pow(number, exponent);
        return double.IsInfinity(power) && double.IsFinite(number) && double.IsFinite(exponent)
            ? throw TemplateException.Evaluation("(34, 'Numerical result out of range')")
            : new FloatValue(power);
    }

    private static BigInteger FloorQuotient(BigInteger left, BigInteger right,
        string failure = "integer division or modulo by zero")
    {
        if (right.IsZero)
            throw TemplateException.Evaluation(failure);
        var quotient = BigInteger.DivRem(left, right, out var remainder);
        return !remainder.IsZero && remainder.Sign != right.Sign ? quotient - 1 : quotient;
    }

    /// <summary>Divides integers to the nearest float, exactly also where neither fits one.</summary>
    private static FloatValue TrueQuotient(BigInteger left, BigInteger right)
    {
        if (right.IsZero)
            throw TemplateException.Evaluation("division by zero");
        if (left.GetBitLength() <= 53 && right.GetBitLength() <= 53)
            return new FloatValue((double)left / (double)right);

        // Scaled so that the quotient has at least 64 bits; what is lost below cannot change the rounding but for a sticky bit.
        var shift = (int)Math.Max(0, 66 + right.GetBitLength() - left.GetBitLength());
        var quotient = BigInteger.DivRem(BigInteger.Abs(left) << shift, BigInteger.Abs(right), out var remainder);
        var extra = (int)quotient.GetBitLength() - 53;
        var unit = BigInteger.One << extra;
        var mantissa = FloatText.DivideRounded((quotient << 1) + (remainder.IsZero ? 0 : 1), unit << 1);
        var value = Math.ScaleB((double)mantissa, extra - shift);
        if (double.IsInfinity(value))
            throw TemplateException.Evaluation("integer division result too large for a float");
        return new FloatValue(left.Sign * right.Sign < 0 ? -value : value);
    }

    private static (double Quotient, double Remainder) FloatDivision(double left, double right)
    {
        NotZero(right, "float floor division by zero");
        var remainder = left % right;
        var quotient = (left - remainder) / right;
        if (remainder != 0)
        {
            if (right < 0 != remainder < 0)
            {
                remainder += right;
                quotient -= 1;
            }
        }
        else
        {
            remainder = double.CopySign(0, right);
        }

        if (quotient == 0)
            return (double.CopySign(0, left / right), remainder);
        var floor = Math.Floor(quotient);
        return (quotient - floor > 0.5 ? floor + 1 : floor, remainder);
    }

    private static double NotZero(double divisor, string failure) =>
        divisor != 0 ? divisor : throw TemplateException.Evaluation(failure);

    private static TemplateException Unsupported(string @operator, Value left, Value right)
    {
        if (left is UndefinedValue undefinedLeft)
            return undefinedLeft.Fail();
        return right is UndefinedValue undefinedRight
            ? undefinedRight.Fail()
            : TemplateException.Evaluation(
                $"unsupported operand type(s) for {@operator}: '{left.TypeName}' and '{right.TypeName}'");
    }
}
