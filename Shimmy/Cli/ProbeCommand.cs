using System.Diagnostics;
using System.Globalization;
using ConsoleAppFramework;
using Shimmy.Engine;

namespace Shimmy.Cli;

/// <summary>The command <c>probe</c>.</summary>
internal static class ProbeCommand
{
    /// <summary>Loads a model, decodes one token, unloads it; says what that needed</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="name">NAME — A registered or discovered name, or the path of a file</param>
    /// <param name="cancellation">The user interrupts.</param>
    public static async Task RunAsync(ConsoleAppContext context, [Argument, NotAnOption] string? name = null, CancellationToken cancellation = default)
    {
        var reader = OptionReader.ForProcess;
        var options = Options.Read(context.GlobalOptions, reader);
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var model = await ModelAccess.Create(options, reader).LoadAsync(name, loggers, cancellation);

        var started = Stopwatch.GetTimestamp();
        var request = new GenerationRequest
        {
            Prompt = Prompt.FromText("Hello"),
            Options = new GenerationOptions { MaxTokens = 1, Temperature = 0, IgnoreEos = true },
        };
        await foreach (var happened in model.GenerateAsync(request, cancellation))
            if (happened.IsToken)
                break;
        var decoded = Stopwatch.GetElapsedTime(started);

        var facts = model.Facts;
        Print("model", $"{model.Spec.Name} ({facts.Description})");
        Print("file", model.Spec.Path);
        Print("parameters", facts.ParameterCount.ToString(CultureInfo.InvariantCulture));
        Print("context", $"{facts.ContextLength} tokens (trained with {facts.TrainedContextLength})");
        Print("loaded in", Milliseconds(facts.LoadMilliseconds));
        Print("first token in", Milliseconds(decoded.TotalMilliseconds));
        Print("memory", $"{facts.ResidentBytes / (1024 * 1024)} MB resident, {facts.SizeBytes / (1024 * 1024)} MB of them tensors");
        Print("threads", $"{facts.Threads} to decode, {facts.BatchThreads} for prompts");
        Print("devices", string.Join(", ", facts.Devices.Select(device => $"{device.Name} ({device.Description})")));
        Print("llama.cpp", facts.LibraryVersion);
    }

    private static void Print(string what, string value) => Printer.Line($"{what,-15} {value}");

    private static string Milliseconds(double milliseconds) => milliseconds.ToString("F0", CultureInfo.InvariantCulture) + " ms";
}
