using System.Buffers;
using System.Text;
using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>
/// Keys that a model spells out over several events of a stream. Each event has a piece that is none, and together they are the key. So
/// the texts that stand at one place of the events (<c>choices[0].delta.content</c>) are read as one, and what of a key lies in each is
/// blanked.
/// </summary>
internal static class SplitKeys
{
    private const string Data = "data: ";

    // What distinguishes texts at one place: the events of several answers or items take turns.
    private static readonly string[] Discriminators = ["type", "index", "output_index", "content_index", "item_id"];

    /// <summary>The events of a stream without these keys.</summary>
    public static List<StreamPiece> Blank(List<StreamPiece> pieces, IReadOnlyList<string> forms)
    {
        if (forms.Count == 0)
            return pieces;
        var places = new Dictionary<string, List<Span>>(StringComparer.Ordinal);
        for (var i = 0; i < pieces.Count; i++)
        {
            if (DocumentOf(pieces[i]) is not { } document)
                continue;
            using (document)
            {
                var number = 0;
                Visit(document.RootElement, "", (place, text) =>
                {
                    if (!places.TryGetValue(place, out var texts))
                        places.Add(place, texts = []);
                    texts.Add(new Span(i, number++, text));
                });
            }
        }
        var changed = new Dictionary<(int Piece, int Number), string>();
        foreach (var texts in places.Values.Where(texts => texts.Count > 1))
            Blank(texts, forms, changed);
        foreach (var piece in changed.Keys.Select(key => key.Piece).Distinct())
            pieces[piece] = Rewritten(pieces[piece], number => changed.GetValueOrDefault((piece, number)));
        return pieces;
    }

    private static void Blank(List<Span> texts, IReadOnlyList<string> forms, Dictionary<(int, int), string> changed)
    {
        var whole = string.Concat(texts.Select(text => text.Text));
        foreach (var form in forms)
        {
            var at = -form.Length;
            while ((at = whole.IndexOf(form, at + form.Length, StringComparison.Ordinal)) >= 0)
            {
                // The first piece that has a part of the key gets the placeholder, the others lose theirs.
                var (from, isFirst) = (0, true);
                foreach (var text in texts)
                {
                    var (begin, end) = (Math.Max(at - from, 0), Math.Min(at + form.Length - from, text.Text.Length));
                    if (begin < end && text.Text.Length > 0)
                    {
                        text.Cuts.Add((begin, end, isFirst));
                        isFirst = false;
                    }
                    from += text.Text.Length;
                }
            }
        }
        foreach (var text in texts.Where(text => text.Cuts.Count > 0))
            changed[(text.Piece, text.Number)] = text.Without();
    }

    private static JsonDocument? DocumentOf(in StreamPiece piece)
    {
        var json = piece.Text.Split('\n').Select(JsonIn).FirstOrDefault(json => json is not null);
        try
        {
            return json is null ? null : JsonDocument.Parse(json);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // The object in a line of data, or that is the line; null where there is none.
    private static string? JsonIn(string line)
    {
        var text = line.StartsWith(Data, StringComparison.Ordinal) ? line[Data.Length..] : line;
        return text.StartsWith('{') ? text : null;
    }

    private static StreamPiece Rewritten(in StreamPiece piece, Func<int, string?> textOf)
    {
        using var document = DocumentOf(piece)!;
        var buffer = new ArrayBufferWriter<byte>();
        var number = 0;
        using (var writer = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
            Write(writer, document.RootElement, text => textOf(number++) ?? text);
        var json = Encoding.UTF8.GetString(buffer.WrittenSpan);
        return piece with
        {
            Text = string.Join('\n', piece.Text.Split('\n')
                .Select(line => JsonIn(line) is { } old ? line[..^old.Length] + json : line)),
        };
    }

    // Strings in the order in which they stand.
    private static void Visit(JsonElement value, string place, Action<string, string> take)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                var here = place + string.Concat(Discriminators.Select(name => value.TryGetProperty(name, out var kind) ? $"|{kind}" : ""));
                foreach (var field in value.EnumerateObject())
                    Visit(field.Value, $"{here}.{field.Name}", take);
                break;
            case JsonValueKind.Array:
                foreach (var element in value.EnumerateArray())
                    Visit(element, place + "[]", take);
                break;
            case JsonValueKind.String:
                take(place, value.GetString()!);
                break;
        }
    }

    private static void Write(Utf8JsonWriter writer, JsonElement value, Func<string, string> textOf)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var field in value.EnumerateObject())
                {
                    writer.WritePropertyName(field.Name);
                    Write(writer, field.Value, textOf);
                }
                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var element in value.EnumerateArray())
                    Write(writer, element, textOf);
                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                writer.WriteStringValue(textOf(value.GetString()!));
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }

    // A text of an event, and what of it belongs to keys.
    private sealed record Span(int Piece, int Number, string Text)
    {
        public List<(int Begin, int End, bool IsFirst)> Cuts { get; } = [];

        public string Without()
        {
            var text = new StringBuilder();
            var at = 0;
            foreach (var (begin, end, isFirst) in Cuts.OrderBy(cut => cut.Begin))
            {
                if (begin < at)
                    continue;
                text.Append(Text, at, begin - at).Append(isFirst ? SecretScrubber.Blank : "");
                at = end;
            }
            return text.Append(Text, at, Text.Length - at).ToString();
        }
    }
}
