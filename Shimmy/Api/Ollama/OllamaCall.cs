using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Ollama;

/// <summary>
/// The fields that all of Ollama's requests for a model have in common: its name, whether to stream, the options, and the time.
/// </summary>
internal sealed partial class OllamaCall
{
    private static readonly GenerationOptions Defaults = new() { TopP = 0.9f, MinP = 0f };

    private readonly RequestContext _context;
    private readonly ModelRequest _request;
    private TimeSpan _load;

    private OllamaCall(RequestContext context, ModelRequest request, CallOptions options, bool streams) =>
        (_context, _request, Options, Streams) = (context, request, options, streams);

    /// <summary>The model's name as the client wrote it, which its answers repeat.</summary>
    public string Model { get; private set; } = "";

    /// <summary>Whether the answer is a stream, which it is unless the client says otherwise.</summary>
    public bool Streams { get; }

    /// <summary>The field <c>options</c>.</summary>
    public CallOptions Options { get; }

    /// <summary>Whether the model is to be unloaded where there is nothing to answer: <c>keep_alive</c> is 0.</summary>
    public bool Unloads => _request.KeepAlive == TimeSpan.Zero;

    /// <summary>Reads the fields; throws <see cref="ApiException"/> naming the one that is wrong.</summary>
    /// <param name="context">Its record, whose clock the durations are read off.</param>
    /// <param name="fields">The request.</param>
    /// <param name="logger">Learns which options are not known.</param>
    public static OllamaCall Read(RequestContext context, RequestFields fields, ILogger logger) =>
        new(context, ModelRequest.Read(fields), CallOptions.Read(fields, logger), fields.Flag("stream") ?? true);

    /// <summary>
    /// The model, loaded as the options ask where that can still be chosen. A context that is too short is made longer by loading the model
    /// again, where its training and the memory allow it; a longer one serves as well. Everything else waits for the next load, and the log
    /// says so.
    /// </summary>
    public async Task<ModelLease> AcquireAsync(HttpContext context)
    {
        var entry = await FindAsync(context, pulls: true);
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        var before = residency.Tunings.Of(entry.Name);
        var changed = await Options.LoadOverAsync(residency, entry, before, ModelResolver.LoggerOf(context), context.RequestAborted);
        if (changed is not null)
            residency.Tunings.Replace(entry.Name, changed);
        try
        {
            var lease = await ModelResolver.AcquireAsync(context, _request);
            _load = _context.Elapsed;
            return lease;
        }
        catch (EngineException e) when (changed is not null && e.Failure == EngineFailure.LoadFailed)
        {
            // Nobody is refused for an option; and what cannot be loaded so is loaded as before for everybody else.
            LogReverted(ModelResolver.LoggerOf(context), entry.Name, e.Message);
            residency.Tunings.Replace(entry.Name, before);
            var lease = await ModelResolver.AcquireAsync(context, _request);
            _load = _context.Elapsed;
            return lease;
        }
    }

    /// <summary>Loads the model, or unloads it, and gives Ollama's word for what was done.</summary>
    public async Task<string> MoveAsync(HttpContext context)
    {
        if (!Unloads)
        {
            (await AcquireAsync(context)).Dispose();
            return "load";
        }
        var entry = await FindAsync(context);
        await context.RequestServices.GetRequiredService<ModelResidency>().UnloadAsync(entry.Name, context.RequestAborted);
        return "unload";
    }

    /// <summary>How to sample: what the request says, else the model, else Ollama's defaults.</summary>
    public GenerationOptions OptionsFor(ModelFacts facts, int? top, bool reportsTokens = false) =>
        (Options.Sampling with { TopLogProbabilities = top, ReportTokens = reportsTokens })
            .Over(SamplingPatch.DefaultsOf(facts, Defaults));

    /// <summary>Writes the fields that every answer begins with.</summary>
    public void WriteHead(Utf8JsonWriter json)
    {
        json.WriteString("model", Model);
        json.WriteString("created_at", OllamaJson.Time(DateTimeOffset.UtcNow));
    }

