using Microsoft.Extensions.Logging;
using Shimmy.Api.Native;
using Shimmy.Chat.Grammars;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Server;

namespace Shimmy.Cli.Options;

/// <summary>Every option of every command with its default. <see cref="OptionParser"/> fills it.</summary>
internal sealed record CommandOptions
{
    /// <summary>The argument: a model's name, or the path of its file; null where none was given.</summary>
    public string? Name { get; init; }

    /// <summary>The second argument: what is asked at once; null where none was given.</summary>
    public string? Text { get; init; }

    /// <summary>Whether <c>chat</c> goes on with the last conversation.</summary>
    public bool Continue { get; init; }

    /// <summary>The conversation that <c>chat</c> goes on with; null where none was named.</summary>
    public string? Resume { get; init; }

    /// <summary>Whether <c>chat</c> keeps the lines that were typed, and the conversation.</summary>
    public bool KeepsHistory { get; init; } = true;

    /// <summary>The sampling fields that <c>chat</c> was given; the others are the model's own.</summary>
    public IReadOnlyList<(SamplingField Field, object Value)> Asked { get; init; } = [];

    /// <summary>The JSON schema that the answers of <c>chat</c> must satisfy, as text; null where there is none.</summary>
    public string? Schema { get; init; }

    /// <summary>The arguments behind <c>--</c>: the command of <c>exec</c>, arguments for the client of <c>launch</c>.</summary>
    public IReadOnlyList<string> Rest { get; init; } = [];

    /// <summary>The options on the command line, with their values, in the order of the table; null is the value of a switch.</summary>
    public IReadOnlyList<(string Name, string? Value)> GivenOptions { get; init; } = [];

    /// <summary>The model that the command of <c>exec</c>, or a client, is to use; null takes the only one.</summary>
    public string? Model { get; init; }

    /// <summary>Whether nothing is said but what failed.</summary>
    public bool Quiet { get; init; }

    /// <summary>File that the log is appended to in place of stderr; null where there is none.</summary>
    public string? LogFile { get; init; }

    /// <summary>When output is coloured.</summary>
    public ColorUse Color { get; init; }

    /// <summary>The running server to ask; null looks for those of this user.</summary>
    public Uri? Url { get; init; }

    /// <summary>The key for the running server; null where it needs none.</summary>
    public string? ClientKey { get; init; }

    /// <summary>The template that <c>init</c> writes; null where none was given.</summary>
    public string? Deployment { get; init; }

    /// <summary>The name that <c>init</c> gives to what it writes.</summary>
    public string DeploymentName { get; init; } = "shimmy";

    /// <summary>Whether files that are there are written over.</summary>
    public bool Force { get; init; }

    /// <summary>Whether only what there is to choose from is shown.</summary>
    public bool ListsChoices { get; init; }

    /// <summary>Whether the result goes to stdout in place of files.</summary>
    public bool ToStdout { get; init; }

    /// <summary>Whether <c>launch</c> takes back what it wrote.</summary>
    public bool Undo { get; init; }

    /// <summary>Folders to look for models in beside those of the environment, separated by <c>;</c>.</summary>
    public string? ModelDirs { get; init; }

    /// <summary>Tokens one request may use; 0 takes the model's own; null leaves it to the model's settings.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Bytes of the machine's memory that all loaded models together may need; null leaves it to the configuration file.</summary>
    public long? MemoryBudget { get; init; }

    /// <summary>Threads that decode; 0 measures at load which number is fastest; null leaves it to the model's settings.</summary>
    public int? Threads { get; init; }

    /// <summary>Devices, caches, positions: the options of <see cref="TuningOption"/>.</summary>
    public LoadTuning Tuning { get; init; } = LoadTuning.None;

    /// <summary>Family, or full path of a file, of the chat template in place of the model's own.</summary>
    public string? Template { get; init; }

    /// <summary>LoRA adapters in place of those that a model is set up with.</summary>
    public IReadOnlyList<LoraSetting> Loras { get; init; } = [];

    /// <summary>The type of weights that Hugging Face folders are converted to.</summary>
    public string ConvertType { get; init; } = "auto";

    /// <summary>Full path of the folder for converted models; null where the user's cache has it.</summary>
    public string? ConvertCache { get; init; }

    /// <summary>Whether nothing is fetched from registries of models.</summary>
    public bool Offline { get; init; }

    /// <summary>Whether a model that a request names and that is not here is pulled.</summary>
    public bool PullsMissing { get; init; }

    /// <summary>Folder for the files of <c>pull</c>; null leaves it to the tool that they come from.</summary>
    public string? PullTo { get; init; }

    /// <summary>Whether <c>pack</c> verifies a file instead of writing one.</summary>
    public bool Verifies { get; init; }

    /// <summary>The file that <c>convert</c> or <c>pack</c> writes, or the folder of <c>init</c>; null: the command's default.</summary>
    public string? Output { get; init; }

    /// <summary>Full path of the projector, or <see cref="ModelSettings.NoProjector"/>; null takes the one that was found.</summary>
    public string? Projector { get; init; }

    /// <summary>Bytes of encoded pictures that a model keeps.</summary>
    public long MediaCacheBytes { get; init; } = 256L << 20;

    /// <summary>Bytes of the host's memory for states of prompts, a model; null lets the memory budget decide.</summary>
    public long? PrefixMemoryBytes { get; init; }

    /// <summary>Full path of the folder for states of prompts; null where none is kept.</summary>
    public string? PrefixStore { get; init; }

    /// <summary>Most bytes in that folder.</summary>
    public long PrefixStoreBytes { get; init; } = 16L << 30;

