using System.Globalization;
using System.Numerics;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Attributes and items as the sandbox looks them up.</summary>
internal static class Lookup
{
    /// <summary><c>owner.name</c>: the attribute, else the item, else undefined.</summary>
    public static Value Attribute(Value owner, string name, RenderContext context) =>
        Attribute(owner, name, TextValue.Own(name), context);

    /// <summary><c>owner.name</c>, for callers that already have the name as a value.</summary>
    public static Value Attribute(Value owner, string name, TextValue key, RenderContext context)
    {
        if (IsInternal(name) && owner is not (UndefinedValue or NamespaceValue))
            return UndefinedValue.Unsafe(owner, name);
        if (Member(owner, name, context) is { } value)
            return owner.IsUnsafe(name) ? UndefinedValue.Unsafe(owner, name) : value;
        return owner.Item(key, context) ?? UndefinedValue.Member(owner, key);
    }

    /// <summary><c>owner[key]</c>: the item, else the attribute, else undefined.</summary>
    public static Value Item(Value owner, Value key, RenderContext context)
    {
        if (owner.Item(key, context) is { } item)
            return item;
        if (key is TextValue { Text: var name })
        {
            if (IsInternal(name) && owner is not NamespaceValue)
                return UndefinedValue.Unsafe(owner, name);
            if (Member(owner, name, context) is { } value)
                return owner.IsUnsafe(name) ? UndefinedValue.Unsafe(owner, name) : value;
        }

        return UndefinedValue.Member(owner, key);
    }

    /// <summary>An attribute or method, also one that the sandbox forbids; null where the type has none of that name.</summary>
    public static Value? Member(Value owner, string name, RenderContext context) => owner switch
    {
        TextValue text => TextMethods.Find(text, name),
        DictionaryValue dictionary => DictionaryMethods.Find(dictionary, name),
        SequenceValue sequence => sequence.Attribute(name, context) ?? SequenceMethods.Find(sequence, name),
        _ => owner.Attribute(name, context),
    };

    /// <summary>
    /// Whether a name is one of those that every Python object has. The sandbox forbids all of them, so which exist need not
    /// be known beyond the common ones.
    /// </summary>
    private static bool IsInternal(string name) => name.StartsWith("__", StringComparison.Ordinal) && name is
        "__class__" or "__dict__" or "__doc__" or "__init__" or "__new__" or "__repr__" or "__str__" or "__hash__" or
        "__module__" or "__getattribute__" or "__setattr__" or "__delattr__" or "__dir__" or "__eq__" or "__ne__" or
        "__lt__" or "__le__" or "__gt__" or "__ge__" or "__format__" or "__reduce__" or "__reduce_ex__" or "__sizeof__" or
        "__subclasshook__" or "__init_subclass__" or "__len__" or "__iter__" or "__contains__" or "__getitem__" or
        "__globals__" or "__code__" or "__func__" or "__self__" or "__call__" or "__closure__";
}

/// <summary>The path that the <c>attribute</c> argument of a filter names: names and positions with dots between them.</summary>
internal sealed class AttributePath
{
    private readonly Value[] _parts;
    private readonly Value? _absent;

    private AttributePath(Value[] parts, Value? absent) => (_parts, _absent) = (parts, absent);

    /// <summary>The path of an argument; one that is None or not given leads to the element itself.</summary>
    /// <param name="attribute">The argument.</param>
    /// <param name="absent">The value in place of a member that does not exist; null leaves the member undefined.</param>
    public static AttributePath Of(Value? attribute, Value? absent = null) => new(attribute switch
    {
        null or NoneValue => [],
        TextValue text => Parts(text.Text),
        _ => [attribute],
    }, absent is NoneValue ? null : absent);

    /// <summary>The paths of an argument that may hold several, with commas between them.</summary>
    public static AttributePath[] AllOf(Value? attribute) => attribute is TextValue text
        ? Array.ConvertAll(text.Text.Split(','), path => new AttributePath(Parts(path), null))
        : [Of(attribute)];

    /// <summary>The member that the path leads to.</summary>
    public Value Find(Value element, RenderContext context)
    {
        foreach (var part in _parts)
        {
            element = Lookup.Item(element, part, context);
            if (_absent is not null && element is UndefinedValue)
                element = _absent;
        }

        return element;
    }

    /// <summary>The member as a key to compare by: in lower case unless case counts.</summary>
    public Value Key(Value element, bool caseSensitive, RenderContext context)
    {
        var found = Find(element, context);
        return !caseSensitive && found is TextValue text ? CaseMapping.ToLower(text, context) : found;
    }

    private static Value[] Parts(string path) => Array.ConvertAll(path.Split('.'), part =>
        part.Length > 0 && part.All(char.IsAsciiDigit)
            ? (Value)IntegerValue.Of(BigInteger.Parse(part, NumberStyles.None, CultureInfo.InvariantCulture))
            : TextValue.Own(part));
}
