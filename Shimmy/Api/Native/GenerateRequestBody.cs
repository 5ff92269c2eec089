using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Chat;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Media;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary>A request of Shimmy's own dialect, the same over HTTP and WebSocket: a <c>prompt</c> as it is, or <c>messages</c>.</summary>
internal sealed record GenerateRequestBody(Prompt? Prompt, ChatRequest? Chat, GenerationOptions Options, Grammar? Grammar, bool Stream)
{
    /// <summary>The defaults of the native dialect and of the commands.</summary>
    public static GenerationOptions Defaults { get; } = new()
    {
        MaxTokens = 256,
        Temperature = 0.7f,
        TopP = 0.9f,
        TopK = 40,
        RepeatPenalty = 1.1f,
    };

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    /// <param name="fields">The body.</param>
    /// <param name="logger">Learns what was left out.</param>
    /// <param name="mode">What the server was started as.</param>
    public static GenerateRequestBody Read(RequestFields fields, ILogger? logger = null, LlamaServerMode? mode = null)
    {
        var prompt = fields.Text("prompt");
        var messages = fields.List("messages");
        var system = fields.Text("system");
        if (prompt is null == messages is null)
        {
            throw ApiException.BadField("prompt", prompt is null
                ? "is missing; prompt or messages is required"
                : "was given beside messages; give one of them");
        }

        var options = (SamplingFields.Read(fields) with { MaxTokens = TokenLimit.Read(fields) }).Over(Defaults);
        var grammar = ConstraintFields.Read(fields, responseFormat: true);
        var stream = fields.Flag("stream") ?? false;
        IReadOnlyList<ContentPart> media = [.. MediaFields.Images(fields), .. MediaFields.Sounds(fields)];
        if (media.Count > 0 && prompt is null)
        {
            throw ApiException.BadField(fields.Has("images") ? "images" : "audio",
                "belongs to prompt; each of messages has images and audio of its own");
        }
        // A picture or sound has its place by the chat template alone.
        var isChat = messages is not null || system is not null || media.Count > 0;
        var thinking = isChat ? ThinkingFields.Read(fields, options.MaxTokens, infers: mode is not { IsOn: true }) : null;
        UnreadFields.Check(fields, logger);
        if (!isChat)
            return new GenerateRequestBody(Prompt.FromText(prompt!), null, options, grammar, stream);
        var turns = new List<ChatMessage>();
        if (system is not null)
            turns.Add(new ChatMessage { Role = "system", Content = [new ContentPart(system)] });
        if (prompt is not null)
            turns.Add(new ChatMessage { Role = "user", Content = [.. media, new ContentPart(prompt)] });
        var said = messages?.Select((message, i) => RequestFields.Of(message, $"messages[{i}]")).ToArray() ?? [];
        var turn = ChatMessages.NewestTurn(said, message => RoleOf(message) == "assistant");
        turns.AddRange(said.Select((message, i) => Message(message, isOld: i < turn)));
        if (turns.Count == 0)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        var chat = new ChatRequest
        {
            Messages = turns,
            Options = options,
            Grammar = grammar,
            EnableThinking = thinking!.Enabled,
            MaxReasoningTokens = thinking.Budget,
            TemplateArguments = thinking.TemplateArguments,
        };
        return new GenerateRequestBody(null, chat, options, grammar, stream);
    }

    /// <summary>Takes note of which field has the conversation, for errors.</summary>
    public static void NoteFields(HttpContext context, RequestFields fields)
    {
        if (fields.Has("prompt"))
            RequestContext.Of(context).ConversationField = "prompt";
    }

    /// <summary>Runs the request on a model.</summary>
    public IAsyncEnumerable<OutputEvent> Run(ModelLease lease, CachedExecution cache, MediaLoader media,
        CancellationToken cancellation, ILogger? logger = null) => Chat is not null
        ? ChatPipeline.ChatAsync(lease, Chat, cancellation, logger, cache, media)
        : ChatPipeline.CompleteAsync(lease, new CompletionRequest { Prompt = Prompt!, Options = Options, Grammar = Grammar },
            cancellation, cache, logger);

    private static string RoleOf(RequestFields message) => message.Choice("role", "system", "user", "assistant")
        ?? throw ApiException.BadField(message.FullName("role"), "is missing; 'system', 'user' or 'assistant' is required");

    private static ChatMessage Message(RequestFields message, bool isOld) => new()
    {
        Role = RoleOf(message),
        Content =
        [
            .. MediaFields.Images(message, isOld),
            .. MediaFields.Sounds(message, isOld),
            new ContentPart(message.RequiredText("content")),
        ],
    };
}
