using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

/// <summary>The methods of lists and tuples.</summary>
internal static class SequenceMethods
{
    private static readonly Signature One = new("/value");
    private static readonly Signature IndexOf = new("/value", "/start=", "/stop=");

    /// <summary>Whether the sandbox forbids a method because it changes the list.</summary>
    public static bool ChangesList(string name) =>
        name is "append" or "clear" or "pop" or "reverse" or "insert" or "sort" or "extend" or "remove";

    /// <summary>A method bound to a sequence, or null where its type has none of that name.</summary>
    public static Value? Find(SequenceValue sequence, string name) => name switch
    {
        "count" => BuiltIn.Method(name, One, (a, rendering) => Count(sequence, a[0]!, rendering)),
        "index" => BuiltIn.Method(name, IndexOf, (a, rendering) => Index(sequence, a, rendering)),
        "copy" when sequence is ListValue => BuiltIn.WithoutArguments(name, () => sequence),
        _ when sequence is ListValue && ChangesList(name) =>
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
