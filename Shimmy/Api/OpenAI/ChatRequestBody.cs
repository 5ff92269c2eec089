using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The body of <c>POST /v1/chat/completions</c>, read and checked (OpenAI's API reference). Fields that cannot be honoured are refused by
/// name (<see cref="UnreadFields"/>).
/// </summary>
internal sealed record ChatRequestBody(ChatRequest Request, int Choices, bool Stream, bool IncludeUsage)
{
    /// <summary>Output details beside the text.</summary>
    public OutputDetails Extras { get; private init; }

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    private LlamaOptions Own { get; init; } = LlamaOptions.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ChatRequestBody Read(RequestFields fields, ILogger? logger, LlamaServerMode? mode = null)
    {
        mode ??= LlamaServerMode.Default;
        var messages = ChatMessages.Read(fields);
        var tools = ToolFields.Read(fields, logger);
        var most = TokenLimit.Read(fields);
        var thinking = ThinkingFields.Read(fields, most, infers: !mode.IsOn);
        var top = LlamaOptions.Larger(TokenProbabilities.Read(fields), LlamaOptions.Probabilities(fields, mode));
        var verbose = fields.Flag("verbose") ?? mode.Verbose;
        var extras = OutputDetails.Read(fields, top is not null, mode) with { VerbosePrompt = verbose && mode.IsOn ? "" : null };
        var sampling = SamplingFields.Read(fields) with
        {
            MaxTokens = most,
            TopLogProbabilities = top,
            ReportTokens = extras.Tokens || extras.Timings,
        };
        var body = new ChatRequestBody(
            mode.Apply(new ChatRequest
            {
                ReasoningControl = fields.Flag("reasoning_control") == true ? new ReasoningControl() : null,
                Messages = messages,
                Tools = tools.Tools,
                ToolChoice = tools.Choice,
                ParallelToolCalls = fields.Flag("parallel_tool_calls") ?? true,
                Grammar = ConstraintFields.Read(fields, responseFormat: true),
                EnableThinking = thinking.Enabled,
                MaxReasoningTokens = thinking.Budget,
                TemplateArguments = thinking.TemplateArguments,
                ContinueFinalMessage = ChatMessages.Continues(fields),
                ContinuationField = ChatMessages.ContinuationField(fields),
                AddGenerationPrompt = fields.Flag("add_generation_prompt") ?? true,
                EchoesFinalMessage = fields.Flag("echo") ?? false,
            }, fields, hasBoth: true),
            LlamaOptions.Choices(fields, mode),
            fields.Flag("stream") ?? false,
            StreamOptions.IncludeUsage(fields))
        {
            Extras = extras,
            Sampling = sampling,
            Own = LlamaOptions.Of(fields, mode),
        };
        UnreadFields.Check(fields, logger);
        return body;
    }

    /// <summary>The request with its sampling fields laid over the model's defaults.</summary>
    public ChatRequestBody WithDefaultsOf(ModelLease lease) =>
        this with { Request = Request with { Options = Own.With(Sampling, lease.Model.Facts) } };

    /// <summary>The request with the prompt that it becomes, as text.</summary>
    public ChatRequestBody WithPrompt(string text) => this with { Extras = Extras with { VerbosePrompt = text } };
}
