using Microsoft.Extensions.Logging;
using Shimmy.Api.Native;
using Shimmy.Chat.Grammars;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Server;

namespace Shimmy.Cli.Options;

/// <summary>What the options that all commands share were given as, before defaults and environment; null where not given.</summary>
internal sealed record GlobalOptions(string? ModelDirs, string? Ctx, string? Threads, string? Template, string? Lora, string? Draft, string? LogLevel, string? LogFormat)
{
    /// <summary>The options of <c>Engine.TuningOption</c> by their names, a switch as <c>true</c>.</summary>
    public IReadOnlyDictionary<string, string?> Tuning { get; init; } = new Dictionary<string, string?>();
}

/// <summary>Every option of every command with its default. The command line, the environment and these defaults meet here, once.</summary>
internal sealed record CommandOptions
{
    /// <summary>Folders to look for models in beside those of the environment, separated by <c>;</c>; <c>--model-dirs</c>.</summary>
    public string? ModelDirs { get; init; }

    /// <summary>Tokens one request may use; 0 takes the model's own; null leaves it to the model's settings; <c>--ctx</c>.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Threads that decode; 0 measures at load which number is fastest; null leaves it to the model's settings; <c>--threads</c>.</summary>
    public int? Threads { get; init; }

    /// <summary>Devices, caches, positions; the options of <see cref="TuningOption"/>.</summary>
    public LoadTuning Tuning { get; init; } = LoadTuning.None;

    /// <summary>Family, or full path of a file, of the chat template in place of the model's own; <c>--template</c>.</summary>
    public string? Template { get; init; }

    /// <summary>LoRA adapters in place of those that a model is set up with; <c>--lora</c>.</summary>
    public IReadOnlyList<LoraSetting> Loras { get; init; } = [];

    /// <summary>Full path of the model that drafts; null where none does; <c>--draft</c>.</summary>
    public string? Draft { get; init; }

    /// <summary>Whether tokens are computed ahead where that pays; <c>--draft none</c> says no.</summary>
    public bool Speculate { get; init; } = true;

    /// <summary>Least severe entries that are logged; <c>--log-level</c>.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Warning;

    /// <summary>Whether the log is JSON; <c>--log-format</c>.</summary>
    public bool LogAsJson { get; init; }

    /// <summary>Requests one model answers at once; <c>serve</c> has <see cref="ServerParallel"/>; <c>--parallel</c>.</summary>
    public int Parallel { get; init; } = 1;

    /// <summary>Requests that may wait for a slot of one model; <c>--queue</c>.</summary>
    public int Queue { get; init; } = DefaultQueue;

    /// <summary>A model file to serve beside those found; <c>--model-path</c>.</summary>
    public string? ModelPath { get; init; }

    /// <summary>Further names of models, with wildcards or without, in their order; <c>--alias</c>.</summary>
    public IReadOnlyList<ModelAlias> Aliases { get; init; } = [];

    /// <summary>How <c>serve</c> listens and whom it lets in.</summary>
    public ServerOptions Server { get; init; } = new();

    /// <summary>How long models stay in memory and how many.</summary>
    public ResidencyOptions Residency { get; init; } = new();

    /// <summary>What <c>generate</c> answers or goes on with; <c>--prompt</c>.</summary>
    public string Prompt { get; init; } = "";

    /// <summary>What the model is told to be; <c>--system</c>.</summary>
    public string? System { get; init; }

    /// <summary>Whether the prompt is taken without the chat template; <c>--raw</c>.</summary>
    public bool Raw { get; init; }

    /// <summary>Whether the answer is printed while it is generated; <c>--stream</c>.</summary>
    public bool Stream { get; init; }

    /// <summary>GBNF grammar that the answer must match; the content of <c>--grammar</c>'s file, or made from <c>--json-schema</c>'s.</summary>
    public Grammar? Grammar { get; init; }

    /// <summary>How to sample; <see cref="MaxTokens"/> stands beside it.</summary>
    public GenerationOptions Sampling { get; init; } = GenerateRequestBody.Defaults;

    /// <summary>Tokens that <c>generate</c> and <c>bench</c> generate; <c>--max-tokens</c>.</summary>
    public int MaxTokens { get; init; } = 64;

    /// <summary>Tokens of the prompt of <c>bench</c>; null is <see cref="DefaultPromptTokens"/>, or what the context holds; <c>--prompt-tokens</c>.</summary>
    public int? PromptTokens { get; init; }

    /// <summary>Tokens of the prompt of <c>bench</c> where none are asked for.</summary>
    public const int DefaultPromptTokens = 512;

    /// <summary>Most threads that can be asked for, llama.cpp's GGML_MAX_N_THREADS.</summary>
    private const int MostThreads = 512;

    /// <summary>Requests one model answers at once where <c>serve</c> is not told otherwise.</summary>
    public const int ServerParallel = 4;

    /// <summary>Requests that may wait for a slot of one model where <c>serve</c> is not told otherwise; Ollama's OLLAMA_MAX_QUEUE.</summary>
    public const int DefaultQueue = 512;

    /// <summary>Most requests one model may answer at once, llama.cpp's LLAMA_MAX_SEQ.</summary>
    public const int MostParallel = 256;

    /// <summary>The options that all commands share; <paramref name="logLevel"/> is the command's default.</summary>
    public static CommandOptions Read(object? parsed, OptionReader reader, LogLevel logLevel = LogLevel.Warning)
    {
        var given = (GlobalOptions)parsed!;
        var defaults = new CommandOptions { LogLevel = logLevel };
        var (draft, speculate) = CompanionFiles.Draft(reader, given.Draft);
        return defaults with
        {
            ModelDirs = reader.Text("--model-dirs", given.ModelDirs),
            ContextLength = reader.WholeOrNull("--ctx", given.Ctx, least: 0),
            Threads = reader.WholeOrNull("--threads", given.Threads, least: 0, most: MostThreads),
            Tuning = TuningArguments.Read(given.Tuning, reader),
            Template = TemplateOption.Read(reader.Find("--template", given.Template)),
            Loras = CompanionFiles.Loras(reader, given.Lora),
            Draft = draft,
            Speculate = speculate,
            LogLevel = reader.Choice("--log-level", given.LogLevel, logLevel,
                ("trace", LogLevel.Trace), ("debug", LogLevel.Debug), ("information", LogLevel.Information), ("warning", LogLevel.Warning),
                ("error", LogLevel.Error), ("critical", LogLevel.Critical), ("none", LogLevel.None)),
            LogAsJson = reader.Choice("--log-format", given.LogFormat, defaults.LogAsJson, ("text", false), ("json", true)),
        };
    }
}
