using System.Text.RegularExpressions;
using Shimmy.Cli.Options;
using Shimmy.Cli.Setup;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Cli.Options;

/// <summary>
/// What an option needs: the property that it sets, its row in <see cref="OptionTable"/>, and its place in docs/inventory.md. The rest
/// follows from the row.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class InventoryDocumentTests
{
    public static IEnumerable<object[]> Commands => OptionTable.Commands.Select(command => new object[] { command.Name });

    [TestMethod]
    public void The_document_has_a_row_for_each_command() => CollectionAssert.AreEquivalent(
        OptionTable.Commands.Select(command => command.Name).ToArray(), InventoryDocument.Read().Commands.ToArray());

    [TestMethod]
    [DynamicData(nameof(Commands))]
    public void The_sections_of_the_document_name_the_options_of_the_rows(string name) => CollectionAssert.AreEquivalent(
        NamesOf(CommandOf(name)).ToArray(), InventoryDocument.Read().OptionsOf(name).ToArray());

    [TestMethod]
    [DynamicData(nameof(Commands))]
    public void Help_completion_and_manual_have_what_a_row_says(string name)
    {
        var command = CommandOf(name);
        var (help, manual, completion) = (HelpText.Of(command), ManualPage.Text().Replace("\\-", "-", StringComparison.Ordinal),
            CompletionScript.Of("bash"));
        foreach (var option in NamesOf(command))
        {
            StringAssert.Contains(help, option);
            StringAssert.Contains(manual, option);
            StringAssert.Contains(completion, option);
        }
    }

    private static Command CommandOf(string name) => OptionTable.Commands.First(command => command.Name == name);

    private static IEnumerable<string> NamesOf(Command command) => command.Is == CommandSet.LlamaServer
        ? LlamaServerTable.All.SelectMany(option => option.Names)
        : OptionTable.Of(command).SelectMany(option => option.Letter is { } letter ? (string[])[letter, option.Name] : [option.Name]);
}

/// <summary>The commands and options of docs/inventory.md, read from its sections.</summary>
internal sealed partial class InventoryDocument
{
    private readonly Dictionary<string, string> _sections;

    private InventoryDocument(string text) => _sections = Regex.Split(text, "^##+ ", RegexOptions.Multiline).Skip(1)
        .ToDictionary(section => section[..section.IndexOf('\n', StringComparison.Ordinal)], section => section);

    /// <summary>The document of the checkout.</summary>
    public static InventoryDocument Read() => new(File.ReadAllText(Path.Join(Repository.Root, "docs", "inventory.md")));

    /// <summary>The commands of its first table.</summary>
    public IEnumerable<string> Commands => Rows("Commands").Skip(1).Select(row => Command().Match(row[0]).Groups[1].Value);

    /// <summary>The options of a command, short names included.</summary>
    public IEnumerable<string> OptionsOf(string command)
    {
        var loading = Of("Options of every command that loads models");
        // "The first seven take --color, --log-level and --log-format of them."
        string[] printing = [.. loading.Where(name => name is "--color" or "--log-level" or "--log-format")];
        var serving = loading.Concat(Of("serve"));
        const string running = "exec, launch, ps, stop";
        const string others = "list, discover, probe, bench, convert, pack, gpu-info";
        return command switch
        {
            "serve" => serving,
            "exec" => Without(serving, Section(running), "`exec` takes the options of `serve` but (.*?);").Concat(Of(running, command)),
            "launch" => Without(serving, Section(running), "`launch` those but (.*?)\\. With").Concat(Of(running, command)),
            "init" => Without(serving, Section("init"), "The options of `serve` but (.*?) may be given").Concat(Of("init")),
            "ps" or "stop" => Of(running, command).Concat(printing),
            "pull" => Of("pull, rm").Concat(printing),
            "rm" => printing,
            "generate" => NamesIn(Section("generate")).Concat(loading),
            "chat" => Of("generate").Concat(Of("chat")).Concat(Of(running, command)).Concat(loading),
            "list" or "discover" or "probe" or "bench" => Row(others, command).Concat(loading),
            "pack" or "convert" or "gpu-info" => Row(others, command).Concat(printing),
            "llama-server" => NamesIn(Section(command).Split('\n')
                .First(line => line.StartsWith("Its options: ", StringComparison.Ordinal))),
            _ => [],
        };
    }

    private string Section(string heading) => _sections[heading];

    // The first cells of a section's table; with a command, of the rows alone whose second cell names it.
    private List<string> Of(string heading, string? command = null) =>
    [
        .. Rows(heading).Where(row => command is null || row[1].Contains($"`{command}`", StringComparison.Ordinal))
            .SelectMany(row => NamesIn(row[0])),
    ];

    private IEnumerable<string> Row(string heading, string command) => NamesIn(Rows(heading).First(row => row[0] == $"`{command}`")[1]);

    private IEnumerable<string[]> Rows(string heading) => Section(heading).Split('\n')
        .Where(line => line.StartsWith("| ", StringComparison.Ordinal) && !line.StartsWith("| ---", StringComparison.Ordinal))
        .Select(line => Bar().Split(line)[1..^1].Select(cell => cell.Trim()).ToArray());

    // All but those that a sentence names; one that ends with a dash, and --kv-events, mean what begins so.
    private static IEnumerable<string> Without(IEnumerable<string> options, string section, string sentence)
    {
        var excluded = NamesIn(Regex.Match(section, sentence).Groups[1].Value).ToList();
        string[] fleets = ["--metrics-", "--kv-events"];
        return options.Where(option => !excluded.Contains(option)
            && !Array.Exists(fleets, begin => option.StartsWith(begin, StringComparison.Ordinal)));
    }

    private static IEnumerable<string> NamesIn(string text) => Name().Matches(text).Select(match => match.Groups[1].Value);

    [GeneratedRegex("^`([a-z-]+)")]
    private static partial Regex Command();

    [GeneratedRegex(@"`(--?[a-z][a-z0-9-]*)")]
    private static partial Regex Name();

    [GeneratedRegex(@"(?<!\\)\|")]
    private static partial Regex Bar();
}
