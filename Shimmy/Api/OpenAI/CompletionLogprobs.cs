using System.Globalization;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The object <c>logprobs</c> of <c>/v1/completions</c> (OpenAI's legacy API reference): four arrays side by side, with an entry for each
/// token. Offsets count the characters of the choice's text, an echoed prompt included, as Python does: one of Unicode's each.
/// </summary>
/// <param name="text">The beginning of the choice's text.</param>
internal sealed class CompletionLogprobs(string text)
{
    private readonly Utf8Assembler _characters = new();
    private int _at;
    private int _offset;

    /// <summary>Writes the object for the next tokens of a choice.</summary>
    /// <param name="json">The writer.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="ofPrompt">How many of them, from the first, are the prompt's.</param>
    public void Write(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens, int ofPrompt)
    {
        json.WriteStartObject("logprobs");
        json.WriteStartArray("tokens");
        foreach (var token in tokens)
            json.WriteStringValue(TextOf(token.Shown));
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
        for (var i = 0; i < tokens.Count; i++)
        {
            json.WriteNumberValue(_offset);
            var own = _characters.Push(tokens[i].Piece.Span);
            Move(i < ofPrompt ? OfPrompt(own) : own);
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>Writes the object for a whole choice, or null where it was not asked for.</summary>
    public static void Write(Utf8JsonWriter json, OutputDetails extras, string text, Answer answer)
    {
        if (extras.LogProbabilities)
            new CompletionLogprobs(text).Write(json, [.. answer.PromptTokens, .. answer.Tokens ?? []], answer.PromptTokens.Count);
        else
            json.WriteNull("logprobs");
    }

    // What of a token's text stands in the prompt as the client wrote it: the vocabulary may put a token before it, and a space.
    private string OfPrompt(string own)
    {
        var rest = text.AsSpan(Math.Min(_at, text.Length));
        return _at > 0 || rest.StartsWith(own) ? own
            : own.StartsWith(' ') && rest.StartsWith(own.AsSpan(1)) ? own[1..] : "";
    }

    private void Move(string own)
    {
        _at += own.Length;
        _offset += own.EnumerateRunes().Count();
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
        // OpenAI: the token that was taken is always reported, beside the most likely ones where it is none of them.
        if (written.Add(TextOf(token.Shown)))
        {
            json.WritePropertyName(TextOf(token.Shown));
            WriteLog(json, likely.LogProbability);
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
