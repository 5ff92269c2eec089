using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.LlamaServer;

/// <summary>The fields of <c>/completion</c> and <c>/infill</c> beside the prompt, read and checked.</summary>
internal sealed record LlamaRequest
{
    private const int MostAlternatives = 250;

    /// <summary>Answers to each prompt.</summary>
    public int Choices { get; private init; }

    /// <summary>Whether the answer is streamed.</summary>
    public bool Stream { get; private init; }

    /// <summary>Whether the whole answer reports its tokens; a stream always does.</summary>
    public bool ReturnsTokens { get; private init; }

    /// <summary>Whether every event of a stream reports times.</summary>
    public bool ReportsTimings { get; private init; }

    /// <summary>Most tokens of the answer; -1 is no limit.</summary>
    public int Predict { get; private init; }

    /// <summary>Tokens of the prompt that stay where the context is shifted; -1 keeps the prompt.</summary>
    public int Keep { get; private init; }

    /// <summary>Tokens that a shift drops; 0 is half of them.</summary>
    public int Discard { get; private init; }

    /// <summary>The parts of the answer that are wanted, as paths; empty for all.</summary>
    public IReadOnlyList<string> ResponseFields { get; private init; } = [];

    /// <summary>Longest silence of a stream.</summary>
    public TimeSpan? PingAfter { get; private init; }

    /// <summary>The grammar of the answer; null leaves it free.</summary>
    public Grammar? Grammar { get; private init; }

    /// <summary>How to sample, once the model's defaults are known.</summary>
    public GenerationOptions Options { get; init; } = new();

    /// <summary>Biases whose tokens a text names.</summary>
    public IReadOnlyList<(string Text, float Bias)> TextBiases { get; private init; } = [];

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    private LlamaOptions Own { get; init; } = LlamaOptions.None;

    /// <summary>Reads the fields; throws <see cref="ApiException"/> naming the one that is wrong.</summary>
    public static LlamaRequest Read(RequestFields fields, LlamaServerMode mode)
    {
        var stream = fields.Flag("stream") ?? false;
        var biases = new List<(string Text, float Bias)>();
        var values = Values(fields, biases);
        var probabilities = FirstOf(fields, 0, int.MaxValue, "n_probs", "logprobs", "top_logprobs") ?? 0;
        // Of the conversation's fields that llama-server's generations all have, a prompt as it is has nothing.
        foreach (var name in (ReadOnlySpan<string>)["continue_final_message", "echo", "verbose", "reasoning_control"])
            fields.Flag(name);
        fields.Whole("reasoning_budget_tokens", -1, int.MaxValue);
        var predict = FirstOf(fields, -1, int.MaxValue, "n_predict", "max_completion_tokens", "max_tokens");
        return new LlamaRequest
        {
            Choices = FirstOf(fields, 1, LlamaOptions.MostChoices, "n_cmpl", "n") ?? 1,
            Stream = stream,
            ReturnsTokens = fields.Flag("return_tokens") ?? false,
            ReportsTimings = fields.Flag("timings_per_token") ?? false,
            Predict = predict ?? -1,
            Keep = fields.Whole("n_keep", -1, int.MaxValue) ?? mode.Keep,
            Discard = fields.Whole("n_discard", 0, int.MaxValue) ?? 0,
            ResponseFields = [.. (fields.List("response_fields") ?? [])
                .Select((path, i) => RequestFields.TextOf(path, $"response_fields[{i}]"))],
            PingAfter = LlamaOptions.Ping(fields, mode, isOwn: true),
            Grammar = fields.Has("grammar") && fields.Has("json_schema")
                ? Grammar.Require(fields.Text("grammar")!, "grammar")
                : ConstraintFields.Read(fields, responseFormat: true),
            TextBiases = biases,
            Sampling = new SamplingPatch(values)
            {
                MaxTokens = predict is null or < 0 ? null : predict,
                TopLogProbabilities = probabilities > 0 ? Math.Min(probabilities, MostAlternatives) : null,
                ReportTokens = true,
            },
            Own = LlamaOptions.Read(fields, mode),
        };
    }

    /// <summary>The request with what it leaves open from the model, and with the tokens of biases that texts name.</summary>
    public async Task<LlamaRequest> WithDefaultsOfAsync(ILoadedModel model, bool saysLimit, CancellationToken cancellation)
    {
        var options = Own.With(Sampling, model.Facts);
        var biases = options.LogitBias.Where(bias => bias.Token < model.Facts.VocabularySize && bias.Token >= 0).ToList();
        foreach (var (text, bias) in TextBiases)
        {
            var prompt = new Prompt { Parts = [new PromptPart(text, ParseSpecial: false)], AddBos = false };
            foreach (var token in await model.TokenizeAsync(prompt, cancellation).ConfigureAwait(false))
                biases.Add(new LogitBias(token, bias));
        }
        // A limit of -1 wins over that of the server.
        var most = saysLimit && Predict < 0 ? null : options.MaxTokens;
        return this with
        {
            Predict = most ?? -1,
            Options = options with { MaxTokens = most, LogitBias = biases },
        };
    }

