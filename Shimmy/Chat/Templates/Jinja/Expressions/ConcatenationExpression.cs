using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>Operands joined as texts by <c>~</c>.</summary>
internal sealed class ConcatenationExpression(Expression[] operands) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => operands;

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        var rendering = frame.Rendering;
        var values = Array.ConvertAll(operands, operand => operand.Evaluate(frame));
        var escape = rendering.AutoEscape && Array.Exists(values, value => value is TextValue { IsMarkup: true });
        var builder = rendering.Rent();
        foreach (var value in values)
            builder.Append(escape ? Html.Escape(value, rendering) : value);
        return rendering.Finish(builder, escape);
    }
}
