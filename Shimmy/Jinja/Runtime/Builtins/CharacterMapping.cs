using System.Globalization;
using System.Numerics;
using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>
/// Upper, lower and title case as Python has them. .NET maps one character to one; the characters that grow are those of
/// Unicode's SpecialCasing.txt.
/// </summary>
internal static class CaseMapping
{
    // Character, then its upper case; from SpecialCasing.txt, unconditional mappings.
    private const string Growing =
        "\u00DF:SS \u0149:\u02BCN \u01F0:J\u030C \u0390:\u0399\u0308\u0301 \u03B0:\u03A5\u0308\u0301 " +
        "\u0587:\u0535\u0552 \u1E96:H\u0331 \u1E97:T\u0308 \u1E98:W\u030A \u1E99:Y\u030A \u1E9A:A\u02BE " +
        "\u1F50:\u03A5\u0313 \u1F52:\u03A5\u0313\u0300 \u1F54:\u03A5\u0313\u0301 \u1F56:\u03A5\u0313\u0342 " +
        "\u1FB2:\u1FBA\u0399 \u1FB3:\u0391\u0399 \u1FB4:\u0386\u0399 \u1FB6:\u0391\u0342 \u1FB7:\u0391\u0342\u0399 " +
        "\u1FBC:\u0391\u0399 \u1FC2:\u1FCA\u0399 \u1FC3:\u0397\u0399 \u1FC4:\u0389\u0399 \u1FC6:\u0397\u0342 " +
        "\u1FC7:\u0397\u0342\u0399 \u1FCC:\u0397\u0399 \u1FD2:\u0399\u0308\u0300 \u1FD3:\u0399\u0308\u0301 " +
        "\u1FD6:\u0399\u0342 \u1FD7:\u0399\u0308\u0342 \u1FE2:\u03A5\u0308\u0300 \u1FE3:\u03A5\u0308\u0301 " +
        "\u1FE4:\u03A1\u0313 \u1FE6:\u03A5\u0342 \u1FE7:\u03A5\u0308\u0342 \u1FF2:\u1FFA\u0399 \u1FF3:\u03A9\u0399 " +
        "\u1FF4:\u038F\u0399 \u1FF6:\u03A9\u0342 \u1FF7:\u03A9\u0342\u0399 \u1FFC:\u03A9\u0399 \uFB00:FF \uFB01:FI " +
        "\uFB02:FL \uFB03:FFI \uFB04:FFL \uFB05:ST \uFB06:ST \uFB13:\u0544\u0546 \uFB14:\u0544\u0535 " +
        "\uFB15:\u0544\u053B \uFB16:\u054E\u0546 \uFB17:\u0544\u053D";

    private static readonly Dictionary<char, string> Upper = Growing.Split(' ')
        .ToDictionary(pair => pair[0], pair => pair[2..]);

    /// <summary><c>str.upper</c>.</summary>
    public static TextValue ToUpper(TextValue text, RenderContext context) => Ascii.IsValid(text.Text)
        ? SameLength(text, text.Text.ToUpperInvariant(), context)
        : Map(text, context, static (rune, _, output) => AppendUpper(rune, output));

    /// <summary><c>str.lower</c>.</summary>
    public static TextValue ToLower(TextValue text, RenderContext context) => Ascii.IsValid(text.Text)
        ? SameLength(text, text.Text.ToLowerInvariant(), context)
        : Map(text, context, AppendLower);

    /// <summary><c>str.casefold</c>.</summary>
    public static TextValue Fold(TextValue text, RenderContext context) => Map(text, context, static (rune, _, output) =>
    {
        if (rune.Value == 0x3C2)
        {
            output.Append('\u03C3');
        }
        else if (Expansion(rune) is { } expansion)
        {
            foreach (var part in expansion.EnumerateRunes())
                output.Append(Rune.ToLowerInvariant(part).ToString());
        }
        else
        {
            output.Append(Rune.ToLowerInvariant(rune).ToString());
        }
    });

    /// <summary><c>str.swapcase</c>.</summary>
    public static TextValue Swap(TextValue text, RenderContext context) => Map(text, context, static (rune, place, output) =>
    {
        if (CharacterClasses.IsUpper(rune))
            AppendLower(rune, place, output);
        else
            AppendUpper(rune, output);
    });

    /// <summary><c>str.title</c>: a capital after everything that is not a letter.</summary>
    public static TextValue ToTitle(TextValue text, RenderContext context)
    {
        var inWord = false;
        return Map(text, context, (rune, place, output) =>
        {
            if (inWord)
                AppendLower(rune, place, output);
            else
                AppendTitle(rune, output);
            inWord = CharacterClasses.IsCased(rune);
        });
    }

    /// <summary><c>str.capitalize</c>.</summary>
    public static TextValue Capitalize(TextValue text, RenderContext context) => Map(text, context, static (rune, place, output) =>
    {
        if (place.Unit == 0)
            AppendTitle(rune, output);
        else
            AppendLower(rune, place, output);
    });

    private static TextValue SameLength(TextValue text, string mapped, RenderContext context)
    {
        context.Scan(text.Text.Length * 2L);
        return new TextValue(mapped, text.Provenance, text.IsMarkup);
    }

    private static TextValue Map(TextValue text, RenderContext context, Action<Rune, Place, StringBuilder> append)
    {
        context.Step(text.Text.Length);
        var builder = context.Rent();
        var mapped = new StringBuilder(4);
        for (var unit = 0; unit < text.Text.Length;)
        {
            var fromRequest = text.Provenance.IsRequestAt(unit);
            if (Rune.TryGetRuneAt(text.Text, unit, out var rune))
            {
                append(rune, new Place(text.Text, unit), mapped);
                foreach (var chunk in mapped.GetChunks())
                    builder.Append(chunk.Span, fromRequest);
                mapped.Clear();
                unit += rune.Utf16SequenceLength;
            }
            else
            {
                builder.Append(text.Text[unit++], fromRequest);
            }
        }

        return context.Finish(builder, text.IsMarkup);
    }

