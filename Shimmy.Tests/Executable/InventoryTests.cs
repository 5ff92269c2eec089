using System.Text.RegularExpressions;
using Shimmy.Cli.Options;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Executable;

/// <summary>
/// Holds the program against the frozen list of commands and options: nothing missing but what is listed as absent, nothing beside it.
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed partial class InventoryTests
{
    private const string Shared =
        "--model-dirs --memory-budget --runtime --convert-cache --convert-type --gpu-backend --gpu-layers --cpu-moe --n-cpu-moe --ctx --threads " +
        "--template --lora --log-level --log-format " +
        "--device --split-mode --tensor-split --main-gpu --flash-attn --cache-type-k --cache-type-v --mmap --mlock --numa --override-kv --draft " +
        // "RoPE and YaRN options under llama.cpp's names".
        "--rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast " +
        "--mmproj --image-max-tokens";

    // "Sampling options": those of the requests, under the same names.
    private const string Sampling =
        "--temperature --top-k --top-p --min-p --typical-p --top-n-sigma --xtc-probability --xtc-threshold --repeat-penalty --repeat-last-n " +
        "--frequency-penalty --presence-penalty --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n " +
        "--mirostat --mirostat-tau --mirostat-eta --seed --stop --ignore-eos";

    private static readonly Dictionary<string, string> Inventory = new()
    {
        ["serve"] =
            "--bind --base-path --allow-host --model-path --parallel --keep-alive --max-loaded --api-key --cors --ready-file --alias --response-cache --record " +
            "--replay --replay-miss --request-timeout --queue --body-limit --log-prompts --verbose --media-pixels --media-urls " +
            "--media-cache --prefix-memory --prefix-store --prefix-store-size --tls-cert --tls-key " + Shared,
        ["exec"] = Shared,
        ["list"] = "-s --short --json " + Shared,
        ["discover"] = "--llm-only --json " + Shared,
        ["probe"] = "--json " + Shared,
        ["bench"] = "--max-tokens --prompt-tokens --parallel --json " + Shared,
        ["generate"] = "--prompt --image --media-pixels --system --raw --max-tokens --stream --no-stream --json-schema --grammar " + Sampling + " " + Shared,
        ["chat"] = Shared,
        ["convert"] = "-o --output --type --log-level --log-format",
        ["gpu-info"] = "--json --log-level --log-format",
        ["init"] = "-t --template -o --output -n --name --force",
    };

    // What no issue has brought yet. Each issue shortens these lists.
    private static readonly string[] AbsentCommands = ["exec", "chat", "init"];

    private static readonly string[] AbsentOptions =
    [
        "--tls-cert", "--tls-key",
    ];

    [TestMethod]
    public async Task Help_names_every_command_of_the_inventory_but_the_absent_ones()
    {
        var help = await ShimmyProcess.RunAsync(["--help"]);

        Assert.AreEqual(0, help.ExitCode, help.Errors);
        var commands = help.Output.Split("Commands:")[1].Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[0]);
        CollectionAssert.AreEquivalent(Inventory.Keys.Except(AbsentCommands).ToArray(), commands.ToArray());
    }

    [TestMethod]
    public async Task The_help_of_each_command_names_its_options_but_the_absent_ones()
    {
        foreach (var (command, options) in Inventory.Where(entry => !AbsentCommands.Contains(entry.Key)))
        {
            var help = await ShimmyProcess.RunAsync([command, "--help"]);

            Assert.AreEqual(0, help.ExitCode, help.Errors);
            var named = help.Output.Split("Options:")[1].Split('\n').SelectMany(line => Option().Matches(line.Split("   ")[0]))
                .Select(match => match.Value);
            CollectionAssert.AreEquivalent(options.Split(' ').Except(AbsentOptions).ToArray(), named.ToArray(), command);
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
            Assert.Contains(command.TakesName ? $"`{command.Name} NAME`" : $"`{command.Name}`", document);
            foreach (var option in OptionTable.Of(command.Is))
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
