using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The body of <c>POST /v1/chat/completions</c>, read and checked (OpenAI's API reference). Fields that cannot be honoured are refused by
/// name (<see cref="OtherFields"/>).
/// </summary>
internal sealed record ChatRequestBody(ChatRequest Request, int Choices, bool Stream, bool IncludeUsage)
{
    /// <summary>Output details beside the text.</summary>
    public OutputDetails Extras { get; private init; }

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ChatRequestBody Read(RequestFields fields, ILogger? logger)
    {
        var messages = ChatMessages.Read(fields);
        var tools = ToolFields.Read(fields, logger);
        var most = TokenLimit.Read(fields);
        var thinking = ThinkingFields.Read(fields, most);
        var top = LogProbabilities(fields);
        var extras = OutputDetails.Read(fields, top is not null);
        var sampling = SamplingFields.Read(fields) with
        {
            MaxTokens = most,
            TopLogProbabilities = top,
            ReportTokens = extras.Tokens || extras.Timings,
        };
        var body = new ChatRequestBody(
            new ChatRequest
            {
                Messages = messages,
                Tools = tools.Tools,
                ToolChoice = tools.Choice,
                ParallelToolCalls = fields.Flag("parallel_tool_calls") ?? true,
                Grammar = ConstraintFields.Read(fields, responseFormat: true),
                EnableThinking = thinking.Enabled,
                ThinkingBudget = thinking.Budget,
                TemplateArguments = thinking.TemplateArguments,
                ContinueFinalMessage = ChatMessages.Continues(fields),
                AddGenerationPrompt = fields.Flag("add_generation_prompt") ?? true,
            },
            fields.Whole("n", 1, 128) ?? 1,
            fields.Flag("stream") ?? false,
            StreamOptions.IncludeUsage(fields))
        {
            Extras = extras,
            Sampling = sampling,
        };
        OtherFields.Settle(fields, logger);
        return body;
    }

    private static int? LogProbabilities(RequestFields fields)
    {
        var top = fields.Whole("top_logprobs", 0, 20);
        var wanted = fields.Flag("logprobs") ?? false;
        if (top > 0 && !wanted)
            throw ApiException.BadField("top_logprobs", "needs logprobs to be true");
        return wanted ? top ?? 0 : null;
    }

    /// <summary>The request with its sampling fields laid over the model's defaults.</summary>
    public ChatRequestBody WithDefaultsOf(ModelFacts facts) =>
        this with { Request = Request with { Options = Sampling.Over(SamplingPatch.DefaultsOf(facts)) } };
}
