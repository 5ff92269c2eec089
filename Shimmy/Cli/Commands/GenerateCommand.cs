using System.Globalization;
using System.Text;
using ConsoleAppFramework;
using Microsoft.Extensions.Logging;
using Shimmy.Api.Native;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>generate</c>: one answer on stdout, and nothing else there.</summary>
internal static partial class GenerateCommand
{
    private const int LongestPrompt = 64 << 20;

    /// <summary>Generates one answer; the chat template is applied unless --raw</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="name">NAME — A registered or discovered name, or the path of a file</param>
    /// <param name="prompt">TEXT — What to answer or, with --raw, to go on with; - reads it from stdin</param>
    /// <param name="system">TEXT — What the model is told to be</param>
    /// <param name="raw">Take the prompt as it is, without the chat template</param>
    /// <param name="maxTokens">N — Most tokens to generate (default 64)</param>
    /// <param name="temperature">X — Temperature, 0 takes the most likely token each time (default 0.7)</param>
    /// <param name="topK">N — Keep this many most likely tokens, 0 keeps all (default 40)</param>
    /// <param name="topP">X — Keep the most likely tokens of this share together, 0 to 1 (default 0.9)</param>
    /// <param name="minP">X — Drop tokens less likely than this share of the most likely one, 0 to 1 (default 0.05)</param>
    /// <param name="typicalP">X — Locally typical sampling, 0 to 1; 1 is off (default 1)</param>
    /// <param name="topNSigma">X — Keep tokens within this many standard deviations of the best; negative is off (default -1)</param>
    /// <param name="xtcProbability">X — Chance of excluding the top choices, 0 to 1 (default 0)</param>
    /// <param name="xtcThreshold">X — Least probability of what XTC may exclude, 0 to 1 (default 0.1)</param>
    /// <param name="repeatPenalty">X — Divides the logits of tokens seen before; 1 is off (default 1.1)</param>
    /// <param name="repeatLastN">N — How many last tokens the penalties look at; 0 is off, -1 all (default 64)</param>
    /// <param name="frequencyPenalty">X — Subtracted once per earlier occurrence, -2 to 2 (default 0)</param>
    /// <param name="presencePenalty">X — Subtracted where a token occurred before, -2 to 2 (default 0)</param>
    /// <param name="dryMultiplier">X — DRY repetition penalty; 0 is off (default 0)</param>
    /// <param name="dryBase">X — Base of DRY's exponential (default 1.75)</param>
    /// <param name="dryAllowedLength">N — Longest repetition that DRY leaves alone, in tokens (default 2)</param>
    /// <param name="dryPenaltyLastN">N — How far back DRY looks, in tokens; 0 is off, -1 all (default -1)</param>
    /// <param name="mirostat">N — 1 Mirostat, 2 Mirostat 2.0, 0 off (default 0)</param>
    /// <param name="mirostatTau">X — Mirostat's target entropy (default 5)</param>
    /// <param name="mirostatEta">X — Mirostat's learning rate (default 0.1)</param>
    /// <param name="seed">N — Seed of the random numbers (default: a random one, reported)</param>
    /// <param name="stop">TEXT — Ends the answer and is not part of it; may be repeated</param>
    /// <param name="ignoreEos">Go on where the model would end</param>
    /// <param name="jsonSchema">FILE — JSON schema that the answer must satisfy</param>
    /// <param name="grammar">FILE — GBNF grammar that the answer must match</param>
    /// <param name="stream">Print the answer while it is generated</param>
    /// <param name="noStream">Print the answer when it is complete (default)</param>
    /// <param name="cancellation">The user interrupts.</param>
    public static async Task RunAsync(
        ConsoleAppContext context,
        [Argument, NotAnOption] string? name = null,
        string? prompt = null,
        string? system = null,
        bool raw = false,
        string? maxTokens = null,
        string? temperature = null,
        string? topK = null,
        string? topP = null,
        string? minP = null,
        string? typicalP = null,
        string? topNSigma = null,
        string? xtcProbability = null,
        string? xtcThreshold = null,
        string? repeatPenalty = null,
        string? repeatLastN = null,
        string? frequencyPenalty = null,
        string? presencePenalty = null,
        string? dryMultiplier = null,
        string? dryBase = null,
        string? dryAllowedLength = null,
        string? dryPenaltyLastN = null,
        string? mirostat = null,
        string? mirostatTau = null,
        string? mirostatEta = null,
        string? seed = null,
        string? stop = null,
        bool ignoreEos = false,
        string? jsonSchema = null,
        string? grammar = null,
        bool stream = false,
        bool noStream = false,
        CancellationToken cancellation = default)
    {
        var reader = OptionReader.ForProcess;
        var options = CommandOptions.Read(context.GlobalOptions, reader);
        options = options with
        {
            Raw = reader.Flag("--raw", raw),
            System = reader.Text("--system", system),
            MaxTokens = reader.Whole("--max-tokens", maxTokens, options.MaxTokens, least: 1),
            Stream = StreamOf(reader, stream, noStream),
            Sampling = SamplingArguments.Read(reader, GenerateRequestBody.Defaults,
                ("--temperature", temperature), ("--top-k", topK), ("--top-p", topP), ("--min-p", minP), ("--typical-p", typicalP),
                ("--top-n-sigma", topNSigma), ("--xtc-probability", xtcProbability), ("--xtc-threshold", xtcThreshold),
                ("--repeat-penalty", repeatPenalty), ("--repeat-last-n", repeatLastN), ("--frequency-penalty", frequencyPenalty),
                ("--presence-penalty", presencePenalty), ("--dry-multiplier", dryMultiplier), ("--dry-base", dryBase),
                ("--dry-allowed-length", dryAllowedLength), ("--dry-penalty-last-n", dryPenaltyLastN), ("--mirostat", mirostat),
                ("--mirostat-tau", mirostatTau), ("--mirostat-eta", mirostatEta), ("--seed", seed), ("--stop", stop),
                ("--ignore-eos", ignoreEos ? "true" : null)),
        };
        if (options.Raw && options.System is not null)
            throw new UsageException("--system and --raw exclude each other: without the chat template there is no system message");
        options = options with
        {
            Grammar = GrammarFiles.Read(reader.Find("--grammar", grammar), reader.Find("--json-schema", jsonSchema)),
            Prompt = await ReadPromptAsync(reader.Text("--prompt", prompt), cancellation),
        };

        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var model = await ModelContext.Create(options, reader).LoadAsync(name, loggers, cancellation);
        await PrintAsync(Run(model, options, loggers.CreateLogger("shimmy"), cancellation), options.Stream, loggers.CreateLogger("generate"));
    }

