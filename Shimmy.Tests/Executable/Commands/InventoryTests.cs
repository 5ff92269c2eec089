using System.Text.RegularExpressions;
using Shimmy.Cli.Options;
using Shimmy.Tests.Cli.Options;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>
/// Holds the program against docs/inventory.md, the list of commands and options: nothing missing, nothing beside it.
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed partial class InventoryTests
{
    // What no issue has brought yet.
    private static readonly string[] AbsentCommands = [];

    private static readonly string[] AbsentOptions = ["--tls-cert", "--tls-key"];

    [TestMethod]
    public async Task Help_names_every_command_of_the_inventory_but_the_absent_ones()
    {
        var help = await ShimmyProcess.RunAsync(["--help"]);

        Assert.AreEqual(0, help.ExitCode, help.Errors);
        var commands = help.Output.Split("Commands:")[1].Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[0]);
        CollectionAssert.AreEquivalent(OptionTable.Commands.Select(command => command.Name).ToArray(), commands.ToArray());
        CollectionAssert.AreEquivalent(InventoryDocument.Read().Commands.ToArray(), commands.ToArray());
    }

    [TestMethod]
    public async Task The_help_of_each_command_names_its_options_but_the_absent_ones()
    {
        var document = InventoryDocument.Read();
        foreach (var command in OptionTable.Commands)
        {
            var help = await ShimmyProcess.RunAsync([command.Name, "--help"]);

            Assert.AreEqual(0, help.ExitCode, help.Errors);
            Assert.IsEmpty(help.Output.Split('\n').Where(line => line.Length > 100).ToList(), command.Name);
            var named = help.Output.Split('\n').SelectMany(line => Option().Matches(line.Split("   ")[0])).Select(match => match.Value);
            CollectionAssert.AreEquivalent(document.OptionsOf(command.Name).ToArray(), named.ToArray(), command.Name);
        }
    }

    [TestMethod]
    public async Task What_is_absent_is_unknown_and_not_a_stub()
    {
        foreach (var command in AbsentCommands)
        {
            var run = await ShimmyProcess.RunAsync([command]);
            Assert.AreEqual(2, run.ExitCode, command);
            Assert.Contains($"unknown command '{command}'", run.Errors);
        }
        foreach (var option in AbsentOptions)
        {
            var run = await ShimmyProcess.RunAsync(["list", option]);
            Assert.AreEqual(2, run.ExitCode, option);
            Assert.Contains($"unknown option {option}", run.Errors);
        }
    }

    [TestMethod]
    public void The_document_names_every_command_and_option_with_its_value()
    {
        var document = File.ReadAllText(Path.Join(Repository.Root, "docs", "inventory.md")).Replace("\\|", "|", StringComparison.Ordinal);
        foreach (var command in OptionTable.Commands)
        {
            Assert.Contains(command.Arguments is { } name ? $"`{command.Name} {name}`" : $"`{command.Name}`", document);
            foreach (var option in OptionTable.Of(command))
            {
                Assert.Contains(option.Value is null ? $"`{option.Name}`" : $"`{option.Name} {option.Value}", document);
                if (option.Letter is { } letter)
                    Assert.Contains($"`{letter}`", document);
            }
        }
    }

    // At the beginning of a line and after a comma; what a description mentions comes later.
    [GeneratedRegex("(?<=^  |, )--?[a-z-]+")]
    private static partial Regex Option();
}
