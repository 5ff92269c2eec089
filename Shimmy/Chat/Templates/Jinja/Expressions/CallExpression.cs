using Shimmy.Chat.Templates.Jinja.Methods;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>A call.</summary>
internal sealed class CallExpression(Expression callee, ArgumentList arguments) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [callee, .. arguments.Children];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => Evaluate(frame, caller: null);

    /// <summary>Calls with a further argument <c>caller</c>, as call blocks do.</summary>
    public Value Evaluate(Frame frame, Value? caller)
    {
        var rendering = frame.Rendering;
        if (callee is AttributeExpression method && caller is null)
            return CallMethod(method, frame, rendering);

        var function = callee.Evaluate(frame);
        var values = arguments.Evaluate(frame);
        if (caller is not null)
            values = values with { Named = [.. values.Named, new("caller", caller)] };
        return function.Call(values, rendering);
    }

    /// <summary>The methods of texts and dicts are called without a value for the bound method in between.</summary>
    private Value CallMethod(AttributeExpression method, Frame frame, Rendering rendering)
    {
        var owner = method.Owner.Evaluate(frame);
        switch (owner)
        {
            case TextValue text:
                if (TextMethods.Invoke(text, method.Name, arguments.Evaluate(frame), rendering) is { } result)
                    return result;
                break;
            case DictionaryValue dictionary when method.Name == "get":
                return DictionaryMethods.Get(dictionary, arguments.Evaluate(frame), rendering);
        }

        return method.Of(owner, rendering).Call(arguments.Evaluate(frame), rendering);
    }
}
