using System.Numerics;

namespace Shimmy.Jinja.Runtime;

/// <summary>A built-in function, or a built-in method bound to its object.</summary>
internal sealed class FunctionValue(string name, string typeName, Func<Arguments, RenderContext, Value> body) : Value
{
    public override string TypeName => typeName;

    public override bool IsCallable => true;

    /// <summary>A global function.</summary>
    public static FunctionValue Function(string name, Func<Arguments, RenderContext, Value> body) => new(name, "function", body);

    /// <summary>A method bound to its object.</summary>
    public static FunctionValue Method(string name, Signature signature, Func<Value?[], RenderContext, Value> body) =>
        new(name, "builtin_function_or_method", (arguments, context) => body(signature.Bind(name, arguments), context));

    /// <summary>A method that takes no arguments.</summary>
    public static FunctionValue WithoutArguments(string name, Func<Value> body) => Method(name, Signature.Empty, (_, _) => body());

    public override Value Call(Arguments arguments, RenderContext context) => body(arguments, context);

    public override void WriteRepr(TextBuilder text)
    {
        text.Append("<built-in ");
        text.Append(name);
        text.Append('>');
    }
}

/// <summary>The signature of a built-in function, method, filter or test: its parameters.</summary>
internal sealed class Signature
{
    private readonly int _required;
    private readonly string[] _names;

    /// <summary>
    /// Parameters by name; a trailing <c>=</c> marks an optional one, a leading <c>/</c> one that cannot be passed by name.
    /// </summary>
    public Signature(params string[] parameters)
    {
        _names = Array.ConvertAll(parameters, parameter => parameter.TrimEnd('='));
        _required = parameters.Count(parameter => !parameter.EndsWith('='));
    }

    /// <summary>No parameters.</summary>
    public static Signature Empty { get; } = new();

    /// <summary>Puts arguments in the parameters' order; null where an optional one is not given.</summary>
    public Value?[] Bind(string function, Arguments arguments)
    {
        var positional = arguments.Positional;
        if (positional.Length > _names.Length)
        {
            throw TemplateException.Evaluation(
                $"{function}() takes at most {_names.Length} argument(s), {positional.Length} given");
        }

        if (positional.Length == _names.Length && arguments.Named.Length == 0)
            return positional;

        var bound = new Value?[_names.Length];
        positional.CopyTo(bound, 0);
        foreach (var (name, value) in arguments.Named)
        {
            var index = Array.IndexOf(_names, name);
            if (index < 0)
                throw TemplateException.Evaluation($"{function}() got an unexpected keyword argument '{name}'");
            if (bound[index] is not null)
                throw TemplateException.Evaluation($"{function}() got multiple values for argument '{name}'");
            bound[index] = value;
        }

        for (var i = 0; i < _required; i++)
        {
            if (bound[i] is null)
                throw TemplateException.Evaluation($"{function}() missing required argument: '{_names[i].TrimStart('/')}'");
        }

        return bound;
    }
}

/// <summary>The arguments of a call.</summary>
/// <param name="Positional">The arguments without a name.</param>
/// <param name="Named">The arguments with a name, in order; no name occurs twice.</param>
internal readonly record struct Arguments(Value[] Positional, KeyValuePair<string, Value>[] Named)
{
    /// <summary>No arguments.</summary>
    public static Arguments None { get; } = new([], []);

    /// <summary>A named argument, or null.</summary>
    public Value? Find(string name)
    {
        foreach (var argument in Named)
        {
            if (argument.Key == name)
                return argument.Value;
        }

        return null;
    }

    /// <summary>The same arguments without the first positional ones.</summary>
    public Arguments Skip(int count) => this with { Positional = Positional[count..] };
}

/// <summary>Reads the arguments of built-in functions, failing as Python does where they are of the wrong type.</summary>
internal static class Parameters
{
    /// <summary>A text.</summary>
    public static TextValue Text(Value? value) => value switch
    {
        TextValue text => text,
        UndefinedValue => throw TemplateException.Evaluation("must be str, not Undefined"),
        _ => throw TemplateException.Evaluation($"must be str, not {value?.TypeName ?? "NoneType"}"),
    };

    /// <summary>A text, or null where it is None or not given.</summary>
    public static TextValue? OptionalText(Value? value) => value is null or NoneValue ? null : Text(value);

    /// <summary>An integer within 32 bits; larger ones are brought to the bounds, which no text or list reaches.</summary>
    public static int Integer(Value? value, int absent) => value switch
    {
        null => absent,
        IntegerLikeValue integer => (int)BigInteger.Clamp(integer.Number, int.MinValue, int.MaxValue),
        UndefinedValue undefined => throw undefined.Fail(),
        _ => throw TemplateException.Evaluation($"'{value.TypeName}' object cannot be interpreted as an integer"),
    };

    /// <summary>Whether an argument is true.</summary>
    public static bool Flag(Value? value, bool absent = false) => value?.IsTrue ?? absent;

    /// <summary>All elements of an iterable.</summary>
    public static Value[] Elements(Value value, RenderContext context)
    {
        if (value is SequenceValue sequence)
            return sequence.Items;
        var elements = new List<Value>();
        using var items = value.Iterate(context);
        while (items.MoveNext())
        {
            context.Step();
            elements.Add(items.Current);
        }

        context.ReserveValues(elements.Count);
        return [.. elements];
    }
}
