using Microsoft.Extensions.Logging;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// The body of <c>POST /v1/responses</c>, read and checked (OpenAI's API reference). Fields that cannot be honoured are refused by name
/// (<see cref="UnreadFields"/>).
/// </summary>
internal sealed record ResponseRequestBody
{
    private const int MostMetadata = 16;

    /// <summary>The conversation to answer.</summary>
    public required ChatRequest Request { get; init; }

    /// <summary>Input items of the request, references resolved.</summary>
    public required IReadOnlyList<ResponseItem> Input { get; init; }

    /// <summary>The answer that this one follows; null where it is the first.</summary>
    public required StoredResponse? Previous { get; init; }

    /// <summary>Whether the answer is streamed.</summary>
    public required bool Stream { get; init; }

    /// <summary>Whether the answer can be named later.</summary>
    public required bool Store { get; init; }

    /// <summary>Whether thoughts are given in the form that clients bring back (<c>reasoning.encrypted_content</c>).</summary>
    public required bool SealReasoning { get; init; }

    /// <summary>The request itself, which answers repeat in part.</summary>
    public required RequestFields Fields { get; init; }

    /// <summary>Output details beside the text.</summary>
    public OutputDetails Extras { get; private init; }

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    private LlamaOptions Own { get; init; } = LlamaOptions.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ResponseRequestBody Read(RequestFields fields, ResponseStore store, ILogger? logger, LlamaServerMode? mode = null)
    {
        mode ??= LlamaServerMode.Default;
        // Of llama-server's details, that server alone reports them here.
        var extras = mode.IsOn ? OutputDetails.Read(fields, logProbabilities: false, mode) : default;
        CheckOthers(fields);
        if (mode.IsOn && fields.Object("text")?.Object("format") is { } format
            && format.Text("type") == "json_schema" && !format.Has("schema"))
        {
            throw ApiException.BadField(format.FullName("schema"), "is missing; an object is required", "missing_required_parameter");
        }

        var include = Include(fields);
        var previous = Previously(fields, store);
        var input = InputItems.Read(fields, store) ?? (previous is not null
            ? []
            : throw ApiException.BadField("input", "is missing; a string or an array of items is required", "missing_required_parameter"));
        if (input.Count == 0 && previous is null)
            throw ApiException.BadField("input", "is empty; at least one item is required");
        ResponseItem[] context = previous is null ? [] : [.. previous.Context, .. previous.Output];
        var tools = ToolFields.Read(fields, logger, flat: true);
        var most = TokenLimit.Read(fields);
        var thinking = ThinkingFields.Read(fields, most, infers: !mode.IsOn);
        var body = new ResponseRequestBody
        {
            Extras = extras,
            Own = LlamaOptions.Of(fields, mode),
            Request = mode.Apply(new ChatRequest
            {
                Messages = ItemConversation.Of(fields.Text("instructions"), context.Concat(input)),
                Tools = tools.Tools,
                ToolChoice = tools.Choice,
                ParallelToolCalls = fields.Flag("parallel_tool_calls") ?? true,
                Grammar = GrammarOf(fields),
                EnableThinking = thinking.Enabled,
                MaxReasoningTokens = thinking.Budget,
                TemplateArguments = thinking.TemplateArguments,
            }, fields),
            Input = input,
            Previous = previous,
            Stream = fields.Flag("stream") ?? false,
            Store = fields.Flag("store") ?? true,
            SealReasoning = include.Contains("reasoning.encrypted_content"),
            Fields = fields,
            Sampling = SamplingFields.Read(fields) with
            {
                MaxTokens = most,
                ReportTokens = extras.AsLlamaServer,
                TopLogProbabilities = fields.Whole("top_logprobs", 0, TokenProbabilities.MostAlternatives)
                    ?? (include.Contains("message.output_text.logprobs") ? 0 : null),
            },
        };
        UnreadFields.Check(fields, logger);
        return body;
    }

    /// <summary>The request with its sampling fields laid over the model's defaults.</summary>
    public ResponseRequestBody WithDefaultsOf(ModelFacts facts) => this with
    {
        Request = Request with { Options = Own.With(Sampling, facts) },
    };

    private static Grammar? GrammarOf(RequestFields fields)
    {
        var format = fields.Object("text")?.Object("format") is { } asked ? ConstraintFields.ReadFormat(asked, flat: true) : null;
        return ConstraintFields.Read(fields, responseFormat: true, ("text.format", format));
    }

    private static string[] Include(RequestFields fields)
    {
        var include = fields.List("include") ?? [];
        var names = include.Select((value, i) => RequestFields.TextOf(value, $"include[{i}]")).ToArray();
        for (var i = 0; i < names.Length; i++)
        {
            // The first two are honoured; the others belong to tools that never answer here.
            if (names[i] is not ("reasoning.encrypted_content" or "message.output_text.logprobs" or "web_search_call.action.sources"
                or "web_search_call.results" or "file_search_call.results" or "code_interpreter_call.outputs"
                or "message.input_image.image_url"
                or "computer_call_output.output.image_url"))
            {
                throw ApiException.BadField($"include[{i}]", $"{RequestFields.Quote(names[i])} is not a supported value of include");
            }
        }
        return names;
    }

