using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

/// <summary>Operands with comparisons between them, as in <c>a &lt; b &lt;= c</c>; all must hold.</summary>
internal sealed class ComparisonExpression(Expression first, KeyValuePair<string, Expression>[] comparisons) : Expression
{
    public override IEnumerable<Node> Children => [first, .. comparisons.Select(comparison => comparison.Value)];

    public override Value Evaluate(Frame frame)
    {
        var left = first.Evaluate(frame);
        foreach (var (@operator, expression) in comparisons)
        {
            var right = expression.Evaluate(frame);
            if (!Comparison.Holds(left, @operator, right, frame.Context))
                return BooleanValue.False;
            left = right;
        }

        return BooleanValue.True;
    }
}

/// <summary>Two operands and an operator between them.</summary>
internal sealed class ArithmeticExpression(string @operator, Expression left, Expression right) : Expression
{
    private readonly Func<Value, Value, RenderContext, Value> _operation = @operator switch
    {
        "+" => Arithmetic.Add,
        "-" => Arithmetic.Subtract,
        "*" => Arithmetic.Multiply,
        "/" => Arithmetic.Divide,
        "//" => Arithmetic.FloorDivide,
        "%" => Arithmetic.Modulo,
        _ => Arithmetic.Power,
    };

    public override IEnumerable<Node> Children => [left, right];

    public override Value Evaluate(Frame frame) =>
        _operation(left.Evaluate(frame), right.Evaluate(frame), frame.Context);
}

/// <summary><c>not</c>, <c>-</c> or <c>+</c> before an operand.</summary>
internal sealed class UnaryExpression(string @operator, Expression operand) : Expression
{
    public override IEnumerable<Node> Children => [operand];

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

/// <summary>Operands joined as texts by <c>~</c>.</summary>
internal sealed class ConcatenationExpression(Expression[] operands) : Expression
{
    public override IEnumerable<Node> Children => operands;

    public override Value Evaluate(Frame frame)
    {
        var context = frame.Context;
        var values = Array.ConvertAll(operands, operand => operand.Evaluate(frame));
        var escape = context.AutoEscape && Array.Exists(values, value => value is TextValue { IsMarkup: true });
        var builder = context.Rent();
        foreach (var value in values)
            builder.Append(escape ? Html.Escape(value, context) : value);
        return context.Finish(builder, escape);
    }
}

/// <summary><c>and</c> and <c>or</c>: one of the operands is the value, and the second is only looked at where it decides.</summary>
internal sealed class LogicalExpression(bool isAnd, Expression left, Expression right) : Expression
{
    public override IEnumerable<Node> Children => [left, right];

    public override Value Evaluate(Frame frame)
    {
        var value = left.Evaluate(frame);
        return value.IsTrue == isAnd ? right.Evaluate(frame) : value;
    }
}

/// <summary><c>value if test else other</c>; undefined where the test fails and there is no other.</summary>
internal sealed class ConditionalExpression(Expression test, Expression value, Expression? other) : Expression
{
    public override IEnumerable<Node> Children => other is null ? [test, value] : [test, value, other];

    public override Value Evaluate(Frame frame)
    {
        if (test.Evaluate(frame).IsTrue)
            return value.Evaluate(frame);
        return other?.Evaluate(frame) ?? UndefinedValue.Because(
            $"the inline if-expression on line {Line} evaluated to false and no else section was defined.");
    }

    public override void Bind(Scope scope) => base.Bind(scope with { IsConditional = true });
}
