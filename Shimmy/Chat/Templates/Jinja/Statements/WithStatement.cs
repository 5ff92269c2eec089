using Shimmy.Chat.Templates.Jinja.Expressions;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary><c>{% with target = value, … %}…{% endwith %}</c>: the values are those outside of the block.</summary>
internal sealed class WithStatement(Target[] targets, Expression[] values, Body body) : Statement
{
    private ScopeEntry entry = null!;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [.. targets, .. values, body];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols)
    {
        foreach (var value in values)
            value.Collect(symbols);
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        foreach (var target in targets)
            target.Declare(inner.Symbols);
        body.Collect(inner.Symbols);
        entry = inner.Entry();
        foreach (var value in values)
            value.Bind(scope);
        foreach (var target in targets)
            target.Bind(inner);
        body.Bind(inner);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        entry.Run(frame);
        for (var i = 0; i < targets.Length; i++)
            targets[i].Assign(frame, values[i].Evaluate(frame));
        return body.Run(frame, output);
    }
}
