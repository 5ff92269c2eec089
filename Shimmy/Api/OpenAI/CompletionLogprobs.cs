using System.Globalization;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The object <c>logprobs</c> of <c>/v1/completions</c> (OpenAI's legacy API reference): four arrays side by side. Offsets count the
/// characters of the choice's text, an echoed prompt included.
/// </summary>
/// <param name="text">The beginning of the choice's text.</param>
internal sealed class CompletionLogprobs(string text)
{
    private int _offset;
    private bool _begun;

    /// <summary>Writes the object for the next tokens of a choice.</summary>
    public void Write(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens)
    {
        json.WriteStartObject("logprobs");
        json.WriteStartArray("tokens");
        foreach (var token in tokens)
            json.WriteStringValue(TextOf(token.Piece));
        json.WriteEndArray();
        json.WriteStartArray("token_logprobs");
        foreach (var token in tokens)
            WriteLog(json, token.LogProbability?.LogProbability);
        json.WriteEndArray();
        json.WriteStartArray("top_logprobs");
        foreach (var token in tokens)
            WriteTop(json, token);
        json.WriteEndArray();
        json.WriteStartArray("text_offset");
        foreach (var token in tokens)
        {
            // Vocabularies of SentencePiece put a space before a prompt, which its text has not.
            if (!_begun && token.Piece.Span is [(byte)' ', ..] && !text.StartsWith(' '))
                _offset = -1;
            _begun = true;
            json.WriteNumberValue(Math.Max(0, _offset));
            _offset += Encoding.UTF8.GetCharCount(token.Piece.Span);
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>Writes the object for a whole choice, or null where it was not asked for.</summary>
    public static void Write(Utf8JsonWriter json, OutputDetails extras, string text, Answer answer)
    {
        if (extras.LogProbabilities)
            new CompletionLogprobs(text).Write(json, [.. answer.PromptTokens, .. answer.Tokens ?? []]);
        else
            json.WriteNull("logprobs");
    }

    private static void WriteTop(Utf8JsonWriter json, GeneratedToken token)
    {
        if (token.LogProbability is not { } likely)
        {
            json.WriteNullValue();
            return;
        }
        json.WriteStartObject();
        var written = new HashSet<string>();
        foreach (var top in likely.Top)
        {
            var text = TextOf(top.Piece);
            // Two tokens may have one text; the likelier comes first.
            if (!written.Add(text))
                continue;
            json.WritePropertyName(text);
            WriteLog(json, top.LogProbability);
        }
        json.WriteEndObject();
    }

    // JSON has no infinity; a token that could not be taken has the least number OpenAI gives.
    private static void WriteLog(Utf8JsonWriter json, float? log)
    {
        if (log is { } number)
            json.WriteNumberValue(float.IsFinite(number) ? number : -9999f);
        else
            json.WriteNullValue();
    }

    // OpenAI writes a token that is part of a character as its bytes.
    private static string TextOf(ReadOnlyMemory<byte> piece)
    {
        if (System.Text.Unicode.Utf8.IsValid(piece.Span))
            return Encoding.UTF8.GetString(piece.Span);
        var text = new StringBuilder("bytes:");
        foreach (var value in piece.Span)
            text.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}");
        return text.ToString();
    }
}
