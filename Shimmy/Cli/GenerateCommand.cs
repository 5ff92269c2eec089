using System.Text;
using ConsoleAppFramework;
using Shimmy.Chat;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Cli;

/// <summary>The command <c>generate</c>.</summary>
internal static class GenerateCommand
{
    /// <summary>Generates one answer; only its text goes to stdout</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="name">NAME — A registered or discovered name, or the path of a file</param>
    /// <param name="prompt">TEXT — What to answer; - reads it from stdin</param>
    /// <param name="system">TEXT — What the model is told before</param>
    /// <param name="raw">Go on with the prompt as it is, without the chat template</param>
    /// <param name="maxTokens">N — Most tokens to generate (default 64)</param>
    /// <param name="temperature">T — 0 takes the most likely token each time (default 0.7)</param>
    /// <param name="topK">N — Keep this many most likely tokens; 0 is off (default 40)</param>
    /// <param name="topP">P — Keep the most likely tokens up to this probability; 1 is off (default 0.9)</param>
    /// <param name="minP">P — Drop tokens less likely than this share of the best; 0 is off (default 0.05)</param>
    /// <param name="repeatPenalty">X — Divides the logits of tokens seen before; 1 is off (default 1.1)</param>
    /// <param name="repeatLastN">N — Tokens the penalties look back at; -1 is all (default 64)</param>
    /// <param name="presencePenalty">X — Subtracted where a token occurred before, -2 to 2 (default 0)</param>
    /// <param name="frequencyPenalty">X — Subtracted for each time a token occurred, -2 to 2 (default 0)</param>
    /// <param name="seed">N — Seed of the random numbers (default: a random one)</param>
    /// <param name="stop">TEXT — Ends the answer; may be given several times</param>
    /// <param name="grammar">FILE — GBNF grammar that the answer must match</param>
    /// <param name="stream">Show the answer while it is made (the default)</param>
    /// <param name="noStream">Show the answer once it is whole</param>
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
        string? repeatPenalty = null,
        string? repeatLastN = null,
        string? presencePenalty = null,
        string? frequencyPenalty = null,
        string? seed = null,
        string? stop = null,
        string? grammar = null,
        bool stream = false,
        bool noStream = false,
        CancellationToken cancellation = default)
    {
        var reader = OptionReader.ForProcess;
        var options = Options.Read(context.GlobalOptions, reader);
        var defaults = Options.Sampling;
        var sampling = defaults with
        {
            MaxTokens = reader.Whole("--max-tokens", maxTokens, options.MaxTokens, least: 1),
            Temperature = reader.Number("--temperature", temperature, defaults.Temperature, t => t is >= 0 and <= 100, "a number from 0 to 100"),
            TopK = reader.Whole("--top-k", topK, defaults.TopK, least: 0),
            TopP = reader.Number("--top-p", topP, defaults.TopP, p => p is >= 0 and <= 1, "a number from 0 to 1"),
            MinP = reader.Number("--min-p", minP, defaults.MinP, p => p is >= 0 and <= 1, "a number from 0 to 1"),
            RepeatPenalty = reader.Number("--repeat-penalty", repeatPenalty, defaults.RepeatPenalty, p => p is >= 0.01f and <= 100, "a number from 0.01 to 100"),
            RepeatLastN = reader.Whole("--repeat-last-n", repeatLastN, defaults.RepeatLastN, least: -1),
            PresencePenalty = reader.Number("--presence-penalty", presencePenalty, 0, p => p is >= -2 and <= 2, "a number from -2 to 2"),
            FrequencyPenalty = reader.Number("--frequency-penalty", frequencyPenalty, 0, p => p is >= -2 and <= 2, "a number from -2 to 2"),
            Seed = reader.SeedOrNull("--seed", seed),
            Stop = reader.Repeated("--stop", stop),
        };
        if (reader.Flag("--stream", stream) && reader.Flag("--no-stream", noStream))
            throw new UsageException("--stream and --no-stream exclude each other");
        if (raw && system is not null)
            throw new UsageException("--system: without the chat template (--raw) there is no place for it");
        var text = await ReadPromptAsync(prompt, cancellation);
        var rules = grammar is null ? null : await ReadFileAsync("--grammar", grammar, cancellation);

        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var model = await ModelAccess.Create(options, reader).LoadAsync(name, loggers, cancellation);
        var answer = raw
            ? ChatPipeline.CompleteAsync(model, new GenerationRequest { Prompt = Prompt.FromText(text), Options = sampling, Grammar = rules }, cancellation)
            : ChatPipeline.ChatAsync(model, Conversation(system, text, sampling, rules), cancellation);
        await PrintAsync(answer, whole: reader.Flag("--no-stream", noStream));
    }

    private static async Task PrintAsync(IAsyncEnumerable<OutputEvent> answer, bool whole)
    {
        var held = new StringBuilder();
        await foreach (var happened in answer)
        {
            if (whole)
                held.Append(happened.Text);
            else if (happened.Text.Length > 0)
                Printer.Text(Encoding.UTF8.GetBytes(happened.Text));
        }
        if (held.Length > 0)
            Printer.Text(Encoding.UTF8.GetBytes(held.ToString()));
        // A shell's prompt should not stand behind the answer; a program that reads it wants the answer alone.
        if (!Console.IsOutputRedirected)
            Printer.Text("\n"u8);
    }

    private static ChatRequest Conversation(string? system, string text, GenerationOptions sampling, string? grammar)
    {
        var messages = new List<ChatMessage>();
        if (system is not null)
            messages.Add(new ChatMessage { Role = "system", Content = [new ContentPart(system)] });
        messages.Add(new ChatMessage { Role = "user", Content = [new ContentPart(text)] });
        return new ChatRequest { Messages = messages, Options = sampling, Grammar = grammar };
    }

    private static async Task<string> ReadPromptAsync(string? prompt, CancellationToken cancellation)
    {
        if (prompt is null)
            throw new UsageException("--prompt is missing: the text to answer, or - to read it from stdin");
        if (prompt != "-")
            return prompt;
        using var input = new StreamReader(Console.OpenStandardInput(), Encoding.UTF8);
        return await input.ReadToEndAsync(cancellation);
    }

    private static async Task<string> ReadFileAsync(string option, string file, CancellationToken cancellation)
    {
        try
        {
            return await File.ReadAllTextAsync(file, cancellation);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{option}: {e.Message}");
        }
    }
}