    /// <summary>Whether prompts of different API keys share what was computed.</summary>
    public bool ShareAmongClients { get; init; }

    /// <summary>The pictures of <c>generate</c> and <c>chat</c>, with their paths.</summary>
    public IReadOnlyList<(string Path, byte[] Bytes)> Images { get; init; } = [];

    /// <summary>The sounds of <c>generate</c> and <c>chat</c>, with their paths.</summary>
    public IReadOnlyList<(string Path, byte[] Bytes)> Sounds { get; init; } = [];

    /// <summary>Full path of the draft model; null where there is none.</summary>
    public string? Draft { get; init; }

    /// <summary>Whether tokens are drafted where that pays.</summary>
    public bool Speculate { get; init; } = true;

    /// <summary>Least severe entries that are logged.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Warning;

    /// <summary>Whether the log is JSON.</summary>
    public bool LogAsJson { get; init; }

    /// <summary>Requests one model answers at once.</summary>
    public int Parallel { get; init; } = 1;

    /// <summary>Requests that may wait for one model. Ollama's OLLAMA_MAX_QUEUE is the same.</summary>
    public int Queue { get; init; } = 512;

    /// <summary>A model file to serve beside those found.</summary>
    public string? ModelPath { get; init; }

    /// <summary>The one model of <c>llama-server</c>; null for other commands.</summary>
    public GivenModel? Given { get; init; }

    /// <summary>Further names of models, with wildcards or without, in their order.</summary>
    public IReadOnlyList<ModelAlias> Aliases { get; init; } = [];

    /// <summary>How <c>serve</c> listens and whom it lets in.</summary>
    public ServerOptions Server { get; init; } = new();

    /// <summary>
    /// Address that reports over ZeroMQ what is in the KV caches, and the option or variable that asks for it; null for none.
    /// </summary>
    public (string Source, string Address)? KvEvents { get; init; }

    /// <summary>Name of this server in the topics of <see cref="KvEvents"/>.</summary>
    public string KvEventsPod { get; init; } = Environment.MachineName;

    /// <summary>How long models stay in memory and how many.</summary>
    public ResidencyOptions Residency { get; init; } = new();

    /// <summary>The prompt of <c>generate</c>; <c>-</c> reads it from stdin; null where it is missing.</summary>
    public string? Prompt { get; init; }

    /// <summary>The system message.</summary>
    public string? System { get; init; }

    /// <summary>Whether the prompt is taken without the chat template.</summary>
    public bool Raw { get; init; }

    /// <summary>Whether the answer is printed while it is generated.</summary>
    public bool Stream { get; init; }

    /// <summary>GBNF grammar that the answer must match.</summary>
    public Grammar? Grammar { get; init; }

    /// <summary>How to sample; <see cref="MaxTokens"/> stands beside it.</summary>
    public GenerationOptions Sampling { get; init; } = GenerateRequestBody.Defaults;

    /// <summary>Tokens that <c>generate</c> and <c>bench</c> generate.</summary>
    public int MaxTokens { get; init; } = 64;

    /// <summary>Most tokens of an answer of <c>chat</c>; null is the context's.</summary>
    public int? MostTokens { get; init; }

    /// <summary>Tokens of the prompt of <c>bench</c>; null is 512, or what the context holds.</summary>
    public int? PromptTokens { get; init; }

    /// <summary>Whether the result is printed as JSON.</summary>
    public bool Json { get; init; }

    /// <summary>Whether <c>list</c> prints names only.</summary>
    public bool Short { get; init; }

    /// <summary>Whether <c>discover</c> leaves out models that are not language models.</summary>
    public bool LanguageModelsOnly { get; init; }

    /// <summary>The first option that was given to a command and <see cref="Option.NeedsOwnServer"/>; null where none was.</summary>
    public string? FirstForOwnServer(CommandSet command)
    {
        var rows = OptionTable.Of(OptionTable.Commands.First(one => one.Is == command)).ToList();
        foreach (var (name, _) in GivenOptions)
        {
            if (rows.Exists(row => row.Name == name && row.NeedsOwnServer))
                return name;
        }
        return null;
    }

    /// <summary>The defaults of a command.</summary>
    public static CommandOptions Of(CommandSet command) => command switch
    {
        CommandSet.Serve => new CommandOptions { Parallel = 4, LogLevel = LogLevel.Information },
        CommandSet.Exec or CommandSet.Launch or CommandSet.Init => new CommandOptions { Parallel = 4 },
        _ => new CommandOptions(),
    };
}

/// <summary>The model that <c>llama-server</c> serves, and how it splits its memory.</summary>
/// <param name="Path">Its file; null where it is named by a repository.</param>
/// <param name="Repository">Its repository on Hugging Face, of which the caches have a file; null where a file is given.</param>
/// <param name="File">The file in the repository; null for the only one, or the one that the repository's tag names.</param>
/// <param name="Name">The name that it is served under; null for that of its file.</param>
internal sealed record GivenModel(string? Path, string? Repository, string? File, string? Name)
{
    /// <summary>Whether there is none, and the models that are found are served.</summary>
    public bool IsNone => Path is null && Repository is null;

    /// <summary>Whether each slot has its share of the context; else all share one pool.</summary>
    public bool Splits { get; init; }

    /// <summary>Tokens of all slots together; 0 for the model's own context.</summary>
    public int Context { get; init; }

    /// <summary>Most tokens of a batch.</summary>
    public int BatchSize { get; init; } = 512;

    /// <summary>Values for what requests leave open.</summary>
    public RequestDefaults Defaults { get; init; } = RequestDefaults.None;
}
