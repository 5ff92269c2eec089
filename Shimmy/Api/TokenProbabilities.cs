using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The probabilities of tokens in OpenAI's form, which Ollama has too: <c>logprobs</c> and <c>top_logprobs</c> of a request, and what an
/// answer says of each token.
/// </summary>
internal static class TokenProbabilities
{
    /// <summary>Most alternatives to each token.</summary>
    public const int MostAlternatives = 20;

    /// <summary>How many alternatives to each token are asked for; null where no probabilities are.</summary>
    /// <param name="fields">The request.</param>
    /// <param name="needsFlag">Whether alternatives that are asked for without <c>logprobs</c> are an error; else they are none.</param>
    public static int? Read(RequestFields fields, bool needsFlag = true)
    {
        var top = fields.Whole("top_logprobs", 0, MostAlternatives);
        var wanted = fields.Flag("logprobs") ?? false;
        if (top > 0 && !wanted && needsFlag)
            throw ApiException.BadField("top_logprobs", "needs logprobs to be true");
        return wanted ? top ?? 0 : null;
    }

    /// <summary>Tokens and their probabilities, as elements of an array.</summary>
    public static void Write(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens)
    {
        foreach (var token in tokens)
        {
            if (token.LogProbability is not { } likely)
                continue;
            json.WriteStartObject();
            WriteToken(json, token.Shown, likely.LogProbability);
            json.WriteStartArray("top_logprobs");
            foreach (var top in likely.Top)
            {
                json.WriteStartObject();
                WriteToken(json, top.Piece, top.LogProbability);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
    }

    // A token may be part of a character: its text then has U+FFFD, and the bytes tell.
    private static void WriteToken(Utf8JsonWriter json, ReadOnlyMemory<byte> piece, float logProbability)
    {
        json.WriteString("token", System.Text.Encoding.UTF8.GetString(piece.Span));
        // JSON has no infinity; a token that could not be taken has the least number OpenAI gives.
        json.WriteNumber("logprob", float.IsFinite(logProbability) ? logProbability : -9999f);
        json.WriteStartArray("bytes");
        foreach (var value in piece.Span)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}