    // What the first of these names says; all of them are held to the bounds.
    private static int? FirstOf(RequestFields fields, int least, int most, params ReadOnlySpan<string> names)
    {
        int? first = null;
        foreach (var name in names)
        {
            var said = fields.Whole(name, least, most);
            first ??= said;
        }
        return first;
    }

    // As for the other dialects, but numbers beyond a range are taken as its end.
    private static List<(SamplingField, object)> Values(RequestFields fields, List<(string, float)> textBiases)
    {
        var values = new List<(SamplingField, object)>();
        foreach (var field in SamplingField.All)
        {
            object? value = field.Kind switch
            {
                SamplingKind.Whole => Clamped(fields, field) is { } number ? (int)number : null,
                SamplingKind.Number => Clamped(fields, field) is { } number ? (float)number : null,
                SamplingKind.Biases => Biases(fields, field.Name, textBiases),
                _ => null,
            };
            if (value is not null)
                values.Add((field, value));
        }
        var rest = SamplingField.All.Where(field => field.Kind is not (SamplingKind.Whole or SamplingKind.Number or SamplingKind.Biases));
        values.AddRange(SamplingFields.Read(fields, rest).Values);
        return values;
    }

    private static double? Clamped(RequestFields fields, SamplingField field)
    {
        if (fields.Find(field.Name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number)
            ? Math.Clamp(number, field.Least, Math.Min(field.Most, int.MaxValue))
            : throw ApiException.BadField(field.Name, $"must be a number, not {RequestFields.Describe(value)}");
    }

    private static List<LogitBias>? Biases(RequestFields fields, string name, List<(string, float)> texts)
    {
        if (fields.Find(name) is not { } value)
            return null;
        var biases = new List<LogitBias>();
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var property in value.EnumerateObject())
                    Add(property.Name, null, property.Value);
                break;
            case JsonValueKind.Array:
                foreach (var pair in value.EnumerateArray())
                {
                    if (pair.ValueKind != JsonValueKind.Array || pair.GetArrayLength() != 2)
                    {
                        throw ApiException.BadField(name,
                            $"must be pairs of a token or text and a bias, not {RequestFields.Describe(pair)}");
                    }

                    if (RequestFields.WholeOf(pair[0]) is >= int.MinValue and <= int.MaxValue and var token)
                        Add(null, (int)token, pair[1]);
                    else
                        Add(RequestFields.TextOf(pair[0], name), null, pair[1]);
                }
                break;
            default:
                throw ApiException.BadField(name, $"must be pairs or an object of biases, not {RequestFields.Describe(value)}");
        }
        return biases;

        void Add(string? text, int? token, JsonElement given)
        {
            if (BiasOf(given) is not { } bias)
                throw ApiException.BadField(name, $"must be a number or false, not {RequestFields.Describe(given)}");
            if (token is null && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
                token = number;
            if (token is { } id)
                biases.Add(new LogitBias(id, bias));
            else
                texts.Add((text!, bias));
        }
    }

    private static float? BiasOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False => float.NegativeInfinity,
        JsonValueKind.Number => (float)Math.Clamp(value.GetDouble(), -1e9, 1e9),
        _ => null,
    };
}

/// <summary>
/// The field <c>prompt</c> or <c>content</c>: a text, tokens, a mix of both, an object <c>{prompt_string, multimodal_data}</c>, or a list
/// of these.
/// </summary>
internal static class LlamaPrompts
{
    private const int Most = 2048;

    /// <summary>The prompts of a field, as they came; throws <see cref="ApiException"/> naming what is wrong with it.</summary>
    public static IReadOnlyList<JsonElement> Read(RequestFields fields, string name)
    {
        if (fields.Find(name) is not { } value)
            throw ApiException.BadField(name, "is missing; a string, an array of tokens, or a list of either is required");
        if (value.ValueKind != JsonValueKind.Array || IsOne(value))
            return [Checked(value, name)];
        var elements = value.EnumerateArray().ToArray();
        if (elements.Length is 0 or > Most)
            throw ApiException.BadField(name, $"has {elements.Length} entries; 1 to {Most} are allowed");
        return [.. elements.Select((element, i) => Checked(element, $"{name}[{i}]"))];
    }

    /// <summary>The prompt of an element that <see cref="Read"/> gave of the field <paramref name="name"/>.</summary>
    public static async Task<Prompt> OfAsync(
        HttpContext context, ModelLease lease, JsonElement value, string name, CancellationToken cancellation)
    {
        var model = lease.Model;
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                return Prompt.FromText(value.GetString()!);
            case JsonValueKind.Object:
                return await OfObjectAsync(context, lease, RequestFields.Of(value, name), cancellation).ConfigureAwait(false);
        }

