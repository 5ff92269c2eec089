using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api;

/// <summary>
/// The mode of <c>shimmy llama-server</c>: how it serves, and what its options say of all routes. Also of <c>shimmy serve</c>, whose
/// routes of llama-server have the defaults.
/// </summary>
internal sealed record LlamaServerMode
{
    /// <summary>The defaults, for a server that was not started as llama-server.</summary>
    public static LlamaServerMode Default { get; } = new();

    /// <summary>llama-server's name of its build, which it reports with every answer: a letter, a number, a commit.</summary>
    public static string BuildInfo { get; } = $"b0-shimmy-{ServerState.Version}";

    /// <summary>Whether the server was started as llama-server.</summary>
    public bool IsOn { get; init; }

    /// <summary>Whether it has no model of its own and serves those that are found, each by its name: llama-server's router.</summary>
    public bool Routes { get; init; }

    /// <summary>Most models in memory of a router; 0 is any number.</summary>
    public int MostModels { get; init; } = 4;

    /// <summary>Whether a router loads what it is asked for; else <c>POST /models/load</c> alone does.</summary>
    public bool LoadsModels { get; init; } = true;

    /// <summary>Path of Vertex AI's predictions; null where the server does not run there.</summary>
    public string? PredictRoute { get; init; }

    /// <summary>Path of Vertex AI's health checks; null for none of their own.</summary>
    public string? HealthRoute { get; init; }

