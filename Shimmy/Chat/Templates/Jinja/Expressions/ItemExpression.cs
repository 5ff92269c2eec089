using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>owner[key]</c>.</summary>
internal sealed class ItemExpression(Expression owner, Expression key) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [owner, key];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) =>
        Lookup.Item(owner.Evaluate(frame), key.Evaluate(frame), frame.Rendering);
}
