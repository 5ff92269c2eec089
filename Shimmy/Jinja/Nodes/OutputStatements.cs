using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

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

/// <summary>Text outside of tags.</summary>
internal sealed class DataStatement(string text) : Statement
{
    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        frame.Rendering.Scan(text.Length);
        output.Append(text);
        return Completion.Normal;
    }
}

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

/// <summary><c>{% autoescape flag %}…{% endautoescape %}</c>.</summary>
internal sealed class AutoEscapeStatement(Expression flag, Body body) : Statement
{
    private ScopeEntry entry = null!;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [flag, body];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols)
    {
        // A scope of its own: nothing of it is the outer one's.
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        base.Collect(inner.Symbols);
        entry = inner.Entry();
        base.Bind(inner);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        entry.Run(frame);
        var rendering = frame.Rendering;
        var before = rendering.AutoEscape;
        rendering.AutoEscape = flag.Evaluate(frame).IsTrue;
        var completion = body.Run(frame, output);
        rendering.AutoEscape = before;
        return completion;
    }
}
