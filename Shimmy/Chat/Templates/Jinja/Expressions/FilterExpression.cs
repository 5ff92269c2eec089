using Shimmy.Chat.Templates.Jinja.Filters;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>input | name(arguments)</c>; without an input at the start of a filter or set block, which gives its own.</summary>
internal sealed class FilterExpression(Expression? input, string name, ArgumentList arguments) : Expression
{
    private Filter? filter;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => input is null ? arguments.Children : [input, .. arguments.Children];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => Apply(frame, content: null);

    /// <summary>Applies the filter, and those before it, to a block's content.</summary>
    public Value Apply(Frame frame, Value? content)
    {
        var value = input switch
        {
            null => content ?? throw new InvalidOperationException("The filter has no input."),
            FilterExpression before => before.Apply(frame, content),
            _ => input.Evaluate(frame),
        };
        var values = arguments.Evaluate(frame);
        return filter is not null
            ? filter.Apply(value, values, frame.Rendering)
            : throw TemplateException.Evaluation($"No filter named '{name}' found.");
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        base.Bind(scope);
        filter = FilterTable.Find(name);
        if (filter is null && !scope.IsConditional)
            throw TemplateException.Syntax($"No filter named '{name}'.", Line, 0);
    }
}
