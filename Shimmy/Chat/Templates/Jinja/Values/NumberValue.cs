using Shimmy.Chat.Templates.Jinja.Operations;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A number: integer, truth value or float. All compare with one another.</summary>
internal abstract class NumberValue : Value
{
    /// <summary>The number as a double; fails where an integer is too large for one.</summary>
    public abstract double ToDouble();

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering) =>
        other is NumberValue number && Operations.Ordering.CompareNumbers(this, number) == 0;

    /// <inheritdoc/>
    public override int Hash(Rendering rendering) => this is IntegerLikeValue { Number: var number } && (number > long.MaxValue || number < long.MinValue)
        ? ((double)number is var wide && double.IsInfinity(wide) ? number.GetHashCode() : ToDouble().GetHashCode())
        : ToDouble().GetHashCode();
}
