using ConsoleAppFramework;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli;

/// <summary>From the arguments to a command's exit code: the only place that talks to the argument parser.</summary>
internal static class CommandLine
{
    /// <summary>Every command by name; what is not here is refused before the parser sees it, which would show its help and exit 0.</summary>
    public static readonly IReadOnlyList<string> Commands = ["serve", "generate", "list", "discover", "probe", "bench", "gpu-info"];

    // The parser has no repeatable options; what is given more than once reaches the command as one text with this between the values.
    internal const char Separator = '\u001f';

    private static readonly string[] Repeatable = ["--api-key", "--alias", "--stop", "--lora"];

    /// <summary>Runs what the arguments ask for.</summary>
    /// <returns>One of <see cref="ExitCode"/>, or 130 where the user interrupted.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        Environment.ExitCode = ExitCode.Success;
        ConsoleApp.Log = text => Printer.Line(HelpText.Arrange(args.Length > 0 ? args[0] : "", text));
        // For what is wrong before a command's filter runs: a global option.
        ConsoleApp.LogError = message => Environment.ExitCode = Refuse(args, UsageException.FromParser(message));
        // The parser ends the process this long after a signal; a server drains first and bounds that itself.
        ConsoleApp.Timeout = args is ["serve", ..] ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(5);
        try
        {
            if (args.Length > 0 && args[0] is not ("-h" or "--help" or "--version") && !Commands.Contains(args[0]))
                throw new UsageException($"unknown command '{args[0]}'; there are {string.Join(", ", Commands)} (shimmy --help)");
            args = Join(args);
        }
        catch (UsageException e)
        {
            return Refuse(args, e);
        }

