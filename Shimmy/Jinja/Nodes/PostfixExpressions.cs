using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

/// <summary>The arguments of a call, filter or test.</summary>
/// <param name="Positional">The arguments without a name.</param>
/// <param name="Named">The arguments with a name.</param>
/// <param name="Rest">The expression after <c>*</c>, whose elements are further positional arguments; null where there is none.</param>
/// <param name="NamedRest">The expression after <c>**</c>, whose entries are further named arguments; null where there is none.</param>
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
            positional = [.. positional, .. Parameters.Elements(Rest.Evaluate(frame), frame.Context)];
        if (NamedRest is not null)
            Spread(NamedRest.Evaluate(frame), named, frame.Context);
        return new Arguments(positional, [.. named]);
    }

    private static void Spread(Value value, List<KeyValuePair<string, Value>> named, RenderContext context)
    {
        if (value is UndefinedValue)
            return;
        if (value is not DictionaryValue dictionary)
            throw TemplateException.Evaluation($"argument after ** must be a mapping, not {value.TypeName}");
        foreach (var entry in dictionary.Entries)
        {
            context.Step();
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
    private readonly TextValue _key = TextValue.Own(name);

    /// <summary>The object.</summary>
    public Expression Owner => owner;

    /// <summary>The attribute's name.</summary>
    public string Name => name;

    public override IEnumerable<Node> Children => [owner];

    public override Value Evaluate(Frame frame) => Of(owner.Evaluate(frame), frame.Context);

    /// <summary>The attribute of an object.</summary>
    public Value Of(Value value, RenderContext context) => Lookup.Attribute(value, name, _key, context);
}

/// <summary><c>owner[key]</c>.</summary>
internal sealed class ItemExpression(Expression owner, Expression key) : Expression
{
    public override IEnumerable<Node> Children => [owner, key];

    public override Value Evaluate(Frame frame) =>
        Lookup.Item(owner.Evaluate(frame), key.Evaluate(frame), frame.Context);
}

/// <summary><c>owner[start:stop:step]</c>; a bound that is left out is None.</summary>
internal sealed class SliceExpression(Expression owner, Expression start, Expression stop, Expression step) : Expression
{
    public override IEnumerable<Node> Children => [owner, start, stop, step];

    public override Value Evaluate(Frame frame) => owner.Evaluate(frame)
        .Slice(start.Evaluate(frame), stop.Evaluate(frame), step.Evaluate(frame), frame.Context);
}

/// <summary>A call.</summary>
internal sealed class CallExpression(Expression callee, ArgumentList arguments) : Expression
{
    public override IEnumerable<Node> Children => [callee, .. arguments.Children];

    public override Value Evaluate(Frame frame) => Evaluate(frame, caller: null);

    /// <summary>Calls with a further argument <c>caller</c>, as call blocks do.</summary>
    public Value Evaluate(Frame frame, Value? caller)
    {
        var context = frame.Context;
        if (callee is AttributeExpression method && caller is null)
            return CallMethod(method, frame, context);

        var function = callee.Evaluate(frame);
        var values = arguments.Evaluate(frame);
        if (caller is not null)
            values = values with { Named = [.. values.Named, new("caller", caller)] };
        return function.Call(values, context);
    }

    /// <summary>The methods of texts and dicts are called without a value for the bound method in between.</summary>
    private Value CallMethod(AttributeExpression method, Frame frame, RenderContext context)
    {
        var owner = method.Owner.Evaluate(frame);
        switch (owner)
        {
            case TextValue text:
                if (TextMethods.Invoke(text, method.Name, arguments.Evaluate(frame), context) is { } result)
                    return result;
                break;
            case DictionaryValue dictionary when method.Name == "get":
                return DictionaryMethods.Get(dictionary, arguments.Evaluate(frame), context);
        }

        return method.Of(owner, context).Call(arguments.Evaluate(frame), context);
    }
}

/// <summary><c>input | name(arguments)</c>; without an input at the start of a filter or set block, which gives its own.</summary>
internal sealed class FilterExpression(Expression? input, string name, ArgumentList arguments) : Expression
{
    private Filter? _filter;

    public override IEnumerable<Node> Children => input is null ? arguments.Children : [input, .. arguments.Children];

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
        return _filter is not null
            ? _filter.Apply(value, values, frame.Context)
            : throw TemplateException.Evaluation($"No filter named '{name}' found.");
    }

    public override void Bind(Scope scope)
    {
        base.Bind(scope);
        _filter = FilterTable.Find(name);
        if (_filter is null && !scope.IsConditional)
            throw TemplateException.Syntax($"No filter named '{name}'.", Line, 0);
    }
}

/// <summary><c>subject is name(arguments)</c>.</summary>
internal sealed class TestExpression(Expression subject, string name, ArgumentList arguments) : Expression
{
    private Test? _test;

    public override IEnumerable<Node> Children => [subject, .. arguments.Children];

    public override Value Evaluate(Frame frame)
    {
        var value = subject.Evaluate(frame);
        var values = arguments.Evaluate(frame);
        return _test is not null
            ? BooleanValue.Of(_test.Holds(value, values, frame.Context))
            : throw TemplateException.Evaluation($"No test named '{name}' found.");
    }

    public override void Bind(Scope scope)
    {
        base.Bind(scope);
        _test = TestTable.Find(name);
        if (_test is null && !scope.IsConditional)
            throw TemplateException.Syntax($"No test named '{name}'.", Line, 0);
    }
}