    private static string? Expansion(Rune rune)
    {
        if (rune.Value is >= 0x1F80 and <= 0x1FAF)
            return $"{(char)(0x1F00 + OffsetOfCapital(rune.Value))}\u0399";
        return rune.IsBmp && Upper.TryGetValue((char)rune.Value, out var expansion) ? expansion : null;

        // ᾀ…ᾯ: three runs of eight small and eight title-case letters with iota; the capitals without it are at 1F08, 1F28, 1F68.
        static int OffsetOfCapital(int value) => (value & 0x70) switch { 0 => 0x08, 0x10 => 0x28, _ => 0x68 } + (value & 7);
    }

    private static void AppendUpper(Rune rune, StringBuilder output)
    {
        if (!rune.IsAscii && Expansion(rune) is { } expansion)
            output.Append(expansion);
        else
            output.Append(Rune.ToUpperInvariant(rune).ToString());
    }

    private static void AppendTitle(Rune rune, StringBuilder output)
    {
        switch (rune.Value)
        {
            case 0x1C4 or 0x1C5 or 0x1C6:
                output.Append('\u01C5');
                break;
            case 0x1C7 or 0x1C8 or 0x1C9:
                output.Append('\u01C8');
                break;
            case 0x1CA or 0x1CB or 0x1CC:
                output.Append('\u01CB');
                break;
            case 0x1F1 or 0x1F2 or 0x1F3:
                output.Append('\u01F2');
                break;
            case >= 0x10D0 and <= 0x10FF:
                output.Append((char)rune.Value);
                break;
            case 0xDF or 0x587 or (>= 0xFB00 and <= 0xFB17):
                var expansion = Expansion(rune) ?? rune.ToString();
                output.Append(expansion[0]).Append(expansion[1..].ToLowerInvariant());
                break;
            default:
                output.Append(Rune.ToUpperInvariant(rune).ToString());
                break;
        }
    }

    private static void AppendLower(Rune rune, Place place, StringBuilder output)
    {
        if (rune.Value == 0x3A3)
            output.Append(place.EndsWord() ? '\u03C2' : '\u03C3');
        else if (rune.Value == 0x130)
            output.Append("i\u0307");
        else
            output.Append(Rune.ToLowerInvariant(rune).ToString());
    }

    /// <summary>The position of a character in its text: a capital sigma becomes another small letter at the end of a word.</summary>
    private readonly record struct Place(string Text, int Unit)
    {
        public bool EndsWord() => Neighbour(-1) && !Neighbour(1);

        private bool Neighbour(int direction)
        {
            for (var i = Unit + direction; i >= 0 && i < Text.Length; i += direction)
            {
                if (!IsIgnored(Text[i]))
                    return char.IsUpper(Text[i]) || char.IsLower(Text[i]);
            }

            return false;
        }

        private static bool IsIgnored(char unit) => unit is '\'' or '.' or ':' or '\u2019' || char.GetUnicodeCategory(unit) is
            UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format or
            UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;
    }
}

/// <summary><c>str.translate</c> and <c>str.maketrans</c>.</summary>
internal static class Translation
{
    /// <summary>Replaces each character by what the table has for its code point: a text, a code point, or None for nothing.</summary>
    public static TextValue Apply(TextValue text, Value table, RenderContext context)
    {
        var builder = context.Rent();
        for (var unit = 0; unit < text.Text.Length;)
        {
            context.Step();
            var size = Rune.TryGetRuneAt(text.Text, unit, out var rune) ? rune.Utf16SequenceLength : 1;
            switch (table.Item(IntegerValue.Of(size == 1 ? text.Text[unit] : rune.Value), context))
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

        return context.Finish(builder, text.IsMarkup);
    }

    /// <summary>Makes a table of a dict, or of characters and their replacements and those to drop.</summary>
    public static DictionaryValue Make(Value from, Value? to, Value? dropped, RenderContext context)
    {
        var entries = new List<KeyValuePair<Value, Value>>();
        if (to is null)
        {
            if (from is not DictionaryValue dictionary)
                throw TemplateException.Evaluation("if you give only one argument to maketrans it must be a dict");
            foreach (var entry in dictionary.Entries)
                entries.Add(new(entry.Key is TextValue { CodePoints: 1 } key ? PointOf(key) : entry.Key, entry.Value));
            return DictionaryValue.Of(entries, context);
        }

        var keys = Parameters.Elements(Parameters.Text(from), context);
        var values = Parameters.Elements(Parameters.Text(to), context);
        if (keys.Length != values.Length)
            throw TemplateException.Evaluation("the first two maketrans arguments must have equal length");
        for (var i = 0; i < keys.Length; i++)
            entries.Add(new(PointOf((TextValue)keys[i]), PointOf((TextValue)values[i])));
        if (dropped is not null)
        {
            foreach (var character in Parameters.Elements(Parameters.Text(dropped), context))
                entries.Add(new(PointOf((TextValue)character), NoneValue.Instance));
        }

        return DictionaryValue.Of(entries, context);
    }

    private static int Bounded(BigInteger point) => (int)BigInteger.Clamp(point, -1, int.MaxValue);

    private static IntegerValue PointOf(TextValue character) => IntegerValue.Of(
        Rune.TryGetRuneAt(character.Text, 0, out var rune) ? rune.Value : character.Text[0]);
}