    /// <summary>Writes the fields that every answer ends with: why it ended, and what it took.</summary>
    public void WriteTail(Utf8JsonWriter json, OutputEnd end)
    {
        json.WriteBoolean("done", true);
        json.WriteString("done_reason"u8, end.Reason == FinishReason.Length ? "length"u8 : "stop"u8);
        WriteDurations(json);
        json.WriteNumber("prompt_eval_count", end.Usage.PromptTokens);
        json.WriteNumber("prompt_eval_duration", OllamaJson.Nanoseconds(end.Timings.PrefillMilliseconds));
        json.WriteNumber("eval_count", end.Usage.CompletionTokens);
        json.WriteNumber("eval_duration", OllamaJson.Nanoseconds(end.Timings.DecodeMilliseconds));
    }

    /// <summary>Writes the time of the whole request and of the load.</summary>
    public void WriteDurations(Utf8JsonWriter json)
    {
        json.WriteNumber("total_duration", OllamaJson.Nanoseconds(_context.Elapsed.TotalMilliseconds));
        json.WriteNumber("load_duration", OllamaJson.Nanoseconds(_load.TotalMilliseconds));
    }

    private async Task<ModelEntry> FindAsync(HttpContext context, bool pulls = false)
    {
        var entry = await ModelResolver.FindAsync(context, _request.Model, pulls);
        Model = _request.Model ?? entry.Name;
        RequestContext.Of(context).Model = entry.Name;
        return entry;
    }

    [LoggerMessage(LogLevel.Warning, "{Model} cannot be loaded as the options of a request ask, so it is loaded as before: {Reason}")]
    private static partial void LogReverted(ILogger logger, string model, string reason);
}

/// <summary>
/// Ollama's <c>options</c>: how to sample, and how to load the model. What is wrong is refused by name; what is not known is left out with
/// a line in the log, as Ollama does it.
/// </summary>
/// <param name="Sampling">How to sample.</param>
/// <param name="Context">Least tokens of context (<c>num_ctx</c>); null leaves it open.</param>
/// <param name="Load">What else can be chosen at a load.</param>
/// <param name="LoadNames">The options in <paramref name="Load"/>, for the log.</param>
internal sealed record CallOptions(SamplingPatch Sampling, int? Context, LoadOverride Load, IReadOnlyList<string> LoadNames)
{
    // What older versions had, and what nothing is to be done for: nothing is ever cut, so nothing is kept.
    private static readonly string[] Idle =
    [
        "num_keep", "numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "num_gqa", "embedding_only", "penalize_newline",
        "tfs_z", "rope_frequency_base", "rope_frequency_scale", "draft_num_predict",
    ];

    /// <summary>Reads the field; throws <see cref="ApiException"/> naming the option that is wrong.</summary>
    public static CallOptions Read(RequestFields fields, ILogger logger)
    {
        if (fields.Object("options") is not { } options)
            return new CallOptions(SamplingPatch.None, null, LoadOverride.None, []);
        var context = options.Whole("num_ctx", 0, int.MaxValue);
        var layers = options.Whole("num_gpu", -1, TuningOption.MostLayers);
        var load = new LoadOverride(LoadTuning.None with
        {
            GpuLayers = layers >= 0 ? new LayerCount(layers.Value) : null,
            MainGpu = options.Whole("main_gpu", 0, TuningOption.LastDevice),
            MemoryMap = options.Flag("use_mmap"),
        })
        {
            Threads = options.Whole("num_thread", 0, TuningOption.MostThreads) is > 0 and var threads ? threads : null,
            BatchSize = options.Whole("num_batch", 0, 1 << 16) is > 0 and var batch ? batch : null,
        };
        string[] names = ["num_gpu", "main_gpu", "use_mmap", "num_thread", "num_batch"];
        var sampling = SamplingFields.Read(options) with { MaxTokens = TokenLimit.Read(options) };
        var known = names.Concat(Idle).Append("num_ctx").Concat(TokenLimit.Names)
            .Concat(SamplingField.All.SelectMany(field => (string[])[field.Name, field.OtherName ?? field.Name])).ToHashSet();
        if (options.Names.Where(name => !known.Contains(name)).ToList() is { Count: > 0 } unknown)
            OptionLog.Unknown(logger, string.Join(", ", unknown.Take(10).Select(name => RequestFields.Quote(name))));
        return new CallOptions(sampling, context is > 0 ? context : null, load, [.. names.Where(options.Has)]);
    }

