using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using Shimmy.Chat;
using Shimmy.Chat.Media;
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
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        var prompt = await ReadPromptAsync(options.Prompt, cancellation);
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var model = await ModelContext.Create(options).LoadAsync(options.Name, loggers, cancellation);
        await PrintAsync(Run(model, prompt, options, loggers.CreateLogger("shimmy"), cancellation), options.Stream,
            loggers.CreateLogger("generate"));
    }

    private static IAsyncEnumerable<OutputEvent> Run(
        ILoadedModel model, string prompt, CommandOptions options, ILogger logger, CancellationToken cancellation)
    {
        var sampling = options.Sampling with { MaxTokens = options.MaxTokens };
        if (options.Raw)
        {
            var request = new CompletionRequest { Prompt = Prompt.FromText(prompt), Options = sampling, Grammar = options.Grammar };
            return ChatPipeline.CompleteAsync(new ModelLease(model), request, cancellation, logger: logger);
        }
        var messages = new List<ChatMessage>();
        if (options.System is { } system)
            messages.Add(new ChatMessage { Role = "system", Content = [new ContentPart(system)] });
        messages.Add(new ChatMessage
        {
            Role = "user",
            Content =
            [
                .. options.Images.Select(image =>
                    ContentPart.Of(new MediaSource(MediumKind.Picture, $"--image {image.Path}", image.Bytes))),
                .. options.Sounds.Select(sound =>
                    ContentPart.Of(new MediaSource(MediumKind.Sound, $"--audio {sound.Path}", sound.Bytes))),
                new ContentPart(prompt),
            ],
        });
        return ChatPipeline.ChatAsync(new ModelLease(model),
            new ChatRequest { Messages = messages, Options = sampling, Grammar = options.Grammar },
            cancellation, logger, media: new MediaLoader(options.Server.MediaPixels, new MediaFetch([])));
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

    private static async Task<string> ReadPromptAsync(string? given, CancellationToken cancellation) => given switch
    {
        null => throw new UsageException("--prompt is missing: a text, or - to read it from stdin"),
        "-" => await StandardStreams.ReadInputAsync("--prompt", cancellation),
        _ => given,
    };

    [LoggerMessage(LogLevel.Information, "generated {Tokens} tokens after {PromptTokens} of prompt " +
        "({PrefillMilliseconds:F0} ms to the first, {DecodeMilliseconds:F0} ms after it), finish reason {Reason}, seed {Seed}")]
    private static partial void LogGenerated(
        ILogger logger, int tokens, int promptTokens, double prefillMilliseconds, double decodeMilliseconds, string reason, long seed);
}
