using Shimmy.Chat.Templates.Jinja.Expressions;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary><c>{{ value }}</c>, or <c>{% print value, value %}</c>.</summary>
internal sealed class OutputStatement(Expression[] values) : Statement
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => values;

    /// <summary>Writes a value as it appears in the output.</summary>
    public static void Write(Value value, Rendering rendering, TextBuilder output)
    {
        if (rendering.AutoEscape)
            value = Html.Escape(value, rendering);
        if (value is TextValue text)
            rendering.Scan(text.Text.Length);
        output.Append(value);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        foreach (var value in values)
            Write(value.Evaluate(frame), frame.Rendering, output);
        return Completion.Normal;
    }
}
