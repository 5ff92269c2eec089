using Shimmy.Chat.Templates.Jinja.Expressions;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

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
