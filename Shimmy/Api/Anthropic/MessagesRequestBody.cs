using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary><c>POST /v1/messages</c> and its <c>count_tokens</c>, read and checked (Anthropic's API reference).</summary>
/// <param name="Request">The conversation.</param>
/// <param name="Stream">Whether the answer is streamed.</param>
/// <param name="Caches">Whether the client asked for prompt caching anywhere: its usage then is what the prefix cache did.</param>
internal sealed record MessagesRequestBody(ChatRequest Request, bool Stream, bool Caches)
{
    private static readonly string[] Cacheable = ["system", "messages", "tools"];

    /// <summary>
    /// The tokens below which an answer that was cut is at the end of the context; null where the client is not told, as by llama-server.
    /// </summary>
    public int? ContextLimit => AsLlamaServer ? null : Request.Options.MaxTokens;

    private bool AsLlamaServer { get; init; }

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    private LlamaOptions Own { get; init; } = LlamaOptions.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    /// <param name="fields">The body.</param>
    /// <param name="logger">Learns what was left out.</param>
    /// <param name="counts">Whether the tokens are only counted: nothing is generated, and no limit is needed.</param>
    /// <param name="mode">What the server was started as: to llama-server there need not be a message.</param>
    public static MessagesRequestBody Read(RequestFields fields, ILogger? logger, bool counts, LlamaServerMode mode)
    {
        var messages = AnthropicMessages.Read(fields, mayBeNone: mode.IsOn);
        var tools = AnthropicTools.Read(fields, logger);
        var most = TokenLimit.Read(fields);
        if (most is null && !counts)
            throw ApiException.BadField("max_tokens", "is missing; a whole number is required", "missing_required_parameter");
        fields.Number("temperature", 0, 1);
        fields.Object("metadata")?.Text("user_id");
        var thinking = ThinkingFields.Read(fields, counts ? null : most, budgeted: true, infers: !mode.IsOn);
        var request = new ChatRequest
        {
            Messages = messages,
            Tools = tools.Tools,
            ToolChoice = tools.Choice,
            ParallelToolCalls = tools.Parallel,
            EnableThinking = thinking.Enabled,
            MaxReasoningTokens = thinking.Budget,
            TemplateArguments = thinking.TemplateArguments,
            Grammar = ConstraintFields.Read(fields, responseFormat: true, Format(fields)),
            // Anthropic: an assistant's message at the end is the beginning of the answer.
            ContinueFinalMessage = messages is [.., { Role: "assistant", ToolCalls.Count: 0 }],
        };
        var sampling = SamplingFields.Read(fields);
        var body = new MessagesRequestBody(mode.Apply(request, fields), fields.Flag("stream") ?? false, Caching(fields))
        {
            AsLlamaServer = mode.IsOn,
            Own = LlamaOptions.Of(fields, mode),
            Sampling = sampling with
            {
                MaxTokens = most,
                Stop = [.. SamplingFields.Stops(fields, "stop_sequences") ?? [], .. SamplingFields.Stops(fields, "stop") ?? []],
            },
        };
        UnreadFields.Check(fields, logger);
        return body;
    }

    /// <summary>The request with its sampling fields laid over the model's defaults.</summary>
    public MessagesRequestBody WithDefaultsOf(ModelFacts facts) =>
        this with { Request = Request with { Options = Own.With(Sampling, facts) } };

    // The present name, and the one of the beta before it.
    private static (string Name, Grammar? Grammar) Format(RequestFields fields)
    {
        var format = fields.Object("output_config")?.Object("format") ?? fields.Object("output_format");
        return format is null ? default : (format.FullName("")[..^1], ConstraintFields.ReadFormat(format, flat: true));
    }

    private static bool Caching(RequestFields fields) => fields.Has("cache_control")
        || Cacheable.Any(name => fields.Find(name) is { } value && Holds(value));

    // Wherever a block or a tool may stand, a breakpoint may.
    private static bool Holds(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.EnumerateArray().Any(Holds),
        JsonValueKind.Object => (value.TryGetProperty("cache_control", out var control) && control.ValueKind == JsonValueKind.Object)
            || (value.TryGetProperty("content", out var content) && Holds(content)),
        _ => false,
    };
}
