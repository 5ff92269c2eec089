using System.Globalization;
using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>An integer of any size, as Python has it; bounded where it is computed.</summary>
internal sealed class IntegerValue : IntegerLikeValue
{
    // Python refuses to write longer numbers (sys.int_info.default_max_str_digits).
    private const int MostDigits = 4300;

    private static readonly IntegerValue[] Small = CreateSmall();

    private IntegerValue(BigInteger number) : base(number)
    {
    }

    /// <inheritdoc/>
    public override string TypeName => "int";

    /// <summary>The value of a number.</summary>
    public static IntegerValue Of(long number) =>
        number is >= -1 and < 256 ? Small[number + 1] : new IntegerValue(number);

    /// <summary>The value of a number.</summary>
    public static IntegerValue Of(BigInteger number) =>
        number >= -1 && number < 256 ? Small[(int)number + 1] : new IntegerValue(number);

    /// <inheritdoc/>
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
