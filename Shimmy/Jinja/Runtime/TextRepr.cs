using System.Globalization;
using System.Text;

namespace Shimmy.Jinja.Runtime;

/// <summary><c>repr()</c> of strings.</summary>
internal static class TextRepr
{
    /// <summary>Appends the representation; what came in with the request stays marked.</summary>
    public static void Write(TextValue value, TextBuilder output) => Write(value, output, asciiOnly: false);

    /// <summary>Appends the representation, <c>ascii()</c>'s where asked for.</summary>
    public static void Write(TextValue value, TextBuilder output, bool asciiOnly)
    {
        var text = value.Text;
        output.Context.Scan(text.Length * 8L);
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        output.Append(quote);
        var plain = 0;
        for (var i = 0; i < text.Length;)
        {
            var size = Rune.TryGetRuneAt(text, i, out var rune) ? rune.Utf16SequenceLength : 1;
            var escape = Escape(text[i], size, rune, quote, asciiOnly);
            if (escape is not null)
            {
                output.Append(value, plain, i - plain);
                output.Append(escape, value.Provenance.IsRequestAt(i));
                plain = i + size;
            }

            i += size;
        }

        output.Append(value, plain, text.Length - plain);
        output.Append(quote);
    }

    /// <summary>Appends <c>ascii()</c> of a value.</summary>
    public static void WriteAscii(Value value, TextBuilder output)
    {
        if (value is TextValue text)
        {
            Write(text, output, asciiOnly: true);
            return;
        }

        var builder = output.Context.Rent();
        value.WriteRepr(builder);
        var repr = output.Context.Finish(builder);
        for (var i = 0; i < repr.Text.Length;)
        {
            var size = Rune.TryGetRuneAt(repr.Text, i, out var rune) ? rune.Utf16SequenceLength : 1;
            if (repr.Text[i] < '\x7F')
                output.Append(repr, i, size);
            else
                output.Append(Escape(repr.Text[i], size, rune, '\0', asciiOnly: true), repr.Provenance.IsRequestAt(i));
            i += size;
        }
    }

    /// <summary>The representation of a plain string, for messages.</summary>
    public static string Quote(string text)
    {
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var quoted = new StringBuilder(text.Length + 2).Append(quote);
        for (var i = 0; i < text.Length;)
        {
            var size = Rune.TryGetRuneAt(text, i, out var rune) ? rune.Utf16SequenceLength : 1;
            var escape = Escape(text[i], size, rune, quote, asciiOnly: false);
            quoted.Append(escape ?? text.AsSpan(i, size));
            i += size;
        }

        return quoted.Append(quote).ToString();
    }

    private static string? Escape(char unit, int size, Rune rune, char quote, bool asciiOnly)
    {
        if (unit is >= ' ' and < '\x7F')
            return unit == quote || unit == '\\' ? $"\\{unit}" : null;
        switch (unit)
        {
            case '\n':
                return "\\n";
            case '\r':
                return "\\r";
            case '\t':
                return "\\t";
        }

        // An unpaired surrogate has no rune; Python escapes it too.
        if (char.IsSurrogate(unit) && size == 1)
            return Hex("\\u", unit, 4);
        if (!asciiOnly && CharacterClasses.IsPrintable(rune))
            return null;
        return rune.Value switch
        {
            <= 0xFF => Hex("\\x", rune.Value, 2),
            <= 0xFFFF => Hex("\\u", rune.Value, 4),
            _ => Hex("\\U", rune.Value, 8),
        };
    }

    private static string Hex(string prefix, int value, int digits) =>
        prefix + value.ToString("x" + digits, CultureInfo.InvariantCulture);
}
