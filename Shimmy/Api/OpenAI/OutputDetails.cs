using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>What of an answer is told beside its text: OpenAI's <c>logprobs</c>, llama.cpp's <c>return_tokens</c> and <c>timings_per_token</c>.</summary>
/// <param name="LogProbabilities">Whether the tokens' probabilities are told.</param>
/// <param name="Tokens">Whether the tokens' ids are told.</param>
/// <param name="Timings">Whether the times are told, in a stream with every chunk.</param>
internal readonly record struct OutputDetails(bool LogProbabilities, bool Tokens, bool Timings)
{
    /// <summary>Reads the fields; the probabilities have different forms in the routes and are read there.</summary>
    public static OutputDetails Read(RequestFields fields, bool logProbabilities) =>
        new(logProbabilities, fields.Flag("return_tokens") ?? false, fields.Flag("timings_per_token") ?? false);
}
