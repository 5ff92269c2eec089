namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>The methods of lists and tuples.</summary>
internal static class SequenceMethods
{
    private static readonly Signature One = new("/value");
    private static readonly Signature IndexOf = new("/value", "/start=", "/stop=");

    /// <summary>A method bound to a sequence, or null where its type has none of that name.</summary>
    public static Value? Find(SequenceValue sequence, string name) => name switch
    {
        "count" => BuiltIn.Method(name, One, (a, rendering) => Count(sequence, a[0]!, rendering)),
        "index" => BuiltIn.Method(name, IndexOf, (a, rendering) => Index(sequence, a, rendering)),
        "copy" when sequence is ListValue => BuiltIn.WithoutArguments(name, () => sequence),
        _ when sequence is ListValue && ListValue.IsMutator(name) =>
            BuiltIn.WithoutArguments(name, () => throw UndefinedValue.Unsafe(sequence, name).Fail()),
        _ => null,
    };

    private static IntegerValue Count(SequenceValue sequence, Value item, Rendering rendering)
    {
        var count = 0;
        for (var at = sequence.IndexOf(item, 0, int.MaxValue, rendering); at >= 0;
            at = sequence.IndexOf(item, at + 1, int.MaxValue, rendering))
            count++;
        return IntegerValue.Of(count);
    }

    private static IntegerValue Index(SequenceValue sequence, Value?[] arguments, Rendering rendering)
    {
        var length = sequence.Items.Length;
        var at = sequence.IndexOf(arguments[0]!, Bound(arguments[1], 0), Bound(arguments[2], length), rendering);
        return at >= 0
            ? IntegerValue.Of(at)
            : throw TemplateException.Evaluation($"{arguments[0]!.Repr(rendering)} is not in {sequence.TypeName}");

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
        "get" => BuiltIn.Method(name, GetSignature, (a, rendering) => Lookup(dictionary, a, rendering)),
        "items" => BuiltIn.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Items)),
        "keys" => BuiltIn.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Keys)),
        "values" => BuiltIn.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Values)),
        "copy" => BuiltIn.WithoutArguments(name, () => dictionary),
        "fromkeys" => BuiltIn.Method(name, FromKeys, Make),
        _ when DictionaryValue.IsMutator(name) =>
            BuiltIn.WithoutArguments(name, () => throw UndefinedValue.Unsafe(dictionary, name).Fail()),
        _ => null,
    };

    /// <summary><c>get</c>: the value of a key, else the default, else None.</summary>
    public static Value Lookup(DictionaryValue dictionary, Value?[] arguments, Rendering rendering)
    {
        var key = arguments[0]!;
        if (!key.IsHashable)
            throw TemplateException.Evaluation($"unhashable type: '{key.TypeName}'");
        return dictionary.Get(key, rendering) ?? arguments[1] ?? NoneValue.Instance;
    }

    /// <summary><c>dictionary.get(…)</c>, without a value for the bound method.</summary>
    public static Value Get(DictionaryValue dictionary, Arguments arguments, Rendering rendering) =>
        Lookup(dictionary, GetSignature.Bind("get", arguments), rendering);

    private static DictionaryValue Make(Value?[] arguments, Rendering rendering) => DictionaryValue.Of(
        Array.ConvertAll(Parameters.Elements(arguments[0]!, rendering),
            key => new KeyValuePair<Value, Value>(key, arguments[1] ?? NoneValue.Instance)),
        rendering);
}
