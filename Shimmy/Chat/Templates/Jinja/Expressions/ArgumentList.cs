using Shimmy.Chat.Templates.Jinja.Methods;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

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