    private static StoredResponse? Previously(RequestFields fields, ResponseStore store)
    {
        const string name = "previous_response_id";
        if (fields.Text(name) is not { } id)
            return null;
        // The status is OpenAI's, whose clients know the code; an answer that still runs is none yet.
        return store.Find(id) ?? throw ApiException.BadField(
            name, $"no response with id {RequestFields.Quote(id)} is stored here; send the whole conversation in input",
                "previous_response_not_found");
    }

    // Fields that ask for what only a server with accounts has, and fields that ask for nothing a local model could do otherwise, which are
    // held to their types all the same.
    private static void CheckOthers(RequestFields fields)
    {
        fields.Refuse("conversation", "conversations are not stored here; use previous_response_id");
        fields.Refuse("prompt", "prompts are not stored here; use instructions and input");
        if (fields.Choice("truncation", "auto", "disabled") == "auto")
        {
            throw ApiException.BadField("truncation",
                "'auto' is not supported: nothing is ever left out of a conversation; 'disabled' is", "unsupported_value");
        }

        fields.Whole("max_tool_calls", 1, int.MaxValue);
        fields.Choice("service_tier", "auto", "default", "flex", "scale", "priority");
        foreach (var name in (string[])["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"])
            fields.Text(name);
        fields.Object("stream_options")?.Flag("include_obfuscation");
        fields.Object("text")?.Choice("verbosity", "low", "medium", "high");
        var reasoning = fields.Object("reasoning");
        reasoning?.Choice("summary", "auto", "concise", "detailed", "none");
        reasoning?.Choice("generate_summary", "auto", "concise", "detailed");
        if (fields.Object("metadata") is not { } metadata)
            return;
        if (metadata.Names.Count() > MostMetadata)
            throw ApiException.BadField("metadata", $"has {metadata.Names.Count()} entries; at most {MostMetadata} are allowed");
        foreach (var name in metadata.Names)
        {
            if (name.Length > 64)
                throw ApiException.BadField("metadata", $"has a key of {name.Length} characters; at most 64 are allowed");
            if (metadata.Text(name) is { Length: > 512 } value)
            {
                throw ApiException.BadField(metadata.FullName(RequestFields.Shorten(name)),
                    $"has {value.Length} characters; at most 512 are allowed");
            }
        }
    }
}

/// <summary>Items as the messages of a conversation: what the assistant thought, said and called in one turn is one message.</summary>
internal static class ItemConversation
{
    /// <summary>The messages, <paramref name="instructions"/> first where there are any.</summary>
    public static IReadOnlyList<ChatMessage> Of(string? instructions, IEnumerable<ResponseItem> items)
    {
        var messages = new List<ChatMessage>();
        if (!string.IsNullOrEmpty(instructions))
            messages.Add(new ChatMessage { Role = "developer", Content = [new ContentPart(instructions)] });
        ChatMessage? turn = null;
        foreach (var item in items)
        {
            switch (item is ForeignItem foreign ? foreign.Meaning : item)
            {
                case ReasoningItem thoughts:
                    // A turn begins with its thoughts.
                    Begin(isNew: turn is { Content.Count: > 0 } or { ToolCalls.Count: > 0 });
                    turn = turn! with { Reasoning = turn.Reasoning + thoughts.Text };
                    break;
                case MessageItem { Role: "assistant" } message:
                    Begin(isNew: turn is { Content.Count: > 0 } or { ToolCalls.Count: > 0 });
                    turn = turn! with { Content = ContentOf(message.Parts) };
                    break;
                case FunctionCallItem call:
                    Begin(isNew: false);
                    turn = turn! with { ToolCalls = [.. turn.ToolCalls, new ToolCall(call.CallId, call.Name, call.Arguments)] };
                    break;
                case FunctionOutputItem output:
                    End();
                    messages.Add(new ChatMessage { Role = "tool", Content = ContentOf(output.Parts), ToolCallId = output.CallId });
                    break;
                case MessageItem message:
                    End();
                    messages.Add(new ChatMessage { Role = message.Role, Content = ContentOf(message.Parts) });
                    break;
            }
        }
        End();
        return ChatMessages.WithCallIds(messages);

        void Begin(bool isNew)
        {
            if (isNew)
                End();
            turn ??= new ChatMessage { Role = "assistant" };
        }

        // Thoughts that nobody could read leave nothing of a turn that had nothing else.
        void End()
        {
            if (turn is { Content.Count: > 0 } or { ToolCalls.Count: > 0 } or { Reasoning.Length: > 0 })
                messages.Add(turn with { Reasoning = string.IsNullOrEmpty(turn.Reasoning) ? null : turn.Reasoning });
            turn = null;
        }
    }

    private static IReadOnlyList<ContentPart> ContentOf(IReadOnlyList<ItemPart> parts) =>
        [.. parts.Select(part => part.Content)];
}
