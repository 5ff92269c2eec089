using System.Numerics;
using System.Text;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

/// <summary><c>str.translate</c> and <c>str.maketrans</c>.</summary>
internal static class Translation
{
    /// <summary>Replaces each character by what the table has for its code point: a text, a code point, or None for nothing.</summary>
    public static TextValue Apply(TextValue text, Value table, Rendering rendering)
    {
        var builder = rendering.Rent();
        for (var unit = 0; unit < text.Text.Length;)
        {
            rendering.Step();
            var size = Rune.TryGetRuneAt(text.Text, unit, out var rune) ? rune.Utf16SequenceLength : 1;
            switch (table.Item(IntegerValue.Of(size == 1 ? text.Text[unit] : rune.Value), rendering))
            {
                case null:
                    builder.Append(text, unit, size);
                    break;
                case TextValue replacement:
                    builder.Append(replacement);
                    break;
                case IntegerLikeValue { Number: var point } when Rune.IsValid(Bounded(point)):
                    builder.Append(new Rune(Bounded(point)).ToString(), text.Provenance.IsRequestAt(unit));
                    break;
                case NoneValue:
                    break;
                default:
                    throw TemplateException.Evaluation("character mapping must return integer, None or str");
            }

            unit += size;
        }

        return rendering.Finish(builder, text.IsMarkup);
    }

    /// <summary>Makes a table of a dict, or of characters and their replacements and those to drop.</summary>
    public static DictionaryValue Make(Value from, Value? to, Value? dropped, Rendering rendering)
    {
        var entries = new List<KeyValuePair<Value, Value>>();
        if (to is null)
        {
            if (from is not DictionaryValue dictionary)
                throw TemplateException.Evaluation("if you give only one argument to maketrans it must be a dict");
            foreach (var entry in dictionary.Entries)
                entries.Add(new(entry.Key is TextValue { CodePoints: 1 } key ? PointOf(key) : entry.Key, entry.Value));
            return DictionaryValue.Of(entries, rendering);
        }

        var keys = Parameters.Elements(Parameters.Text(from), rendering);
        var values = Parameters.Elements(Parameters.Text(to), rendering);
        if (keys.Length != values.Length)
            throw TemplateException.Evaluation("the first two maketrans arguments must have equal length");
        for (var i = 0; i < keys.Length; i++)
            entries.Add(new(PointOf((TextValue)keys[i]), PointOf((TextValue)values[i])));
        if (dropped is not null)
            foreach (var character in Parameters.Elements(Parameters.Text(dropped), rendering))
                entries.Add(new(PointOf((TextValue)character), NoneValue.Instance));
        return DictionaryValue.Of(entries, rendering);
    }

    private static int Bounded(BigInteger point) => (int)BigInteger.Clamp(point, -1, int.MaxValue);

    private static IntegerValue PointOf(TextValue character) => IntegerValue.Of(
        Rune.TryGetRuneAt(character.Text, 0, out var rune) ? rune.Value : character.Text[0]);
}