        var app = ConsoleApp.Create();
        // The parser reads names and descriptions from these very calls while it is compiled, so they stand here and not in TuningOption.
        app.ConfigureGlobalOptions((ref ConsoleApp.GlobalOptionsBuilder builder) => new GlobalOptions(
            ModelDirs: builder.AddGlobalOption<string?>("--model-dirs", "DIR;DIR — More folders to look for models in, beside SHIMMY_MODEL_PATHS"),
            Ctx: builder.AddGlobalOption<string?>("--ctx", "N — Tokens one request may use, prompt and answer together; 0 takes the model's own (default 0)"),
            Threads: builder.AddGlobalOption<string?>("--threads", "N — Threads that decode; 0 measures at load which number is fastest (default 0)"),
            Template: builder.AddGlobalOption<string?>("--template", "NAME|FILE — Chat template in place of the model's own: a built-in family or a file (default: the model's own)"),
            Lora: builder.AddGlobalOption<string?>("--lora", "FILE[:SCALE] — A LoRA adapter to apply, with its strength (default 1); may be repeated"),
            Draft: builder.AddGlobalOption<string?>("--draft", "FILE|none — A smaller model of the same vocabulary that drafts tokens for speculative decoding; with none nothing is drafted (default: from what a text repeats, where that pays)"),
            LogLevel: builder.AddGlobalOption<string?>("--log-level", "LEVEL — trace, debug, information, warning, error, critical or none (default: information for serve, else warning)"),
            LogFormat: builder.AddGlobalOption<string?>("--log-format", "FORMAT — text or json, on stderr (default text)"))
        {
            Tuning = new Dictionary<string, string?>
            {
                ["gpu-backend"] = builder.AddGlobalOption<string?>("--gpu-backend", "auto|cpu|cuda|vulkan|opencl|metal — Who computes; auto takes the first of cuda, metal, vulkan, opencl and cpu that loads and has a device (default auto)"),
                ["device"] = builder.AddGlobalOption<string?>("--device", "NAME,NAME — Devices to use, as gpu-info names them (default: all GPUs of the backend)"),
                ["gpu-layers"] = builder.AddGlobalOption<string?>("--gpu-layers", "N|auto — Layers to put on the GPU; auto takes as many as its free memory holds (default: all where a GPU is used)"),
                ["split-mode"] = builder.AddGlobalOption<string?>("--split-mode", "none|layer|row|tensor — How several devices share a model (default layer)"),
                ["tensor-split"] = builder.AddGlobalOption<string?>("--tensor-split", "N,N — The share of each device (default: by free memory)"),
                ["main-gpu"] = builder.AddGlobalOption<string?>("--main-gpu", "N — The device that has all with --split-mode none, counted from 0 (default 0)"),
                ["cpu-moe"] = builder.AddGlobalOption<bool>("--cpu-moe", "Keep all experts of a mixture-of-experts model on the CPU") ? "true" : null,
                ["n-cpu-moe"] = builder.AddGlobalOption<string?>("--n-cpu-moe", "N — Keep the experts of the first N layers on the CPU"),
                ["flash-attn"] = builder.AddGlobalOption<string?>("--flash-attn", "auto|on|off — Compute attention in one fused step (default auto: where the device can)"),
                ["cache-type-k"] = builder.AddGlobalOption<string?>("--cache-type-k", "TYPE — Type of the cached keys: f16, f32, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0 or q5_1 (default f16)"),
                ["cache-type-v"] = builder.AddGlobalOption<string?>("--cache-type-v", "TYPE — Type of the cached values, as for keys; those below 16 bits need flash attention (default f16)"),
                ["mmap"] = builder.AddGlobalOption<string?>("--mmap", "on|off — Map the file into memory instead of reading it (default: llama.cpp decides)"),
                ["mlock"] = builder.AddGlobalOption<bool>("--mlock", "Keep the system from swapping the model out") ? "true" : null,
                ["numa"] = builder.AddGlobalOption<string?>("--numa", "distribute|isolate|numactl — How threads and memory spread over NUMA nodes (default: nothing is done about them)"),
                ["override-kv"] = builder.AddGlobalOption<string?>("--override-kv", "KEY=TYPE:VALUE — Metadata of the file to replace, with commas between them; TYPE is int, float, bool or str"),
                ["rope-scaling"] = builder.AddGlobalOption<string?>("--rope-scaling", "none|linear|yarn — How positions beyond the training context are scaled (default: the model's own)"),
                ["rope-scale"] = builder.AddGlobalOption<string?>("--rope-scale", "N — Stretch the context N times"),
                ["rope-freq-base"] = builder.AddGlobalOption<string?>("--rope-freq-base", "N — RoPE's base frequency (default: the model's own)"),
                ["rope-freq-scale"] = builder.AddGlobalOption<string?>("--rope-freq-scale", "N — Factor on RoPE's frequencies: 1/N stretches the context N times"),
                ["yarn-orig-ctx"] = builder.AddGlobalOption<string?>("--yarn-orig-ctx", "N — YaRN: tokens of context that the model was trained with (default: the model's own)"),
                ["yarn-ext-factor"] = builder.AddGlobalOption<string?>("--yarn-ext-factor", "N — YaRN: mix of extrapolation, 0 to 1; 0 interpolates alone (default -1: the model's own)"),
                ["yarn-attn-factor"] = builder.AddGlobalOption<string?>("--yarn-attn-factor", "N — YaRN: factor on the magnitude of attention; needs --yarn-ext-factor 0"),
                ["yarn-beta-slow"] = builder.AddGlobalOption<string?>("--yarn-beta-slow", "N — YaRN: correction of the low dimensions (alpha)"),
                ["yarn-beta-fast"] = builder.AddGlobalOption<string?>("--yarn-beta-fast", "N — YaRN: correction of the high dimensions (beta)"),
            },
        });
        app.UseFilter<FailureFilter>();
        app.Add("serve", ServeCommand.RunAsync);
        app.Add("generate", GenerateCommand.RunAsync);
        app.Add("list", ListCommand.RunAsync);
        app.Add("discover", DiscoverCommand.RunAsync);
        app.Add("probe", ProbeCommand.RunAsync);
        app.Add("bench", BenchCommand.RunAsync);
        app.Add("gpu-info", GpuInfoCommand.RunAsync);
        await app.RunAsync(args);
        return Environment.ExitCode;
    }

    private static int Refuse(string[] args, UsageException e)
    {
        Printer.Error(args.Length > 0 && Commands.Contains(args[0]) ? args[0] : "", e.Message);
        return ExitCode.Usage;
    }

    /// <summary>
    /// What the parser gets: options under its own names, the values of repeatable ones joined. Refuses any other option given twice, of
    /// which the parser would take the last.
    /// </summary>
    internal static string[] Join(string[] args)
    {
        var joined = new List<string>(args.Length);
        var values = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < args.Length; i++)
        {
            var name = args[i];
            if (!name.StartsWith("--", StringComparison.Ordinal) || name.Length == 2)
            {
                joined.Add(name);
                if (name == "--")
                    return [.. joined, .. args[(i + 1)..]];
                continue;
            }
            if (!Repeatable.Contains(name, StringComparer.OrdinalIgnoreCase) || i + 1 == args.Length)
            {
                if (!values.TryAdd(name, -1))
                    throw new UsageException($"{name}: given twice");
                joined.Add(OptionAliases.ToParser(name));
                continue;
            }
            i++;
            if (values.TryGetValue(name, out var at))
            {
                joined[at] += Separator + args[i];
                continue;
            }
            joined.Add(name);
            values.Add(name, joined.Count);
            joined.Add(args[i]);
        }
        return [.. joined];
    }
}
