using Microsoft.Extensions.Logging;
using Shimmy.Chat.Grammars;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary>The body of <c>POST /v1/completions</c>, read and checked (OpenAI's legacy API reference).</summary>
internal sealed record CompletionRequestBody(IReadOnlyList<Prompt> Prompts, Grammar? Grammar, bool Stream, bool IncludeUsage)
{
    /// <summary>How to sample, once the model's defaults are known (<see cref="WithDefaultsOf"/>).</summary>
    public GenerationOptions Options { get; private init; } = new();

    /// <summary>Answers to each prompt.</summary>
    public int Choices { get; private init; } = 1;

    /// <summary>Whether the prompt stands before the answer.</summary>
    public bool Echo { get; private init; }

    /// <summary>Text after the gap that the answer fills (fill in the middle); null where it fills none.</summary>
    public string? Suffix { get; private init; }

    /// <summary>Output details beside the text.</summary>
    public OutputDetails Extras { get; private init; }

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    private LlamaOptions Own { get; init; } = LlamaOptions.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    /// <param name="fields">The body.</param>
    /// <param name="logger">Learns what was left out.</param>
    /// <param name="mode">What the server was started as.</param>
    public static CompletionRequestBody Read(RequestFields fields, ILogger? logger = null, LlamaServerMode? mode = null)
    {
        mode ??= LlamaServerMode.Default;
        // OpenAI: without one, the answer is the beginning of a document. llama-server requires one.
        var prompts = fields.Has("prompt") || mode.IsOn ? PromptInputs.Read(fields, "prompt") : [Prompt.FromText("")];
        var stream = fields.Flag("stream") ?? false;
        var suffix = fields.Find("suffix") is { } given ? RequestFields.TextOf(given, "suffix") : null;
        if (suffix?.Length > 0 && prompts.Any(prompt => prompt.Tokens is not null))
            throw ApiException.BadField("suffix", "needs prompts that are strings");
        var top = LlamaOptions.Larger(
            fields.Whole("logprobs", 0, TokenProbabilities.MostAlternatives), LlamaOptions.Probabilities(fields, mode));
        var echo = fields.Flag("echo") ?? false;
        var extras = OutputDetails.Read(fields, top is not null, mode);
        var body = new CompletionRequestBody(
            prompts, ConstraintFields.Read(fields, responseFormat: true), stream, StreamOptions.IncludeUsage(fields))
        {
            Choices = LlamaOptions.Choices(fields, mode),
            Echo = echo,
            Suffix = string.IsNullOrEmpty(suffix) ? null : suffix,
            Extras = extras,
            Own = LlamaOptions.Of(fields, mode),
            Sampling = SamplingFields.Read(fields) with
            {
                MaxTokens = TokenLimit.Read(fields),
                TopLogProbabilities = top,
                ReportPrompt = echo && top is not null,
                ReportTokens = extras.Tokens || extras.Timings,
            },
        };
        UnreadFields.Check(fields, logger);
        return body;
    }

    /// <summary>
    /// The request with its sampling fields laid over the model's defaults, and with the model's fill-in-the-middle tokens around a gap.
    /// </summary>
    public CompletionRequestBody WithDefaultsOf(ModelLease lease)
    {
        var facts = lease.Model.Facts;
        var request = this with { Options = Own.With(Sampling, facts) };
        if (Suffix is null)
            return request;
        var markers = facts.FillInTheMiddle
            ?? throw ApiException.BadField("suffix", "this model's vocabulary has no tokens for filling in the middle");
        return request with { Prompts = [.. Prompts.Select(prompt => markers.Around(prompt, Suffix))] };
    }
}
