using Shimmy.Chat.Templates.Jinja.Expressions;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary><c>{% set target = value %}</c>.</summary>
internal sealed class SetStatement(Target target, Expression value) : Statement
{
    private Export? export;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [target, value];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols)
    {
        // The value is looked at before the target, so that {% set x = x %} reads an x from outside.
        value.Collect(symbols);
        target.Collect(symbols);
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        base.Bind(scope);
        export = Export.For(target, scope);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        target.Check(frame);
        target.Assign(frame, value.Evaluate(frame));
        export?.Run(frame);
        return Completion.Normal;
    }
}

/// <summary><c>{% set target %}…{% endset %}</c>, perhaps with a filter.</summary>
internal sealed class SetBlockStatement(Target target, FilterExpression? filter, Body body) : Statement
{
    private Export? export;
    private ScopeEntry entry = null!;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => filter is null ? [target, body] : [target, filter, body];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => target.Collect(symbols);

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        filter?.Collect(inner.Symbols);
        body.Collect(inner.Symbols);
        entry = inner.Entry();
        body.Bind(inner);
        filter?.Bind(inner);
        target.Bind(scope);
        export = Export.For(target, scope);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        target.Check(frame);
        entry.Run(frame);
        if (body.Capture(frame, frame.Rendering.AutoEscape, out var completion) is not { } content)
            return completion;
        target.Assign(frame, filter is null ? content : filter.Apply(frame, content));
        export?.Run(frame);
        return Completion.Normal;
    }
}

/// <summary>Makes what a template's top level assigns visible to its blocks, which do not see its scopes.</summary>
internal sealed class Export(string[] names, Location[] locations)
{
    /// <summary>What to do after an assignment; null where it is not at the top level.</summary>
    public static Export? For(Target target, Scope scope)
    {
        string[] names = [.. target.Names];
        return scope.IsTopLevel && names.Length > 0 ? new Export(names, Array.ConvertAll(names, scope.Locate)) : null;
    }

    /// <summary>Exports the values.</summary>
    public void Run(Frame frame)
    {
        for (var i = 0; i < names.Length; i++)
            if (frame.Read(locations[i]) is { } value)
                frame.Rendering.Export(names[i], value);
    }
}
