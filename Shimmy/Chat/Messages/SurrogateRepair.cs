using System.Globalization;
using System.Text;

namespace Shimmy.Chat.Messages;

/// <summary>
/// Replaces unpaired surrogates in JSON (an escaped <c>\ud83d</c> without its other half) by U+FFFD, as decoders of the WHATWG Encoding
/// standard do. Editors and agents cut texts in the middle of an emoji; a conversation with such a text in its history would be refused at
/// every turn. .NET's parser lets the escapes pass and throws when the string is read.
/// </summary>
internal static class SurrogateRepair
{
    private const int EscapeLength = 6; // \uXXXX

    /// <summary>The JSON text with unpaired surrogates replaced; the same instance where there is none.</summary>
    public static string Of(string json)
    {
        if (!json.Contains("\\ud", StringComparison.OrdinalIgnoreCase))
            return json;
        var bytes = Encoding.UTF8.GetBytes(json);
        InPlace(bytes, isLast: true);
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>The JSON with unpaired surrogates replaced, in a copy; the same memory where no surrogate is escaped.</summary>
    public static ReadOnlyMemory<byte> Of(ReadOnlyMemory<byte> json)
    {
        if (json.Span.IndexOf("\\ud"u8) < 0 && json.Span.IndexOf("\\uD"u8) < 0)
            return json;
        var copy = json.ToArray();
        InPlace(copy, isLast: true);
        return copy;
    }

    /// <summary>
    /// Replaces unpaired surrogates in a piece of UTF-8 JSON that does not begin inside an escape. A replacement is as long as what it
    /// replaces.
    /// </summary>
    /// <param name="json">The piece.</param>
    /// <param name="isLast">Whether nothing follows it.</param>
    /// <returns>
    /// How many bytes are decided. The rest, at most eleven bytes, depends on the next piece and has to stand at its beginning.
    /// </returns>
    public static int InPlace(Span<byte> json, bool isLast)
    {
        var at = 0;
        while (json[at..].IndexOf((byte)'\\') is >= 0 and var next)
        {
            at += next;
            var ahead = json[at..];
            if (ahead.Length < 2 || (ahead[1] == 'u' && ahead.Length < EscapeLength))
                return isLast ? json.Length : at;
            if (UnitOf(ahead) is not { } unit)
            {
                at += 2;
                continue;
            }
            if (!char.IsSurrogate(unit))
            {
                at += EscapeLength;
                continue;
            }
            var behind = ahead[EscapeLength..];
            if (char.IsHighSurrogate(unit))
            {
                // The other half may come with the next piece.
                if (!isLast && behind.Length < EscapeLength && (behind.Length == 0 || behind[0] == '\\'))
                    return at;
                if (UnitOf(behind) is { } low && char.IsLowSurrogate(low))
                {
                    at += 2 * EscapeLength;
                    continue;
                }
            }
            "fffd"u8.CopyTo(ahead[2..]);
            at += EscapeLength;
        }
        return json.Length;
    }

    // The UTF-16 code unit that an escape at the beginning stands for; null where there is none.
    private static char? UnitOf(ReadOnlySpan<byte> json) =>
        json.Length >= EscapeLength && json[0] == '\\' && json[1] == 'u'
            && ushort.TryParse(json[2..EscapeLength], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var unit)
            ? (char)unit
            : null;
}
