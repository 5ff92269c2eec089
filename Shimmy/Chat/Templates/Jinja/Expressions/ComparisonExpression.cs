using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>Operands with comparisons between them, as in <c>a &lt; b &lt;= c</c>; all must hold.</summary>
internal sealed class ComparisonExpression(Expression first, KeyValuePair<string, Expression>[] comparisons) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [first, .. comparisons.Select(comparison => comparison.Value)];

    /// <summary>Whether one comparison holds.</summary>
    public static bool Holds(Value left, string @operator, Value right, Rendering rendering) => @operator switch
    {
        "==" => left.EqualTo(right, rendering),
        "!=" => !left.EqualTo(right, rendering),
        "in" => right.Contains(left, rendering),
        "not in" => !right.Contains(left, rendering),
        _ => Ordering.Holds(left, @operator, right, rendering),
    };

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        var left = first.Evaluate(frame);
        foreach (var (@operator, expression) in comparisons)
        {
            var right = expression.Evaluate(frame);
            if (!Holds(left, @operator, right, frame.Rendering))
                return BooleanValue.False;
            left = right;
        }

        return BooleanValue.True;
    }
}
