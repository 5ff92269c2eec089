using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

/// <summary><c>{{ value }}</c>, or <c>{% print value, value %}</c>.</summary>
internal sealed class OutputStatement(Expression[] values) : Statement
{
    public override IEnumerable<Node> Children => values;

    /// <summary>Writes a value as it appears in the output.</summary>
    public static void Write(Value value, RenderContext context, TextBuilder output)
    {
        if (context.AutoEscape)
            value = Html.Escape(value, context);
        if (value is TextValue text)
            context.Scan(text.Text.Length);
        output.Append(value);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        foreach (var value in values)
            Write(value.Evaluate(frame), frame.Context, output);
        return Completion.Normal;
    }
}

/// <summary>Literal text outside of tags (Jinja's TemplateData), written as it is.</summary>
internal sealed class DataStatement(string text) : Statement
{
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        frame.Context.Scan(text.Length);
        output.Append(text);
        return Completion.Normal;
    }
}

/// <summary><c>{% filter name %}…{% endfilter %}</c>.</summary>
internal sealed class FilterStatement(FilterExpression filter, Body body) : Statement
{
    private ScopeEntry _entry = null!;

    public override IEnumerable<Node> Children => [body, filter];

    public override void Collect(Symbols symbols) => filter.Collect(symbols);

    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        body.Collect(inner.Symbols);
        filter.Collect(inner.Symbols);
        _entry = inner.Entry();
        body.Bind(inner);
        filter.Bind(inner);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        _entry.Run(frame);
        var context = frame.Context;
        if (body.Capture(frame, context.AutoEscape, out var completion) is not { } content)
            return completion;
        OutputStatement.Write(filter.Apply(frame, content), context, output);
        return Completion.Normal;
    }
}

/// <summary><c>{% autoescape flag %}…{% endautoescape %}</c>.</summary>
internal sealed class AutoEscapeStatement(Expression flag, Body body) : Statement
{
    private ScopeEntry _entry = null!;

    public override IEnumerable<Node> Children => [flag, body];

    public override void Collect(Symbols symbols)
    {
        // The names belong to a scope of its own, which Bind makes; none of them is the outer scope's.
    }

    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        base.Collect(inner.Symbols);
        _entry = inner.Entry();
        base.Bind(inner);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        _entry.Run(frame);
        var context = frame.Context;
        var before = context.AutoEscape;
        context.AutoEscape = flag.Evaluate(frame).IsTrue;
        var completion = body.Run(frame, output);
        context.AutoEscape = before;
        return completion;
    }
}
