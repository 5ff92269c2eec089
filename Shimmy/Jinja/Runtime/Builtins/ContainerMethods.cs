namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>The methods of lists and tuples.</summary>
internal static class SequenceMethods
{
    private static readonly Signature One = new("/value");
    private static readonly Signature IndexOf = new("/value", "/start=", "/stop=");

    /// <summary>A method bound to a sequence, or null where its type has none of that name.</summary>
    public static Value? Find(SequenceValue sequence, string name) => name switch
    {
        "count" => FunctionValue.Method(name, One, (a, context) => Count(sequence, a[0]!, context)),
        "index" => FunctionValue.Method(name, IndexOf, (a, context) => Index(sequence, a, context)),
        "copy" when sequence is ListValue => FunctionValue.WithoutArguments(name, () => sequence),
        _ when sequence is ListValue && ListValue.IsMutator(name) =>
            FunctionValue.WithoutArguments(name, () => throw UndefinedValue.Unsafe(sequence, name).Fail()),
        _ => null,
    };

    private static IntegerValue Count(SequenceValue sequence, Value item, RenderContext context)
    {
        var count = 0;
        for (var at = sequence.IndexOf(item, 0, int.MaxValue, context); at >= 0;
            at = sequence.IndexOf(item, at + 1, int.MaxValue, context))
        {
            count++;
        }

        return IntegerValue.Of(count);
    }

    private static IntegerValue Index(SequenceValue sequence, Value?[] arguments, RenderContext context)
    {
        var length = sequence.Items.Length;
        var at = sequence.IndexOf(arguments[0]!, Bound(arguments[1], 0), Bound(arguments[2], length), context);
        return at >= 0
            ? IntegerValue.Of(at)
            : throw TemplateException.Evaluation($"{arguments[0]!.Repr(context)} is not in {sequence.TypeName}");

        int Bound(Value? value, int absent)
        {
            var bound = Parameters.Integer(value, absent);
            return bound < 0 ? Math.Max(0, bound + length) : bound;
        }
    }
}

/// <summary>The methods of dicts.</summary>
internal static class DictionaryMethods
{
    private static readonly Signature GetSignature = new("/key", "/default=");
    private static readonly Signature FromKeys = new("/iterable", "/value=");

    /// <summary>A method bound to a dict, or null where dicts have none of that name.</summary>
    public static Value? Find(DictionaryValue dictionary, string name) => name switch
    {
        "get" => FunctionValue.Method(name, GetSignature, (a, context) => Lookup(dictionary, a, context)),
        "items" => FunctionValue.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Items)),
        "keys" => FunctionValue.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Keys)),
        "values" => FunctionValue.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Values)),
        "copy" => FunctionValue.WithoutArguments(name, () => dictionary),
        "fromkeys" => FunctionValue.Method(name, FromKeys, Make),
        _ when DictionaryValue.IsMutator(name) =>
            FunctionValue.WithoutArguments(name, () => throw UndefinedValue.Unsafe(dictionary, name).Fail()),
        _ => null,
    };

    /// <summary><c>get</c>: the value of a key, else the default, else None.</summary>
    public static Value Lookup(DictionaryValue dictionary, Value?[] arguments, RenderContext context)
    {
        var key = arguments[0]!;
        if (!key.IsHashable)
            throw TemplateException.Evaluation($"unhashable type: '{key.TypeName}'");
        return dictionary.Get(key, context) ?? arguments[1] ?? NoneValue.Instance;
    }

    /// <summary><c>dictionary.get(…)</c>, without a value for the bound method.</summary>
    public static Value Get(DictionaryValue dictionary, Arguments arguments, RenderContext context) =>
        Lookup(dictionary, GetSignature.Bind("get", arguments), context);

    private static DictionaryValue Make(Value?[] arguments, RenderContext context) => DictionaryValue.Of(
        Array.ConvertAll(Parameters.Elements(arguments[0]!, context),
            key => new KeyValuePair<Value, Value>(key, arguments[1] ?? NoneValue.Instance)),
        context);
}
