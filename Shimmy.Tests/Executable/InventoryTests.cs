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
    // What the commands that print have.
    private const string Log = "--color --log-level --log-format";

    private const string Shared =
        "--model-dirs --memory-budget --runtime --convert-cache --convert-type --gpu-backend --gpu-layers --cpu-moe --n-cpu-moe --ctx --threads " +
        "--template --lora " + Log + " " +
        "--device --split-mode --tensor-split --main-gpu --flash-attn --cache-type-k --cache-type-v --mmap --mlock --numa --override-kv --draft " +
        // "RoPE and YaRN options under llama.cpp's names".
        "--rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast " +
        "--mmproj --image-max-tokens";

    // "Sampling options": those of the requests, under the same names.
    private const string Sampling =
        "--temperature --top-k --top-p --min-p --typical-p --top-n-sigma --xtc-probability --xtc-threshold --repeat-penalty --repeat-last-n " +
        "--frequency-penalty --presence-penalty --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n " +
        "--mirostat --mirostat-tau --mirostat-eta --seed --stop --ignore-eos";

    // llama-server's, as its own parser knows them; what has no effect is named too, since scripts give it.
    private const string OfLlamaServer =
        "-m --model -hf -hfr --hf-repo -hff --hf-file -a --alias --tags --lora --lora-scaled --lora-init-without-apply -mm --mmproj " +
        "--no-mmproj --no-mmproj-auto --mmproj-auto --image-max-tokens -md --model-draft --spec-draft-model --host --port --api-prefix " +
        "--api-key --api-key-file --cors-origins -to --timeout --sse-ping-interval --sleep-idle-seconds --metrics --props --slots " +
        "--no-slots --slot-save-path --embedding --embeddings --rerank --reranking -v --verbose --log-verbose -lv --verbosity " +
        "--log-verbosity --log-disable --log-jsonl --offline --no-ui --no-webui --ui --webui -c --ctx-size -np --parallel -kvu " +
        "--kv-unified -no-kvu --no-kv-unified -b --batch-size -ub --ubatch-size -t --threads -ngl --gpu-layers --n-gpu-layers -dev " +
        "--device -sm --split-mode -ts --tensor-split -mg --main-gpu -cmoe --cpu-moe -ncmoe --n-cpu-moe -fa --flash-attn -ctk " +
        "--cache-type-k -ctv --cache-type-v --mmap --no-mmap --mlock --numa --override-kv --rope-scaling --rope-scale --rope-freq-base " +
        "--rope-freq-scale --yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast --context-shift " +
        "--no-context-shift --keep --cache-prompt --no-cache-prompt --spm-infill -n --predict --n-predict -s --seed --temp " +
        "--temperature --top-k --top-p --min-p --top-nsigma --top-n-sigma --typical --typical-p --xtc-probability --xtc-threshold " +
        "--repeat-last-n --repeat-penalty --presence-penalty --frequency-penalty --dry-multiplier --dry-base --dry-allowed-length " +
        "--dry-penalty-last-n --dry-sequence-breaker --dynatemp-range --dynatemp-exp --mirostat --mirostat-lr --mirostat-ent " +
        "--ignore-eos --samplers --sampler-seq --sampling-seq -r --reverse-prompt --jinja --no-jinja --chat-template " +
        "--chat-template-file --chat-template-kwargs --reasoning-format -rea --reasoning --reasoning-budget --reasoning-effort " +
        "--prefill-assistant --no-prefill-assistant --spec-type --spec-draft-n-max --spec-draft-n-min --draft-max --draft-min " +
        "--spec-draft-p-min --draft-p-min --spec-draft-p-split --draft-p-split -cb --cont-batching -nocb --no-cont-batching --swa-full " +
        "--warmup --no-warmup --perf --no-perf --log-prefix --no-log-prefix --log-timestamps --no-log-timestamps --log-colors -cram " +
        "--cache-ram --cache-reuse --cache-idle-slots --no-cache-idle-slots -ctxcp --ctx-checkpoints --swa-checkpoints -sps " +
        "--slot-prompt-similarity -tb --threads-batch --threads-http -kvo --kv-offload --repack --op-offload --mmproj-offload -fit " +
        "--fit --media-path --models-dir --models-max --models-autoload --no-models-autoload " +
        "--adaptive-target --adaptive-decay -bs --backend-sampling -dt --defrag-thold --poll --poll-batch --prio --prio-batch --pooling -nr " +
        "--no-repack --no-op-offload --no-host";

    // What serve has, and exec, launch and init with it.
    private const string Serving =
        "--model-path --parallel --keep-alive --max-loaded --cors --alias --response-cache --request-timeout --queue --body-limit " +
        "--pull-missing --offline --no-ui --media-pixels --media-urls --media-cache --prefix-memory --share-prefixes --prefix-store "
        + "--prefix-store-size --log-file " + Shared;

    private static readonly Dictionary<string, string> Inventory = new()
    {
        ["serve"] =
            "--bind --ollama --base-path --allow-host --api-key --ready-file --record --replay --replay-miss --log-prompts --verbose " +
            "--metrics-bind --metrics-key --metrics-names --kv-events --kv-events-pod --tls-cert --tls-key " + Serving,
        ["exec"] = "--model -q --quiet --record --replay --replay-miss --log-prompts --verbose " + Serving,
        ["launch"] = "--model -q --quiet --url --api-key --print --undo --bind --record --replay --replay-miss " + Serving,
        ["ps"] = "--url --api-key --json " + Log,
        ["stop"] = "--url --api-key " + Log,
        ["pull"] = "--to --list --offline " + Log,
        ["rm"] = Log,
        ["list"] = "-s --short --json " + Shared,
        ["discover"] = "--llm-only --json " + Shared,
        ["probe"] = "--json " + Shared,
        ["bench"] = "--max-tokens --prompt-tokens --parallel --json " + Shared,
        ["generate"] = "--prompt --image --audio --media-pixels --system --raw --max-tokens --stream --no-stream --json-schema --grammar "
            + Sampling + " " + Shared,
        ["chat"] = "--system -c --continue --resume --url --api-key --json --no-history --image --audio --max-tokens --json-schema "
            + Sampling + " " + Shared,
        ["pack"] = "-o --output --verify " + Log,
        ["convert"] = "-o --output --type " + Log,
        ["gpu-info"] = "--json " + Log,
        ["init"] = "-t -o --output -n --name --force --list --stdout --ollama --base-path --allow-host --log-prompts --verbose " + Serving,
        ["llama-server"] = OfLlamaServer,
        ["completion"] = "",
        ["man"] = "",
    };

    // What no issue has brought yet. Each issue shortens these lists.
    private static readonly string[] AbsentCommands = [];

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
            Assert.IsEmpty(help.Output.Split('\n').Where(line => line.Length > 100).ToList(), command);
            var named = help.Output.Split('\n').SelectMany(line => Option().Matches(line.Split("   ")[0])).Select(match => match.Value);
            CollectionAssert.AreEquivalent(options.Split(' ', StringSplitOptions.RemoveEmptyEntries).Except(AbsentOptions).ToArray(),
                named.ToArray(), command);
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
