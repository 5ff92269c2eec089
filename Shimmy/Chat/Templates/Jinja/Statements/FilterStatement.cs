using Shimmy.Chat.Templates.Jinja.Expressions;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary><c>{% filter name %}…{% endfilter %}</c>.</summary>
internal sealed class FilterStatement(FilterExpression filter, Body body) : Statement
{
    private ScopeEntry entry = null!;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [body, filter];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => filter.Collect(symbols);

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        body.Collect(inner.Symbols);
        filter.Collect(inner.Symbols);
        entry = inner.Entry();
        body.Bind(inner);
        filter.Bind(inner);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        entry.Run(frame);
        var rendering = frame.Rendering;
        if (body.Capture(frame, rendering.AutoEscape, out var completion) is not { } content)
            return completion;
        OutputStatement.Write(filter.Apply(frame, content), rendering, output);
        return Completion.Normal;
    }
}