    /// <summary>Models of a router whose last load by <c>POST /models/load</c> failed.</summary>
    public ConcurrentDictionary<string, int> Failed { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>All names of the model (<c>--alias</c>).</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>Words about the model (<c>--tags</c>).</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>Whether <c>/slots</c> answers.</summary>
    public bool Slots { get; init; } = true;

    /// <summary>Whether <c>/metrics</c> answers.</summary>
    public bool Metrics { get; init; } = true;

    /// <summary>Whether <c>POST /props</c> answers.</summary>
    public bool Props { get; init; }

    /// <summary>Folder of the files of slots; null where slots are not saved.</summary>
    public string? SlotFolder { get; init; }

    /// <summary>Whether every answer has <c>__verbose</c>.</summary>
    public bool Verbose { get; init; }

    /// <summary>Whether an assistant's message at the end is continued.</summary>
    public bool Prefills { get; init; } = true;

    /// <summary>Whether a prompt or answer beyond the context loses its middle, and goes on.</summary>
    public bool ShiftsContext { get; init; }

    /// <summary>Tokens of the prompt that <see cref="ShiftsContext"/> keeps; -1 keeps the prompt.</summary>
    public int Keep { get; init; }

    /// <summary>The samplers of requests that name none; null for llama.cpp's order.</summary>
    public IReadOnlyList<SamplerKind>? Samplers { get; init; }

    /// <summary>Whether prompts take over what is computed, where a request does not say.</summary>
    public bool CachesPrompts { get; init; } = true;

    /// <summary>Whether the model thinks, where a request does not say; null leaves it to the template.</summary>
    public bool? Thinks { get; init; }

    /// <summary>Most tokens of thinking, where a request does not say; null is unlimited.</summary>
    public int? MaxReasoningTokens { get; init; }

    /// <summary>The place of the reasoning in an answer, if a request does not say (<c>--reasoning-format</c>).</summary>
    public ReasoningPlace ReasoningPlace { get; init; }

    /// <summary>Variables of the chat template, where a request does not give them.</summary>
    public IReadOnlyDictionary<string, JsonElement> TemplateArguments { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>Longest silence of a stream; null never breaks it.</summary>
    public TimeSpan? PingAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Whether the suffix stands before the prefix where a gap is filled.</summary>
    public bool SuffixFirst { get; init; }

    /// <summary>Tokens of a batch, which <c>/infill</c> fits its text into.</summary>
    public int BatchSize { get; init; } = 2048;

    /// <summary>Ends once the model is in memory for the first time; waited for where <see cref="IsOn"/>.</summary>
    public TaskCompletionSource Loading { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>llama-server's error where the model has no projector.</summary>
    public static Exception NoMedium(MediumKind kind) => new ApiException(500, (kind == MediumKind.Picture ? "image" : "audio")
        + " input is not supported - hint: if this is unexpected, you may need to provide the mmproj", "unsupported_value", null);

    /// <summary>llama-server's word for how a model of a router stands.</summary>
    public static string StatusOf(ModelResidency residency, ModelEntry entry) =>
        residency.Find(entry.Name)?.State switch
        {
            ResidencyState.Waiting or ResidencyState.Loading => "loading",
            ResidencyState.Ready or ResidencyState.Draining => "loaded",
            _ => "unloaded",
        };

    /// <summary>
    /// Throws <see cref="ApiException"/> (400) where the request's model would have to be loaded and this router does not
    /// (<c>--no-models-autoload</c>, <c>?autoload=false</c>).
    /// </summary>
    public static void CheckLoaded(HttpContext context, ModelEntry entry)
    {
        var mode = Of(context);
        if (!mode.Routes)
            return;
        var loads = context.Request.Query["autoload"].ToString() switch
        {
            "" => mode.LoadsModels,
            var said => said is "true" or "1",
        };
        if (!loads && StatusOf(context.RequestServices.GetRequiredService<ModelResidency>(), entry) == "unloaded")
            throw ApiException.BadField("model", "is not loaded; POST /models/load loads it");
    }

    /// <summary>The options of an answer to a prompt: where that has no token at all, llama-server generates nothing.</summary>
    public GenerationOptions OptionsFor(Prompt prompt, ModelFacts facts, GenerationOptions options) =>
        IsOn && !facts.AddsBos && prompt is { Tokens: null, Media.Count: 0 } && prompt.Parts is [{ Text: "" }]
            ? options with { MaxTokens = 0 }
            : options;

    /// <summary>The mode of the server that a request came to.</summary>
    public static LlamaServerMode Of(HttpContext context) => context.RequestServices.GetService<LlamaServerMode>() ?? Default;

    /// <summary>
    /// The conversation with what the options say of it, and with <c>reasoning_format</c>. Throws <see cref="ApiException"/> where it
    /// cannot be answered.
    /// </summary>
    /// <param name="request">The conversation.</param>
    /// <param name="fields">The request.</param>
    /// <param name="hasBoth">Whether the route has two places for thoughts; where it has one they stand beside the text.</param>
    public ChatRequest Apply(ChatRequest request, RequestFields fields, bool hasBoth = false)
    {
        var place = ThinkingFields.Place(fields) ?? ReasoningPlace;
        request = request with { ReasoningPlace = place == ReasoningPlace.Both && !hasBoth ? ReasoningPlace.Apart : place };
        if (!IsOn)
            return request;
        if (request.Messages is [.., { Role: "assistant" }, { Role: "assistant" }])
            throw ApiException.BadField("messages", "Cannot have 2 or more assistant messages at the end of the list.");
        var continues = request.ContinueFinalMessage || (Prefills && !fields.Has("continue_final_message")
            && request.Messages is [.., { Role: "assistant", ToolCalls.Count: 0 }]);
        var arguments = Dates().Concat(TemplateArguments).Concat(request.TemplateArguments).GroupBy(pair => pair.Key)
            .ToDictionary(pairs => pairs.Key, pairs => pairs.Last().Value);
        return request with
        {
            ContinueFinalMessage = continues,
            Messages = [.. request.Messages.Select(
                (message, i) => Apart(message, continues && i == request.Messages.Count - 1 ? "\n\n" : "\n"))],
            // llama-server gives it to every template.
            EnableThinking = request.EnableThinking ?? Thinks ?? true,
            MaxReasoningTokens = request.MaxReasoningTokens ?? MaxReasoningTokens,
            TemplateArguments = arguments,
        };
    }

    // llama-server gives every template the day, under the names that templates of Llama 3 and of firefunction have for it.
    private static Dictionary<string, JsonElement> Dates()
    {
        var today = DateTime.Now;
        return new()
        {
            ["date_string"] = Text("dd MMM yyyy"),
            ["datetime"] = Text("MMM dd yyyy"),
        };

        JsonElement Text(string form)
        {
            using var document = JsonDocument.Parse($"\"{today.ToString(form, CultureInfo.InvariantCulture)}\"");
            return document.RootElement.Clone();
        }
    }

    // Texts that follow each other are lines of their own, and paragraphs of their own where they are continued.
    private static ChatMessage Apart(ChatMessage message, string between) => message.Content.Count < 2
        ? message
        : message with
        {
            Content =
            [
                .. message.Content.SelectMany((part, i) => i > 0 && !part.IsMedium && !message.Content[i - 1].IsMedium
                    ? [new ContentPart(between), part]
                    : (ContentPart[])[part]),
            ],
        };
}
