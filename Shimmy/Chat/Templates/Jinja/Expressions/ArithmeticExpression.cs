using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>Two operands and an operator between them.</summary>
internal sealed class ArithmeticExpression(string @operator, Expression left, Expression right) : Expression
{
    private readonly Func<Value, Value, Rendering, Value> operation = @operator switch
    {
        "+" => Arithmetic.Add,
        "-" => Arithmetic.Subtract,
        "*" => Arithmetic.Multiply,
        "/" => Arithmetic.Divide,
        "//" => Arithmetic.FloorDivide,
        "%" => Arithmetic.Modulo,
        _ => Arithmetic.Power,
    };

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [left, right];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) =>
        operation(left.Evaluate(frame), right.Evaluate(frame), frame.Rendering);
}
