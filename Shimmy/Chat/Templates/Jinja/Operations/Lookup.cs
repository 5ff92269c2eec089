using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Operations;

/// <summary>Attributes and items as the sandbox looks them up.</summary>
internal static class Lookup
{
    /// <summary><c>owner.name</c>: the attribute, else the item, else undefined.</summary>
    public static Value Attribute(Value owner, string name, Rendering rendering) =>
        Attribute(owner, name, TextValue.Own(name), rendering);

    /// <summary>As <see cref="Attribute(Value, string, Rendering)"/>, with the name as a value at hand.</summary>
    public static Value Attribute(Value owner, string name, TextValue key, Rendering rendering)
    {
        if (IsInternal(name) && owner is not (UndefinedValue or NamespaceValue))
            return UndefinedValue.Unsafe(owner, name);
        if (owner.Attribute(name, rendering) is { } value)
            return owner.IsUnsafe(name) ? UndefinedValue.Unsafe(owner, name) : value;
        return owner.Item(key, rendering) ?? UndefinedValue.Member(owner, key);
    }

    /// <summary><c>owner[key]</c>: the item, else the attribute, else undefined.</summary>
    public static Value Item(Value owner, Value key, Rendering rendering)
    {
        if (owner.Item(key, rendering) is { } item)
            return item;
        if (key is TextValue { Text: var name })
        {
            if (IsInternal(name) && owner is not NamespaceValue)
                return UndefinedValue.Unsafe(owner, name);
            if (owner.Attribute(name, rendering) is { } value)
                return owner.IsUnsafe(name) ? UndefinedValue.Unsafe(owner, name) : value;
        }

        return UndefinedValue.Member(owner, key);
    }

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
