using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Http;

namespace Shimmy.Cli.Commands;

/// <summary>The files of <c>--grammar</c> and <c>--json-schema</c>, read and checked before a model is loaded.</summary>
internal static class GrammarFiles
{
    /// <summary>The grammar that they ask for; null where neither is given. Throws <see cref="UsageException"/> naming the option or variable.</summary>
    public static Grammar? Read(OptionValue? grammar, OptionValue? schema)
    {
        if (grammar is not null && schema is not null)
            throw new UsageException("--grammar and --json-schema exclude each other");
        return grammar is { } text ? OfGrammar(text) : schema is { } json ? OfSchema(json) : null;
    }

    private static Grammar OfGrammar(OptionValue file)
    {
        var text = Content(file);
        try
        {
            return Grammar.Parse(text);
        }
        catch (GrammarException e)
        {
            throw new UsageException($"{file.Source}: {e.Message}");
        }
    }

    private static Grammar OfSchema(OptionValue file)
    {
        var text = Content(file);
        try
        {
            using var document = JsonDocument.Parse(text, JsonText.ReaderOptions);
            return AnswerGrammar.OfSchema(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or SchemaException)
        {
            throw new UsageException($"{file.Source}: {e.Message}");
        }
    }

    private static string Content(OptionValue file)
    {
        try
        {
            return File.ReadAllText(file.Value);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"{file.Source}: {e.Message}");
        }
    }
}
