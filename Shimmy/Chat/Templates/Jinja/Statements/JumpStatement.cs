using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary><c>{% break %}</c> or <c>{% continue %}</c>.</summary>
internal sealed class JumpStatement(Completion completion) : Statement
{
    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        if (!scope.IsInLoop)
            throw TemplateException.Syntax(
                completion == Completion.Break ? "'break' outside loop" : "'continue' not properly in loop", Line, 0);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output) => completion;
}
