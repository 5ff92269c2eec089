using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

/// <summary>The methods of dicts.</summary>
internal static class DictionaryMethods
{
    private static readonly Signature GetSignature = new("/key", "/default=");
    private static readonly Signature FromKeys = new("/iterable", "/value=");

    /// <summary>Whether the sandbox forbids a method because it changes the dict.</summary>
    public static bool ChangesDictionary(string name) => name is "clear" or "pop" or "popitem" or "setdefault" or "update";

    /// <summary>A method bound to a dict, or null where dicts have none of that name.</summary>
    public static Value? Find(DictionaryValue dictionary, string name) => name switch
    {
        "get" => BuiltIn.Method(name, GetSignature, (a, rendering) => Lookup(dictionary, a, rendering)),
        "items" => BuiltIn.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Items)),
        "keys" => BuiltIn.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Keys)),
        "values" => BuiltIn.WithoutArguments(name, () => new DictionaryViewValue(dictionary, DictionaryViewKind.Values)),
        "copy" => BuiltIn.WithoutArguments(name, () => dictionary),
        "fromkeys" => BuiltIn.Method(name, FromKeys, Make),
        _ when ChangesDictionary(name) =>
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
