using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>The body of <c>POST /v1/completions</c>, read and checked (OpenAI's legacy API reference).</summary>
internal sealed record CompletionRequestBody(IReadOnlyList<Prompt> Prompts, GenerationOptions Options, string? Grammar, bool Stream, bool IncludeUsage)
{
    /// <summary>Answers to each prompt.</summary>
    public int Choices { get; private init; } = 1;

    /// <summary>Whether the prompt stands before the answer.</summary>
    public bool Echo { get; private init; }

    /// <summary>Text after the gap that the answer fills (fill in the middle); null where it fills none.</summary>
    public string? Suffix { get; private init; }

    /// <summary>Output details beside the text.</summary>
    public OutputDetails Extras { get; private init; }

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static CompletionRequestBody Read(RequestFields fields)
    {
        fields.Refuse("best_of", "only 1 is supported", value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n) && n == 1);
        var prompts = PromptInputs.Read(fields, "prompt");
        var stream = fields.Flag("stream") ?? false;
        var suffix = fields.Find("suffix") is { } given ? RequestFields.TextOf(given, "suffix") : null;
        if (suffix?.Length > 0 && prompts.Any(prompt => prompt.Tokens is not null))
            throw ApiException.BadField("suffix", "needs prompts that are strings");
        var top = fields.Whole("logprobs", 0, 20);
        var request = new CompletionRequestBody(
            prompts,
            new GenerationOptions(),
            ConstraintFields.Read(fields, responseFormat: false),
            stream,
            StreamOptions.IncludeUsage(fields))
        {
            Choices = fields.Whole("n", 1, 128) ?? 1,
            Echo = fields.Flag("echo") ?? false,
            Suffix = string.IsNullOrEmpty(suffix) ? null : suffix,
            Extras = OutputDetails.Read(fields, top is not null),
        };
        return request.WithOptions(fields, new GenerationOptions(), top);
    }

    /// <summary>The request with the model's own defaults in place of llama.cpp's, and with the model's marks around a gap.</summary>
    public CompletionRequestBody WithDefaultsOf(ModelFacts facts, RequestFields fields)
    {
        // Each answer needs a slot, or the last would wait for the first.
        var most = Math.Max(1, facts.Slots);
        if (Choices > most)
            throw ApiException.BadField("n", $"must be at most {most}, the answers that this model gives at once (--parallel), not {Choices}");
        var request = WithOptions(fields, SamplingFields.ModelDefaults(facts), Options.TopLogProbabilities);
        if (Suffix is null)
            return request;
        var marks = facts.FillInTheMiddle
            ?? throw ApiException.BadField("suffix", "this model's vocabulary has no tokens for filling in the middle");
        return request with { Prompts = [.. Prompts.Select(prompt => AroundGap(marks, prompt, Suffix))] };
    }

    private static Prompt AroundGap(FillInTheMiddle marks, Prompt prompt, string suffix) => prompt with
    {
        Parts =
        [
            new PromptPart(marks.Prefix, ParseSpecial: true),
            .. prompt.Parts.Select(part => part with { ParseSpecial = false }),
            new PromptPart(marks.Suffix, ParseSpecial: true),
            new PromptPart(suffix, ParseSpecial: false),
            new PromptPart(marks.Middle, ParseSpecial: true),
        ],
    };

    private CompletionRequestBody WithOptions(RequestFields fields, GenerationOptions defaults, int? top) => this with
    {
        Options = SamplingFields.Read(fields, defaults) with
        {
            // A prompt may be asked for with nothing behind it, to learn how likely it is.
            MaxTokens = fields.Whole("max_tokens", Echo ? 0 : 1, int.MaxValue) ?? defaults.MaxTokens,
            TopLogProbabilities = top,
            ReportPrompt = Echo && top is not null,
            ReportTokens = Extras.Tokens || Extras.Timings,
        },
    };
}
