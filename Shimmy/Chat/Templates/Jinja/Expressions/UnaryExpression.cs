using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>not</c>, <c>-</c> or <c>+</c> before an operand.</summary>
internal sealed class UnaryExpression(string @operator, Expression operand) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [operand];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        var value = operand.Evaluate(frame);
        return @operator switch
        {
            "not" => BooleanValue.Of(!value.IsTrue),
            "-" => Arithmetic.Negate(value),
            _ => Arithmetic.Plus(value),
        };
    }
}
