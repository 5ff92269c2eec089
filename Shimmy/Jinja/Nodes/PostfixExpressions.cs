using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

/// <summary>The arguments of a call, filter or test.</summary>
/// <param name="Positional">Those without a name.</param>
/// <param name="Named">Those with one.</param>
/// <param name="Rest">What stands behind <c>*</c>, or null.</param>
/// <param name="NamedRest">What stands behind <c>**</c>, or null.</param>
internal sealed record ArgumentList(
    Expression[] Positional,
    KeyValuePair<string, Expression>[] Named,
    Expression? Rest,
    Expression? NamedRest)
{
    /// <summary>No arguments.</summary>
    public static ArgumentList None { get; } = new([], [], null, null);

    /// <summary>The expressions in the order in which Jinja visits them.</summary>
    public IEnumerable<Node> Children
    {
        get
        {
            foreach (var argument in Positional)
                yield return argument;
            foreach (var argument in Named)
                yield return argument.Value;
            if (Rest is not null)
                yield return Rest;
            if (NamedRest is not null)
                yield return NamedRest;
        }
    }

    /// <summary>The values of the arguments.</summary>
    public Arguments Evaluate(Frame frame)
    {
        if (Rest is null && NamedRest is null && Named.Length == 0)
            return Positional.Length == 0 ? Arguments.None : new Arguments(Values(frame), []);

        var positional = Values(frame);
        var named = new List<KeyValuePair<string, Value>>(Named.Length);
        foreach (var (name, expression) in Named)
            named.Add(new(name, expression.Evaluate(frame)));
        if (Rest is not null)
            positional = [.. positional, .. Parameters.Elements(Rest.Evaluate(frame), frame.Rendering)];
        if (NamedRest is not null)
            Spread(NamedRest.Evaluate(frame), named, frame.Rendering);
        return new Arguments(positional, [.. named]);
    }

    private static void Spread(Value value, List<KeyValuePair<string, Value>> named, Rendering rendering)
    {
        if (value is UndefinedValue)
            return;
        if (value is not DictionaryValue dictionary)
            throw TemplateException.Evaluation($"argument after ** must be a mapping, not {value.TypeName}");
        foreach (var entry in dictionary.Entries)
        {
            rendering.Step();
            if (entry.Key is not TextValue { Text: var name })
                throw TemplateException.Evaluation("keywords must be strings");
            if (named.Exists(argument => argument.Key == name))
                throw TemplateException.Evaluation($"got multiple values for keyword argument '{name}'");
            named.Add(new(name, entry.Value));
        }
    }

    private Value[] Values(Frame frame)
    {
        var values = new Value[Positional.Length];
        for (var i = 0; i < values.Length; i++)
            values[i] = Positional[i].Evaluate(frame);
        return values;
    }
}

/// <summary><c>owner.name</c>.</summary>
internal sealed class AttributeExpression(Expression owner, string name) : Expression
{
    private readonly TextValue key = TextValue.Own(name);

    /// <summary>The object.</summary>
    public Expression Owner => owner;

    /// <summary>The attribute's name.</summary>
    public string Name => name;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [owner];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => Of(owner.Evaluate(frame), frame.Rendering);

    /// <summary>The attribute of an object.</summary>
    public Value Of(Value value, Rendering rendering) => Lookup.Attribute(value, name, key, rendering);
}

/// <summary><c>owner[key]</c>.</summary>
internal sealed class ItemExpression(Expression owner, Expression key) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [owner, key];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) =>
        Lookup.Item(owner.Evaluate(frame), key.Evaluate(frame), frame.Rendering);
}

/// <summary><c>owner[start:stop:step]</c>; a bound that is left out is None.</summary>
internal sealed class SliceExpression(Expression owner, Expression start, Expression stop, Expression step) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [owner, start, stop, step];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => owner.Evaluate(frame)
        .Slice(start.Evaluate(frame), stop.Evaluate(frame), step.Evaluate(frame), frame.Rendering);
}

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