    private static bool StreamOf(OptionReader reader, bool stream, bool noStream)
    {
        if (stream && noStream)
            throw new UsageException("--stream and --no-stream exclude each other");
        return !noStream && reader.Flag("--stream", stream);
    }

    private static IAsyncEnumerable<OutputEvent> Run(ILoadedModel model, CommandOptions options, ILogger logger, CancellationToken cancellation)
    {
        var sampling = options.Sampling with { MaxTokens = options.MaxTokens };
        if (options.Raw)
        {
            var request = new CompletionRequest { Prompt = Prompt.FromText(options.Prompt), Options = sampling, Grammar = options.Grammar };
            return ChatPipeline.CompleteAsync(new ModelLease(model), request, cancellation);
        }
        var messages = new List<ChatMessage>();
        if (options.System is { } system)
            messages.Add(new ChatMessage { Role = "system", Content = [new ContentPart(system)] });
        messages.Add(new ChatMessage { Role = "user", Content = [new ContentPart(options.Prompt)] });
        return ChatPipeline.ChatAsync(new ModelLease(model), new ChatRequest { Messages = messages, Options = sampling, Grammar = options.Grammar }, cancellation, logger);
    }

    private static async Task PrintAsync(IAsyncEnumerable<OutputEvent> events, bool stream, ILogger logger)
    {
        var answer = new StringBuilder();
        var seed = 0u;
        await foreach (var outputEvent in events)
        {
            seed = outputEvent.Start?.Seed ?? seed;
            if (stream)
                Printer.Text(outputEvent.Text);
            else
                answer.Append(outputEvent.Text);
            if (outputEvent.End is not { } end)
                continue;
            Printer.Text(answer.ToString());
            Printer.EndText();
            LogGenerated(logger, end.Usage.CompletionTokens, end.Usage.PromptTokens, end.Timings.PrefillMilliseconds,
                end.Timings.DecodeMilliseconds, end.Reason == FinishReason.Stop ? "stop" : "length", seed);
            Printer.Remark(string.Create(CultureInfo.InvariantCulture,
                $"[{end.Usage.CompletionTokens} tokens in {end.Timings.DecodeMilliseconds / 1000:F2} s, seed {seed}]"));
        }
    }

    private static async Task<string> ReadPromptAsync(string? given, CancellationToken cancellation)
    {
        if (given is null)
            throw new UsageException("--prompt is missing: a text, or - to read it from stdin");
        if (given != "-")
            return given;
        using var input = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
        var text = new StringBuilder();
        var buffer = new char[64 * 1024];
        for (int count; (count = await input.ReadAsync(buffer, cancellation)) > 0;)
        {
            if (text.Append(buffer, 0, count).Length > LongestPrompt)
                throw new UsageException($"--prompt: stdin holds more than {LongestPrompt} characters");
        }
        return text.ToString();
    }

    [LoggerMessage(LogLevel.Information, "generated {Tokens} tokens after {PromptTokens} of prompt " +
        "({PrefillMilliseconds:F0} ms to the first, {DecodeMilliseconds:F0} ms after it), finish reason {Reason}, seed {Seed}")]
    private static partial void LogGenerated(
        ILogger logger, int tokens, int promptTokens, double prefillMilliseconds, double decodeMilliseconds, string reason, long seed);
}
