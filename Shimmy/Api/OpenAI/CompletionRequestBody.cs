using System.Text.Json;
using Shimmy.Engine;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/completions</c>, read and checked (OpenAI's legacy API reference).</summary>
internal sealed record CompletionRequestBody(IReadOnlyList<Prompt> Prompts, GenerationOptions Options, string? Grammar, bool Stream, bool IncludeUsage)
{
    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static CompletionRequestBody Read(RequestFields fields)
    {
        RefuseUnsupported(fields);
        var prompts = PromptInputs.Read(fields, "prompt");
        var stream = fields.Flag("stream") ?? false;
        return new CompletionRequestBody(
            prompts,
            SamplingFields.Read(fields, new GenerationOptions()) with
            {
                MaxTokens = fields.Whole("max_tokens", 1, int.MaxValue),
            },
            ConstraintFields.Read(fields, responseFormat: false),
            stream,
            StreamOptions.IncludeUsage(fields));
    }

    /// <summary>The request with the model's own defaults in place of llama.cpp's.</summary>
    public CompletionRequestBody WithDefaultsOf(ModelFacts facts, RequestFields fields)
    {
        var defaults = SamplingFields.ModelDefaults(facts);
        return this with { Options = SamplingFields.Read(fields, defaults) with { MaxTokens = Options.MaxTokens ?? defaults.MaxTokens } };
    }

    private static void RefuseUnsupported(RequestFields fields)
    {
        fields.Refuse("suffix", "is not supported yet", value => value.ValueKind == JsonValueKind.String && value.ValueEquals(""));
        fields.Refuse("echo", "is not supported yet", value => value.ValueKind == JsonValueKind.False);
        fields.Refuse("logprobs", "is not supported yet");
        fields.Refuse("n", "only 1 answer to each prompt is supported yet", IsOne);
        fields.Refuse("best_of", "only 1 is supported", IsOne);

        static bool IsOne(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n) && n == 1;
    }
}
