using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Cli.Terminal;
using Shimmy.Engine.Grammars;
using Shimmy.Http;

namespace Shimmy.Cli.Options;

/// <summary>The files of <c>--grammar</c> and <c>--json-schema</c>, read and checked before a model is loaded.</summary>
internal static class GrammarFiles
{
    /// <summary><c>--grammar</c>: the file's grammar, if it parses.</summary>
    public static Grammar OfGrammar(OptionValue file)
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

    /// <summary><c>--json-schema</c>: a grammar of the answers that satisfy the schema.</summary>
    public static Grammar OfSchema(OptionValue file)
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

    /// <summary>The text of a JSON schema that makes a grammar.</summary>
    public static string SchemaText(OptionValue file)
    {
        _ = OfSchema(file);
        return Content(file);
    }

    private static string Content(OptionValue file)
    {
        try
        {
            return File.ReadAllText(file.Text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"{file.Source}: {e.Message}");
        }
    }
}