        var tokens = new List<int>();
        var isFirst = true;
        foreach (var piece in value.EnumerateArray())
        {
            if (piece.ValueKind == JsonValueKind.Number)
            {
                var token = (int)RequestFields.WholeOf(piece)!.Value;
                tokens.Add(token < model.Facts.VocabularySize ? token : throw ApiException.BadField(name,
                    $"must hold tokens of this model, 0 to {model.Facts.VocabularySize - 1}, not {token}"));
            }
            else
            {
                tokens.AddRange(await model.TokenizeAsync(
                    Prompt.FromText(piece.GetString()!) with { AddBos = isFirst }, cancellation).ConfigureAwait(false));
            }
            isFirst = false;
        }
        return Prompt.FromTokens(tokens);
    }

    // Numbers, or numbers and texts; texts alone are several prompts.
    private static bool IsOne(JsonElement list) =>
        list.GetArrayLength() > 0
        && list.EnumerateArray().All(element => element.ValueKind is JsonValueKind.Number or JsonValueKind.String)
        && list.EnumerateArray().Any(element => element.ValueKind == JsonValueKind.Number);

    private static JsonElement Checked(JsonElement value, string name)
    {
        if (value.ValueKind is JsonValueKind.String or JsonValueKind.Object)
            return value;
        if (value.ValueKind != JsonValueKind.Array)
            throw ApiException.BadField(name, $"must be a string, an array or an object, not {RequestFields.Describe(value)}");
        foreach (var piece in value.EnumerateArray())
        {
            if (piece.ValueKind != JsonValueKind.String && RequestFields.WholeOf(piece) is not (>= 0 and <= int.MaxValue))
                throw ApiException.BadField(name, $"must hold token ids and strings, not {RequestFields.Describe(piece)}");
        }
        return value.GetArrayLength() > 0 ? value : throw ApiException.BadField(name, "is empty");
    }

    private static async Task<Prompt> OfObjectAsync(
        HttpContext context, ModelLease lease, RequestFields fields, CancellationToken cancellation)
    {
        if (fields.List("content") is { } content)
            return await OfPartsAsync(context, lease, [.. Parts(content, fields.FullName("content"))], cancellation).ConfigureAwait(false);
        var text = fields.RequiredText("prompt_string");
        var media = fields.Find("multimodal_data") switch
        {
            null => [],
            { ValueKind: JsonValueKind.String } one => [one],
            _ => fields.List("multimodal_data")!,
        };
        if (media.Count == 0)
            return Prompt.FromText(text);
        var texts = text.Split(Chat.Templates.MediaMarkers.Shown);
        if (texts.Length != media.Count + 1)
        {
            throw ApiException.BadField(fields.FullName("prompt_string"),
                $"has {texts.Length - 1} media markers {Chat.Templates.MediaMarkers.Shown}, and multimodal_data has {media.Count} pictures "
                + "and sounds; write one marker for each");
        }

        var parts = new List<ContentPart>();
        for (var i = 0; i < texts.Length; i++)
        {
            parts.Add(new ContentPart(texts[i]));
            if (i < media.Count)
            {
                var field = $"{fields.FullName("multimodal_data")}[{i}]";
                parts.Add(MediaFields.OfBase64(RequestFields.TextOf(media[i], field), field, null));
            }
        }
        return await OfPartsAsync(context, lease, parts, cancellation).ConfigureAwait(false);
    }

    // Parts of a message's content, in OpenAI's form.
    private static IEnumerable<ContentPart> Parts(IReadOnlyList<JsonElement> content, string name)
    {
        for (var i = 0; i < content.Count; i++)
        {
            var part = RequestFields.Of(content[i], $"{name}[{i}]");
            yield return part.RequiredText("type") switch
            {
                "text" => new ContentPart(part.RequiredText("text")),
                "image_url" => MediaFields.ImageUrl(part),
                "input_audio" => MediaFields.InputAudio(part),
                var type => throw MediaFields.Unsupported(part, type, MediaFields.ChatParts),
            };
        }
    }

    private static async Task<Prompt> OfPartsAsync(
        HttpContext context, ModelLease lease, IReadOnlyList<ContentPart> parts, CancellationToken cancellation)
    {
        var decoded = await MediaFields.LoaderOf(context).DecodeAsync(lease,
            new ChatRequest { Messages = [new ChatMessage { Role = "user", Content = parts }] }, ModelResolver.LoggerOf(context),
            cancellation).ConfigureAwait(false);
        var all = new List<Medium>();
        var placed = new List<PromptPart>();
        foreach (var part in ContentPart.Merge(decoded.Messages[0].Content))
        {
            if (part.Medium is { } medium)
            {
                placed.Add(new PromptPart("", ParseSpecial: false, all.Count));
                all.Add(medium);
            }
            else
            {
                placed.Add(new PromptPart(part.Text, ParseSpecial: true));
            }
        }
        return new Prompt { Parts = placed, Media = all };
    }
}
