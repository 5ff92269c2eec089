using System.Globalization;
using System.Text.Json;
using ConsoleAppFramework;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>list</c>.</summary>
internal static class ListCommand
{
    /// <summary>Lists the models: registered by hand (SHIMMY_BASE_GGUF, SHIMMY_CONFIG), and found in ./models, in models beside the executable, in the folders of --model-dirs and SHIMMY_MODEL_PATHS, and where Ollama, Hugging Face, LM Studio and llama.cpp keep theirs</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="short">-s, One name a line</param>
    /// <param name="json">As JSON</param>
    /// <param name="cancellation">The user interrupts.</param>
    public static async Task RunAsync(ConsoleAppContext context, bool @short = false, bool json = false, CancellationToken cancellation = default)
    {
        var reader = OptionReader.ForProcess;
        var options = CommandOptions.Read(context.GlobalOptions, reader);
        @short = reader.Flag("--short", @short);
        json = reader.Flag("--json", json);
        if (@short && json)
            throw new UsageException("--short and --json exclude each other");
        var models = ModelContext.Create(options, reader);
        await models.ScanAsync(cancellation);
        var entries = models.Registry.Entries;
        if (json)
            Printer.Line(JsonSerializer.Serialize([.. entries.Select(ModelListItem.Of)], CliJson.Default.ModelListItemArray));
        else if (entries.Count == 0)
            Printer.Notice(context.CommandName, "no models were found; shimmy discover says where they are looked for");
        else if (@short)
            Printer.Line(string.Join('\n', entries.Select(entry => entry.Name)));
        else
            Printer.Line(Format(entries));
    }

    private static string Format(IReadOnlyList<ModelEntry> entries) => Table.Format(
        ["NAME", "SIZE MB", "PARAMETERS", "QUANTIZATION", "CONTEXT", "TYPE", "SOURCE", "FILE"],
        entries.Select(entry => new[]
        {
            entry.Name,
            (entry.SizeBytes / (1024 * 1024)).ToString(CultureInfo.InvariantCulture),
            entry.ParameterLabel,
            entry.Quantization,
            entry.ContextLength == 0 ? ModelEntry.Unknown : entry.ContextLength.ToString(CultureInfo.InvariantCulture),
            entry.Type.Label(),
            entry.Source == ModelSource.Registered ? "registered" : entry.Origin,
            entry.Path,
        }));
}
