using Shimmy.Chat.Templates.Jinja.Filters;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>subject is name(arguments)</c>.</summary>
internal sealed class TestExpression(Expression subject, string name, ArgumentList arguments) : Expression
{
    private Test? test;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [subject, .. arguments.Children];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        var value = subject.Evaluate(frame);
        var values = arguments.Evaluate(frame);
        return test is not null
            ? BooleanValue.Of(test.Holds(value, values, frame.Rendering))
            : throw TemplateException.Evaluation($"No test named '{name}' found.");
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        base.Bind(scope);
        test = TestTable.Find(name);
        if (test is null && !scope.IsConditional)
            throw TemplateException.Syntax($"No test named '{name}'.", Line, 0);
    }
}
