using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>owner[start:stop:step]</c>; a bound that is left out is None.</summary>
internal sealed class SliceExpression(Expression owner, Expression start, Expression stop, Expression step) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [owner, start, stop, step];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => owner.Evaluate(frame)
        .Slice(start.Evaluate(frame), stop.Evaluate(frame), step.Evaluate(frame), frame.Rendering);
}
