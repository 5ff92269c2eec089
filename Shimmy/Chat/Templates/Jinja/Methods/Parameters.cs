using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

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

    /// <summary>An integer, or null where it is None or not given.</summary>
    public static int? OptionalInteger(Value? value) => value is null or NoneValue ? null : Integer(value, 0);

    /// <summary>Whether an argument is true.</summary>
    public static bool Flag(Value? value, bool absent = false) => value?.IsTrue ?? absent;

    /// <summary>All elements of an iterable.</summary>
    public static Value[] Elements(Value value, Rendering rendering)
    {
        if (value is SequenceValue sequence)
            return sequence.Items;
        var elements = new List<Value>();
        using var items = value.Iterate(rendering);
        while (items.MoveNext())
        {
            rendering.Step();
            elements.Add(items.Current);
        }

        rendering.ReserveValues(elements.Count);
        return [.. elements];
    }
}
