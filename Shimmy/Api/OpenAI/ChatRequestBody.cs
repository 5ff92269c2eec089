using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The body of <c>POST /v1/chat/completions</c>, read and checked (OpenAI's API reference). Documented fields that cannot be honoured are
/// refused by name; fields that neither OpenAI nor llama.cpp documents are ignored.
/// </summary>
internal sealed record ChatRequestBody(ChatRequest Request, int Choices, bool Stream, bool IncludeUsage)
{
    /// <summary>Output details beside the text.</summary>
    public OutputDetails Extras { get; private init; }

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ChatRequestBody Read(RequestFields fields, ILogger? logger)
    {
        RefuseUnsupported(fields);
        var messages = ChatMessages.Read(fields);
        var tools = ToolFields.Read(fields, logger);
        var effort = ReasoningEffort.Read(fields, "reasoning_effort");
        var top = LogProbabilities(fields);
        var extras = OutputDetails.Read(fields, top is not null);
        var sampling = SamplingFields.Read(fields) with
        {
            MaxTokens = MaxTokens(fields),
            TopLogProbabilities = top,
            ReportTokens = extras.Tokens || extras.Timings,
        };
        return new ChatRequestBody(
            new ChatRequest
            {
                Messages = messages,
                Tools = tools.Tools,
                ToolChoice = tools.Choice,
                ParallelToolCalls = fields.Flag("parallel_tool_calls") ?? true,
                Grammar = ConstraintFields.Read(fields, responseFormat: true),
                EnableThinking = ReasoningEffort.Thinking(fields, effort),
                TemplateArguments = ReasoningEffort.TemplateArguments(fields, effort),
                ContinueFinalMessage = fields.Flag("continue_final_message") ?? false,
            },
            fields.Whole("n", 1, 128) ?? 1,
            fields.Flag("stream") ?? false,
            StreamOptions.IncludeUsage(fields))
        {
            Extras = extras,
            Sampling = sampling,
        };
    }

    private static int? LogProbabilities(RequestFields fields)
    {
        var top = fields.Whole("top_logprobs", 0, 20);
        var wanted = fields.Flag("logprobs") ?? false;
        if (top is not null && !wanted)
            throw ApiException.BadField("top_logprobs", "needs logprobs to be true");
        return wanted ? top ?? 0 : null;
    }

    /// <summary>The request with its sampling fields laid over the model's defaults.</summary>
    public ChatRequestBody WithDefaultsOf(ModelFacts facts)
    {
        // Each answer needs a slot, or the last would wait for the first.
        var most = Math.Max(1, facts.Slots);
        if (Choices > most)
        {
            throw ApiException.BadField("n",
                $"must be at most {most}, the answers that this model gives at once (--parallel), not {Choices}");
        }
        return this with { Request = Request with { Options = Sampling.Over(SamplingPatch.DefaultsOf(facts)) } };
    }

    // max_completion_tokens is OpenAI's present name of max_tokens; both at once must agree.
    private static int? MaxTokens(RequestFields fields)
    {
        var old = fields.Whole("max_tokens", 1, int.MaxValue);
        var present = fields.Whole("max_completion_tokens", 1, int.MaxValue);
        return old is not null && present is not null && old != present
            ? throw ApiException.BadField("max_tokens", "differs from max_completion_tokens; give one of them")
            : present ?? old;
    }

    private static void RefuseUnsupported(RequestFields fields)
    {
        fields.Refuse("functions", "functions are not supported yet", IsEmptyArray);
        fields.Refuse("function_call", "functions are not supported yet",
            value => value.ValueKind == JsonValueKind.String && value.ValueEquals("none"));
        fields.Refuse("audio", "audio is not supported");
        fields.Refuse("modalities", "only text is supported", value => value.ValueKind == JsonValueKind.Array
            && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String && item.ValueEquals("text")));
        fields.Refuse("prediction", "predicted outputs are not supported");
        fields.Refuse("web_search_options", "web search is not supported");
        fields.Refuse("store", "nothing is stored here", value => value.ValueKind == JsonValueKind.False);
        fields.Refuse("verbosity", "is not supported by local models");
    }

    private static bool IsEmptyArray(JsonElement value) => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0;
}
