using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>A list or tuple literal.</summary>
internal sealed class SequenceExpression(Expression[] items, bool isTuple) : Expression
{
    /// <summary>The elements.</summary>
    public Expression[] Items => items;

    /// <summary>Whether it is a tuple.</summary>
    public bool IsTuple => isTuple;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => items;

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        var values = new Value[items.Length];
        for (var i = 0; i < items.Length; i++)
            values[i] = items[i].Evaluate(frame);
        return isTuple ? new TupleValue(values) : new ListValue(values);
    }
}
