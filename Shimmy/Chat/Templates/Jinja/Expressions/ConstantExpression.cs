using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>A literal, or a list, tuple or dict of literals: such values never change, so one serves all renderings.</summary>
internal sealed class ConstantExpression(Value value) : Expression
{
    /// <summary>The value.</summary>
    public Value Value => value;

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => value;
}