    /// <summary>
    /// How the model is to be loaded for these options, beside what holds already; null where it stays as it is.
    /// </summary>
    public async Task<LoadOverride?> LoadOverAsync(
        ModelResidency residency, ModelEntry entry, LoadOverride? before, ILogger logger, CancellationToken cancellation)
    {
        var asked = before ?? LoadOverride.None;
        var changed = asked;
        var loaded = residency.Find(entry.Name)?.Load;
        if (loaded is not null && LoadNames.Count > 0)
        {
            if (loaded.IsFirstReport(nameof(OptionLog.TooLate)))
                OptionLog.TooLate(logger, entry.Name, string.Join(", ", LoadNames));
        }
        else if (LoadNames.Count > 0)
        {
            changed = changed with
            {
                Tuning = Load.Tuning.Over(changed.Tuning),
                Threads = Load.Threads ?? changed.Threads,
                BatchSize = Load.BatchSize ?? changed.BatchSize,
                EndsWithLoad = before?.EndsWithLoad ?? true,
            };
        }

        if (Context is { } context && context > residency.ContextOf(entry))
        {
            var most = entry.ContextLength > 0 ? Math.Min(context, entry.ContextLength) : context;
            var longer = changed with { ContextLength = most, EndsWithLoad = before?.EndsWithLoad ?? true };
            if (most > residency.ContextOf(entry) && await residency.FitsAsync(entry, longer, cancellation))
                changed = longer;
            else if (loaded is null || loaded.IsFirstReport(nameof(OptionLog.Shorter)))
                OptionLog.Shorter(logger, entry.Name, residency.ContextOf(entry), context);
        }

        return ReferenceEquals(changed, asked) ? null : changed;
    }
}

/// <summary>The log lines about options.</summary>
internal static partial class OptionLog
{
    [LoggerMessage(LogLevel.Information, "left out options of a request that are not known here: {Names}")]
    public static partial void Unknown(ILogger logger, string names);

    [LoggerMessage(LogLevel.Information, "{Model} is loaded; options of a request that only a load can take have no effect: {Names}")]
    public static partial void TooLate(ILogger logger, string model, string names);

    [LoggerMessage(LogLevel.Information, "{Model} has a context of {Context} tokens, the most that its training and the memory allow; "
        + "a request asks for {Asked}")]
    public static partial void Shorter(ILogger logger, string model, int context, int asked);
}

/// <summary>Forms of values in Ollama's answers.</summary>
internal static class OllamaJson
{
    private const string Latest = ":latest";

    /// <summary>A time as RFC 3339 has it, with nanoseconds.</summary>
    public static string Time(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'00Z'", CultureInfo.InvariantCulture);

    /// <summary>A duration in whole nanoseconds.</summary>
    public static long Nanoseconds(double milliseconds) => (long)Math.Round(milliseconds * 1e6);

    /// <summary>A name with its tag, which Ollama's names always have.</summary>
    public static string Tagged(string name) => name.IndexOf(':', name.LastIndexOf('/') + 1) < 0 ? name + Latest : name;

    /// <summary>A name without the tag that goes without saying.</summary>
    public static string Untagged(string name) =>
        name.EndsWith(Latest, StringComparison.OrdinalIgnoreCase) ? name[..^Latest.Length] : name;

    /// <summary>The tool calls of an answer, with their arguments as JSON text.</summary>
    public static void WriteCalls(Utf8JsonWriter json, IEnumerable<(int Index, string Name, string Arguments)> calls)
    {
        json.WriteStartArray("tool_calls");
        foreach (var (index, name, arguments) in calls)
        {
            json.WriteStartObject();
            json.WriteString("id", Answer.NewId("call_"));
            json.WriteStartObject("function");
            json.WriteNumber("index", index);
            json.WriteString("name", name);
            json.WritePropertyName("arguments");
            if (string.IsNullOrWhiteSpace(arguments))
                json.WriteRawValue("{}");
            else
                JsonElement.Parse(SurrogateRepair.Of(arguments)).WriteTo(json);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The line that ends a broken stream.</summary>
    public static void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect)
    {
        output.Write(dialect.ErrorBody(error));
        output.Write("\n"u8);
    }

    /// <summary>The probabilities of tokens, where they are asked for.</summary>
    public static void WriteProbabilities(Utf8JsonWriter json, IReadOnlyList<GeneratedToken>? tokens)
    {
        if (tokens is not { Count: > 0 })
            return;
        json.WriteStartArray("logprobs");
        TokenProbabilities.Write(json, tokens);
        json.WriteEndArray();
    }
}
