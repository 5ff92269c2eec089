using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>value if test else other</c>; undefined where the test fails and there is no other.</summary>
internal sealed class ConditionalExpression(Expression test, Expression value, Expression? other) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => other is null ? [test, value] : [test, value, other];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        if (test.Evaluate(frame).IsTrue)
            return value.Evaluate(frame);
        return other?.Evaluate(frame) ?? UndefinedValue.Because(
            $"the inline if-expression on line {Line} evaluated to false and no else section was defined.");
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope) => base.Bind(scope with { IsConditional = true });
}
