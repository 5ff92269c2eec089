using System.Text.RegularExpressions;
using Shimmy.Cli.Options;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.House;

/// <summary>
/// What a table of the code or of a document lists by hand and the compiler does not check: the codes of errors, the registered commands.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class DocumentTests
{
    private static readonly SourceTree Tree = SourceTree.Read();

    [TestMethod]
    public void The_document_names_every_error_code_of_the_source()
    {
        var documented = DocumentedCodes().ToHashSet();
        var missing = from file in Tree.Files
                      from code in CodesOf(file.Value)
                      where !documented.Contains(code)
                      select $"{file.Key}: {code}";
        Assert.AreEqual("", string.Join('\n', missing.Distinct()));
    }

    [TestMethod]
    public void The_source_has_every_error_code_of_the_document()
    {
        var all = string.Join('\n', Tree.Files.Values);
        Assert.AreEqual("", string.Join('\n', DocumentedCodes().Where(code => !all.Contains($"\"{code}\"", StringComparison.Ordinal))));
    }

    [TestMethod]
    [DataRow("throw new ApiException(404, $\"no ({Quote(id)}), none\", \"gone\", \"id\");", "gone")]
    [DataRow("throw ApiException.BadField(Of(a, b), \"is bad\", isSound ? \"bad_sound\" : \"bad_image\");", "bad_sound bad_image")]
    [DataRow("_ => new ApiError(502, e.Message, \"failed\", null),", "failed")]
    [DataRow("Internal { get; } =\n        new(500, \"fault\", \"internal\", null);", "internal")]
    [DataRow("throw new ApiException(400, \"no code\");", "")]
    public void Codes_are_found_in_source(string source, string codes) => Assert.AreEqual(codes, string.Join(' ', CodesOf(source)));

    [TestMethod]
    public void Every_row_of_the_command_table_is_registered_with_the_parser() => CollectionAssert.AreEquivalent(
        OptionTable.Commands.Select(command => command.Name).ToArray(),
        Registration().Matches(Tree.Files["Shimmy/Cli/CommandLine.cs"]).Select(match => match.Groups[1].Value).ToArray());

    private static IEnumerable<string> DocumentedCodes()
    {
        var text = File.ReadAllText(Path.Join(Repository.Root, "docs", "inventory.md"));
        return ErrorRow().Matches(text[text.IndexOf("\n## Errors", StringComparison.Ordinal)..])
            .SelectMany(row => Code().Matches(row.Groups[1].Value)).Select(code => code.Groups[1].Value);
    }

    // The third argument, where it is a literal or one of two: a constant is found by the document alone.
    private static IEnumerable<string> CodesOf(string source) =>
        from call in Call().Matches(source)
        let arguments = Arguments(source, call.Index + call.Length).ToList()
        where arguments.Count > 2
        from code in CodeArgument().Match(arguments[2]).Groups.Values.Skip(1)
        where code.Success
        select code.Value;

    // The texts between the commas of a call, from behind its opening parenthesis.
    private static IEnumerable<string> Arguments(string source, int start)
    {
        var depth = 0;
        for (var at = start; at < source.Length; at++)
        {
            if (source[at] == '"')
            {
                at += Literal().Match(source, at).Length - 1;
                continue;
            }
            depth += source[at] switch { '(' or '[' or '{' => 1, ')' or ']' or '}' => -1, _ => 0 };
            if (depth < 0 || (depth == 0 && source[at] == ','))
            {
                yield return source[start..at].Trim();
                start = at + 1;
            }
            if (depth < 0)
                yield break;
        }
    }

    [GeneratedRegex(@"new Api(?:Exception|Error)\(|\bBadField\(|\bnew\((?=\d{3}, )")]
    private static partial Regex Call();

    [GeneratedRegex("""^(?:\w+ \? )?"([a-z]+(?:_[a-z]+)*)"(?: : "([a-z]+(?:_[a-z]+)*)")?$""")]
    private static partial Regex CodeArgument();

    [GeneratedRegex("\\G(?:\"\"\"+.*?\"\"\"+|\"(?:[^\"\\\\]|\\\\.)*\"|\")", RegexOptions.Singleline)]
    private static partial Regex Literal();

    [GeneratedRegex(@"^\| \d{3} \| ([^|]*) \|", RegexOptions.Multiline)]
    private static partial Regex ErrorRow();

    [GeneratedRegex("`([a-z_]+)`")]
    private static partial Regex Code();

    [GeneratedRegex("app\\.Add\\(\"([a-z-]+)\"")]
    private static partial Regex Registration();
}
