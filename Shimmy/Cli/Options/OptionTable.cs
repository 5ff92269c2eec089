using Microsoft.Extensions.Logging;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.SafeTensors;
using Shimmy.Server;
using static Shimmy.Cli.Options.CommandSet;

namespace Shimmy.Cli.Options;

/// <summary>
/// Every command and every option, a row each. The options of loading a model and of sampling have their rows in
/// <see cref="TuningOption"/> and <see cref="SamplingField"/>, which requests and the configuration file read as well.
/// <code>
///   arguments  ──┐
///   SHIMMY_NAME ─┼─► OptionParser ──► a row's Set ──► CommandOptions ──► the command
///   OLLAMA_NAME ─┘                    a row's Limit ───────────────────► /diag
///                                     a row's Help, Default, Value ────► --help, the manual page, completion scripts
///   tests hold docs/inventory.md and, by ConfigField, the schema of the configuration file against the rows
/// </code>
/// </summary>
internal static class OptionTable
{
    /// <summary>Most requests that a model answers at once: llama.cpp's LLAMA_MAX_SEQ.</summary>
    public const int MostParallel = 256;

    /// <summary>The option that opens the listener for Ollama's clients, and lets Ollama's variables count.</summary>
    public const string OllamaOption = "--ollama";

    private static readonly OrderedDictionary<string, LogLevel> Levels = new(StringComparer.Ordinal)
    {
        ["trace"] = LogLevel.Trace,
        ["debug"] = LogLevel.Debug,
        ["information"] = LogLevel.Information,
        ["info"] = LogLevel.Information,
        ["warning"] = LogLevel.Warning,
        ["warn"] = LogLevel.Warning,
        ["error"] = LogLevel.Error,
        ["critical"] = LogLevel.Critical,
        ["none"] = LogLevel.None,
    };

    /// <summary>The commands, in the order of the help.</summary>
    public static IReadOnlyList<Command> Commands { get; } =
    [
        new(Serve, "serve", "Serves models over HTTP until SIGINT or SIGTERM, then lets running requests end")
        {
            NeedsOpenSsl = true, EndsItself = true,
        },
        new(Exec, "exec", "Starts a server, runs a command against it, and stops the server")
        {
            Details = "COMMAND starts when the server is ready, and finds it by OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL, " +
                "ANTHROPIC_AUTH_TOKEN, OLLAMA_HOST, SHIMMY_URL and SHIMMY_MODEL. Its exit code is that of exec; signals to exec reach it.",
            TakesRest = true, NeedsOpenSsl = true, EndsItself = true,
        },
        new(Launch, "launch", "Starts a coding agent with a model of this machine", "CLIENT")
        {
            Details = "Uses the server that runs, or one of its own that ends with the client. What a client's settings were is kept beside them.",
            ArgumentHelp = "The client",
            Words = EmbeddedTexts.Clients,
            TakesRest = true, NeedsOpenSsl = true, EndsItself = true,
        },
        new(Ps, "ps", "Lists the loaded models of the running servers"),
        new(Stop, "stop", "Unloads a model from the running servers", Command.Model),
        new(CommandSet.Chat, "chat", "A conversation with a model in the terminal; with TEXT or a pipe, one answer", Command.AnyModel)
        {
            Second = ("[TEXT]",
                "What to answer at once: only the answer goes to stdout. What a pipe brings follows it. With -c or --resume alone, "
                + "the only argument is TEXT"),
            Details = "Uses the server that runs, or an engine of its own where there is none, where it lacks the model, or where options of loading are "
                + "given. Conversations are kept, and -c goes on with the last. /help in a conversation shows its commands.",
            NeedsOpenSsl = true,
        },
        new(Pull, "pull", "Downloads a model from Hugging Face, Ollama's registry or a URL", Command.Model)
        {
            Details = "NAME is ORG/REPO:QUANT or hf.co/ORG/REPO of Hugging Face, MODEL:TAG of Ollama's library, ollama.com/USER/MODEL, or the URL of a " +
                ".gguf file. It goes where that tool keeps its own, so that both find it. An interrupted download resumes. HF_TOKEN, HF_ENDPOINT, " +
                "HF_HOME, OLLAMA_MODELS and HTTPS_PROXY count.",
            ArgumentHelp = "A model of a registry",
            NeedsOpenSsl = true,
        },
        new(Remove, "rm", "Removes a model that was pulled", Command.Model)
        {
            Details = "Only what pull has brought, and nothing that another model uses, too.",
            ArgumentHelp = "A model that was pulled",
        },
        new(Generate, "generate", "Generates one answer; applies the chat template unless --raw", Command.AnyModel) { NeedsOpenSsl = true },
        new(List, "list", "Lists the models")
        {
            Details = "Models are registered (SHIMMY_BASE_GGUF, SHIMMY_CONFIG), or found in ./models, in models beside the executable, in the folders of " +
                "--model-dirs and SHIMMY_MODEL_PATHS, and where Ollama, Hugging Face, LM Studio and llama.cpp keep theirs.",
        },
        new(Discover, "discover", "Looks for models again; shows where each was found and what was skipped")
        {
            Details = "Shows the adapters and projectors that belong to each model, too, and why a file was skipped.",
        },
        new(Probe, "probe", "Loads a model, decodes one token, unloads it; shows what that needed", Command.AnyModel),
        new(Bench, "bench", "Measures tokens per second and the time to the first token", Command.AnyModel) { NeedsOpenSsl = true },
        new(CommandSet.Convert, "convert", "Converts a Hugging Face folder of SafeTensors into a GGUF file", Command.Model)
        {
            Details = "NAME is the folder: config.json, tokenizer.json, model.safetensors. Served folders are converted by themselves, once.",
        },
        new(Pack, "pack", "Puts the program, its runtimes and a model into one file that runs as it is", Command.AnyModel)
        {
            Details = "For machines that files are copied to: ./FILE serve. Its first start unpacks it into the user's cache folder and checks every file.",
            NeedsOpenSsl = true,
        },
        new(CommandSet.LlamaServer, "llama-server", "Serves one model as llama-server would, with its options and variables")
        {
            NeedsOpenSsl = true, EndsItself = true,
        },
        new(GpuInfo, "gpu-info", "Shows the backends that really loaded, and their devices"),
        new(Init, "init", "Writes the files of a deployment, or of an application")
        {
            Details = "The options of serve that are given go into the files as they are. Files that are there are left alone unless --force.",
        },
        new(Completion, "completion", "Prints the completion script of a shell", "SHELL")
        {
            Details = "bash: source <(shimmy completion bash). zsh: into a file _shimmy of $fpath. fish: shimmy completion fish | source. "
                + "PowerShell: shimmy completion powershell | Out-String | Invoke-Expression.",
            ArgumentHelp = "The shell",
            Words = ["bash", "zsh", "fish", "powershell"],
        },
        new(Man, "man", "Prints the manual page; shimmy man | man -l - shows it"),
    ];

    /// <summary>The options by the headings of the help, in its order.</summary>
    public static IReadOnlyList<(string Heading, IReadOnlyList<Option> Options)> Sections { get; } =
    [
        ("Options", Own()),
        ("Sampling",
            [.. SamplingField.All.Where(field => field.Help is not null).SelectMany(field => (Option[])[Row(field), OfChat(field)])]),
        ("Loading of models", Loading()),
        ("Output and log", Log()),
    ];

    /// <summary>All options, in the order of the help.</summary>
    public static IEnumerable<Option> All => Sections.SelectMany(section => section.Options);

    /// <summary>The options that cannot be given together, by pairs, and why; empty where that goes without saying.</summary>
    public static IReadOnlyList<(string One, string Other, string Why)> Exclusive { get; } =
    [
        ("--image", "--raw", "only the chat template can place a picture in the prompt"),
        ("--audio", "--raw", "only the chat template can place a sound in the prompt"),
        ("--system", "--raw", "without the chat template there is no system message"),
        ("--grammar", "--json-schema", ""),
        ("--stream", "--no-stream", ""),
        ("--short", "--json", ""),
        ("--print", "--undo", ""),
        ("--continue", "--resume", ""),
        ("--pull-missing", "--offline", "nothing is fetched offline"),
        .. TuningOption.Exclusive.Select(pair => ("--" + pair.One, "--" + pair.Other, pair.Why)),
    ];

    /// <summary>The options of a command, in the order of the help.</summary>
    public static IEnumerable<Option> Of(Command command) => All.Where(command.Has);

    /// <summary>The limits that the options set, for <c>/diag</c>.</summary>
    public static IEnumerable<(string Name, double? Value)> LimitsOf(CommandOptions options)
    {
        foreach (var option in All)
        {
            if (option.Limit is { } limit)
                yield return (limit.Name, limit.Value(options));
        }
    }

    private static Option[] Own() =>
    [
        new("bind", "ADDRESS",
            "auto, PORT, HOST, HOST:PORT or unix:PATH; auto is SHIMMY_BIND_ADDRESS, or the first free port from 11435 of this machine",
            Serve, (o, v) => o with { Server = o.Server with { Binds = OptionForms.Addresses(v) } })
        {
            Default = "auto", IsRepeatable = true, NotOf = Exec | Init,
        },
        new("ollama", "[ADDRESS]",
            "Answer Ollama's clients on an address of their own, too, and take Ollama's variables (OLLAMA_KEEP_ALIVE …) where Shimmy's are not set",
            Serve, (o, v) => v.IsOff ? o : o with { Server = o.Server with { Ollama = OptionForms.Ollama(v) } })
        {
            Default = "off; without an address " + BindAddress.OllamaDefault, Ollama = ("OLLAMA_HOST", text => text), NotOf = Exec | Launch,
        },
        new("base-path", "PATH", "Path before all routes, as /llm, behind a proxy that leaves it on", Serve,
            (o, v) => o with { Server = o.Server with { BasePath = OptionForms.BasePath(v) } }) { NotOf = Exec | Launch },
        new("no-ui", null, "Leave out the page at /", Serve, (o, v) => o with { Server = o.Server with { Page = !v.Flag() } }),
        new("model-path", "FILE", "Serve this model file beside those found", Serve, (o, v) => o with { ModelPath = v.Text }),
        new("alias", "PATTERN=NAME", "Another name for a model, with * and ? as wildcards; NAME=* is the only model that is found", Serve,
            (o, v) => o with { Aliases = OptionForms.Aliases(v) })
        {
            IsRepeatable = true, ConfigField = "aliases",
        },
        new("parallel", "N", "Requests that one model answers at once", Serve, (o, v) => o with { Parallel = v.Whole(1, MostParallel) })
        {
            Default = "4", Limit = ("parallel", o => o.Parallel), Ollama = ("OLLAMA_NUM_PARALLEL", UnlessZero),
        },
        new("queue", "N", "Requests that may wait for one model; one more is refused with status 429", Serve,
            (o, v) => o with { Queue = v.Whole(0) })
        {
            Default = "512", Limit = ("queue", o => o.Queue), Ollama = ("OLLAMA_MAX_QUEUE", UnlessZero),
        },
        new("max-loaded", "N", "Most models in memory at once; 0 is no limit", Serve,
            (o, v) => o with { Residency = o.Residency with { MaxLoaded = v.Whole(0) } })
        {
            Default = "0", Limit = ("max_loaded", o => o.Residency.MaxLoaded > 0 ? o.Residency.MaxLoaded : null),
            Ollama = ("OLLAMA_MAX_LOADED_MODELS", UnlessZero),
        },
        new("keep-alive", "DURATION",
            "How long an idle model stays in memory: seconds, or 30s, 5m, 1h30m; 0 unloads at once, a negative one is for ever",
            Serve, (o, v) => o with { Residency = o.Residency with { KeepAlive = v.Duration(KeepAlive.Allowed) } })
        {
            Default = "5m", ConfigField = "keep_alive", Ollama = ("OLLAMA_KEEP_ALIVE", text => text),
            Limit = ("keep_alive_seconds", o => o.Residency.KeepAlive >= TimeSpan.Zero ? o.Residency.KeepAlive.TotalSeconds : null),
        },
        new("api-key", "KEY", "API key that lets a client in, its hash as sha256:HEX, or @FILE with a line NAME KEY for each",
            Serve, (o, v) => o with { Server = o.Server with { Keys = OptionForms.Keys(v) } })
        {
            Default = "no authentication", IsRepeatable = true, NotOf = LikeServe,
        },
        // These five are for servers among others, which none of a single command is.
        new("metrics-bind", "ADDRESS",
            "Answer /metrics, /v1/models and /health to everybody on an address of their own, as 9090 or 0.0.0.0:9090", Serve,
            (o, v) => o with { Server = o.Server with { MetricsBind = OptionForms.One(v) } }) { NotOf = LikeServe },
        new("metrics-key", "KEY", "Key that opens /metrics and nothing else, in the forms of --api-key", Serve,
            (o, v) => o with { Server = o.Server with { MetricsKeys = OptionForms.Keys(v) } })
        {
            IsRepeatable = true, NotOf = LikeServe,
        },
        new("metrics-names", "shimmy|vllm", "Names in /metrics: Shimmy's alone, or those by which vLLM is routed beside them", Serve,
            (o, v) => o with { Server = o.Server with { MetricsAsVllm = v.Choice("shimmy", "vllm") == 1 } })
        {
            Default = "shimmy", NotOf = LikeServe,
        },
        new("kv-events", "ADDRESS",
            "Publish over ZeroMQ (PUB) what is in the KV caches, for precise prefix routing, as 5557 or 0.0.0.0:5557", Serve,
            (o, v) => o with { KvEvents = OptionForms.OverTcp(OptionForms.One(v)) }) { NotOf = LikeServe },
        new("kv-events-pod", "NAME", "Name of this server in the topic kv@NAME@MODEL of --kv-events", Serve,
            (o, v) => o with { KvEventsPod = OptionForms.PodName(v) })
        {
            Default = "the machine's name", Needs = "--kv-events", NotOf = LikeServe,
        },
        new("allow-host", "NAME", "Name that the Host header may have on this machine, with * and ? as wildcards", Serve,
            (o, v) => o with { Server = o.Server with { AllowedHosts = OptionForms.Hosts(v) } })
        {
            Default = "names of this machine", IsRepeatable = true, NotOf = Exec | Launch,
        },
        new("cors", "ORIGIN", "Origin of web pages or apps that may call, as http://localhost:3000 or app://*; * for all, null for files",
            Serve, (o, v) => o with { Server = o.Server with { CorsOrigins = OptionForms.Origins(v) } })
        {
            Default = "pages of this machine", IsRepeatable = true,
            // Ollama's origins stand beside those that may call anyway.
            Ollama = ("OLLAMA_ORIGINS", text => $"{text},{string.Join(',', CorsMiddleware.OwnOrigins)}"),
        },
        new("body-limit", "BYTES", "Most bytes of a request's body or of a WebSocket message, as 512KiB or 64MiB",
            Serve, (o, v) => o with { Server = o.Server with { BodyLimit = v.Bytes(1024, int.MaxValue) } })
        {
            Default = "64MiB", Limit = ("body_bytes", o => o.Server.BodyLimit),
        },
        new("request-timeout", "DURATION", "How long a request may take: seconds, or 30s, 5m; 0 is no limit",
            Serve, (o, v) => o with { Server = o.Server with { RequestTimeout = OptionForms.Timeout(v) } })
        {
            Default = "0", Limit = ("request_timeout_seconds", o => o.Server.RequestTimeout?.TotalSeconds),
        },
        new("response-cache", "BYTES", "Size of the response cache, as 512KiB or 64MiB; 0 turns it off",
            Serve, (o, v) => o with { Server = o.Server with { ResponseCacheBytes = v.Bytes() } })
        {
            Default = "64MiB", Limit = ("response_cache_bytes", o => o.Server.ResponseCacheBytes),
        },
        new("media-pixels", "N", "Most pixels of a picture, width times height", Serve | Generate,
            (o, v) => o with { Server = o.Server with { MediaPixels = v.Whole(1) } })
        {
            Default = "25000000", Limit = ("media_pixels", o => o.Server.MediaPixels),
        },
        new("media-urls", "HOST,HOST", "Hosts, as NAME or NAME:PORT, that media are fetched from; private addresses never are", Serve,
            (o, v) => o with { Server = o.Server with { MediaHosts = OptionForms.HostsOfMedia(v) } }),
        new("media-cache", "BYTES", "Encoded pictures that a model keeps, as 64MiB; 0 keeps none", Serve,
            (o, v) => o with { MediaCacheBytes = v.Bytes() })
        {
            Default = "256MiB", Limit = ("media_cache_bytes", o => o.MediaCacheBytes),
        },
        new("prefix-memory", "BYTES|auto", "Host memory of a model for prompts that left the KV cache, and for checkpoints; 0 keeps none",
            Serve, (o, v) => o with { PrefixMemoryBytes = v.Text == "auto" ? null : v.Bytes() }) { Default = "auto" },
        new("share-prefixes", "key|all", "Which requests share computed prompts and cached answers: those of one API key, or all",
            Serve, (o, v) => o with { ShareAmongClients = v.Choice("key", "all") == 1 }) { Default = "key" },
        new("prefix-store", "DIR", "Keep computed prompts in this folder, across unloads and restarts", Serve,
            (o, v) => o with { PrefixStore = Path.GetFullPath(v.Text) })
        {
            WhyRefused = o => o is { PrefixStore: not null, PrefixMemoryBytes: 0 }
                ? "needs memory that states are read into, and --prefix-memory is 0" : null,
        },
        new("prefix-store-size", "BYTES", "Most bytes in the folder of --prefix-store, as 512MiB or 64GiB", Serve,
            (o, v) => o with { PrefixStoreBytes = v.Bytes(1) }) { Default = "16GiB", Needs = "--prefix-store" },
        new("record", "FILE", "Append every exchange to this file, for --replay", Serve,
            (o, v) => o with { Server = o.Server with { RecordFile = v.Text } }) { NotOf = Init },
        new("replay", "FILE", "Answer from a recording of --record, without a model", Serve,
            (o, v) => o with { Server = o.Server with { ReplayFile = v.Text } }) { NotOf = Init },
        new("replay-miss", "fail|pass", "A request that was not recorded: fail refuses it, pass asks the models",
            Serve, (o, v) => o with { Server = o.Server with { ReplayPasses = v.Choice("fail", "pass") == 1 } })
        {
            Default = "fail", Needs = "--replay", NotOf = Init,
        },
        new("log-prompts", null, "Log prompts as models read them", Serve,
            (o, v) => o with { Server = o.Server with { LogPrompts = v.Flag() } }) { NotOf = Launch },
        // Before --log-level, which wins.
        new("verbose", null, "Log as with --log-level debug", Serve, (o, v) => v.Flag() ? o with { LogLevel = LogLevel.Debug } : o)
        {
            NotOf = Launch,
        },
        new("ready-file", "FILE", "Write the address to this file once the server listens", Serve,
            (o, v) => o with { Server = o.Server with { ReadyFile = v.Text } }) { NotOf = LikeServe },

        new("pull-missing", null, "Pull a model that a request names and that is not here; the request gets status 202 until it is", Serve,
            (o, v) => o with { PullsMissing = v.Flag() }),
        new("offline", null, "Fetch nothing from registries of models", Serve | Pull, (o, v) => o with { Offline = v.Flag() }),
        new("to", "DIR", "Folder for the files alone, in place of the tool's own",
            Pull, (o, v) => o with { PullTo = Path.GetFullPath(v.Text) })
        {
            Default = "where Hugging Face's, Ollama's or llama.cpp's tools keep theirs",
        },
        new("list", null, "Show what a repository of Hugging Face has to choose from, and what fits this machine; pull nothing", Pull,
            (o, v) => o with { ListsChoices = v.Flag() }),

        new("model", "NAME", "Model that SHIMMY_MODEL names to the command or the client; exec loads it first", Exec | Launch,
            (o, v) => o with { Model = v.Text }) { Default = "the only one there is", NamesModel = true },
        new("quiet", null, "Print errors only", Exec | Launch, (o, v) => o with { Quiet = v.Flag() }) { Letter = "-q" },
        new("url", "URL", "The running server, as http://127.0.0.1:11435", Ps | Stop | Launch | CommandSet.Chat,
            (o, v) => o with { Url = OptionForms.Url(v) })
        {
            Default = "those that this user has started",
        },
        new("api-key", "KEY", "Key for the running server", Ps | Stop | Launch | CommandSet.Chat, (o, v) => o with { ClientKey = v.Text }),
        new("print", null, "Print the client's settings; write nothing and start nothing", Launch,
            (o, v) => o with { ToStdout = v.Flag() }),
        new("undo", null, "Put the client's settings back to what they were before", Launch, (o, v) => o with { Undo = v.Flag() }),
        new("template", "TEMPLATE", $"What to write: {string.Join(", ", EmbeddedTexts.Templates)}", Init,
            (o, v) => o with { Deployment = EmbeddedTexts.Templates[v.Choice([.. EmbeddedTexts.Templates])] })
        {
            Letter = "-t", Values = EmbeddedTexts.Templates,
        },
        new("output", "DIR", "Folder to write to", Init, (o, v) => o with { Output = v.Text }) { Letter = "-o", Default = "this folder" },
        new("name", "NAME", "Name of the service, the image or the application", Init,
            (o, v) => o with { DeploymentName = OptionForms.DeploymentName(v) }) { Letter = "-n", Default = "shimmy" },
        new("force", null, "Overwrite existing files", Init, (o, v) => o with { Force = v.Flag() }),
        new("list", null, "Show the templates", Init, (o, v) => o with { ListsChoices = v.Flag() }),
        new("stdout", null, "Print the files, write none", Init, (o, v) => o with { ToStdout = v.Flag() }),

        new("prompt", "TEXT", "What to answer or, with --raw, to go on with; - reads it from stdin", Generate,
            (o, v) => o with { Prompt = v.Text }),
        new("image", "FILE", "Picture to show before the prompt: PNG, JPEG, GIF or BMP", Generate | CommandSet.Chat,
            (o, v) => o with { Images = CompanionFiles.Media(v) }) { IsRepeatable = true },
        new("audio", "FILE", "Sound to play before the prompt: WAV, MP3 or FLAC", Generate | CommandSet.Chat,
            (o, v) => o with { Sounds = CompanionFiles.Media(v) }) { IsRepeatable = true },
        new("system", "TEXT", "System message", Generate | CommandSet.Chat, (o, v) => o with { System = v.Text }),
        new("raw", null, "Take the prompt as it is, without the chat template", Generate, (o, v) => o with { Raw = v.Flag() }),
        new("max-tokens", "N", "Most tokens to generate", Generate, (o, v) => o with { MaxTokens = v.Whole(1) }) { Default = "64" },
        new("json-schema", "FILE", "JSON schema that the answer must satisfy", Generate,
            (o, v) => o with { Grammar = GrammarFiles.OfSchema(v) }),
        new("grammar", "FILE", "GBNF grammar that the answer must match", Generate,
            (o, v) => o with { Grammar = GrammarFiles.OfGrammar(v) }),
        new("stream", null, "Print the answer while it is generated", Generate, (o, v) => o with { Stream = v.Flag() }),
        new("no-stream", null, "Print the answer when it is complete, as without --stream", Generate,
            (o, v) => v.Flag() ? o with { Stream = false } : o),

        new("continue", null, "Go on with the last conversation", CommandSet.Chat,
            (o, v) => o with { Continue = v.Flag() }) { Letter = "-c" },
        new("resume", "ID", "Go on with this conversation; /load in a conversation shows them", CommandSet.Chat,
            (o, v) => o with { Resume = v.Text }),
        new("no-history", null, "Keep neither the lines that are typed nor the conversation", CommandSet.Chat,
            (o, v) => o with { KeepsHistory = !v.Flag() }),
        new("max-tokens", "N", "Most tokens of an answer", CommandSet.Chat, (o, v) => o with { MostTokens = v.Whole(1) })
        {
            Default = "what the context holds",
        },
        new("json-schema", "FILE", "JSON schema that the answers must satisfy", CommandSet.Chat,
            (o, v) => o with { Schema = GrammarFiles.SchemaText(v) }),

        new("max-tokens", "N", "Tokens to generate, at least 2", Bench, (o, v) => o with { MaxTokens = v.Whole(2) }) { Default = "64" },
        new("prompt-tokens", "N", "Tokens of the prompt", Bench, (o, v) => o with { PromptTokens = v.Whole(1) })
        {
            Default = "512, or what the context holds",
        },
        new("parallel", "N", "Generations at once", Bench, (o, v) => o with { Parallel = v.Whole(1, MostParallel) }) { Default = "1" },

        new("output", "FILE", "The file to write", CommandSet.Convert,
            (o, v) => o with { Output = v.Text }) { Default = "NAME.gguf", Letter = "-o" },
        new("output", "FILE", "The file to write; of what is there it replaces an earlier one alone", Pack,
            (o, v) => o with { Output = v.Text }) { Default = "shimmy-NAME", Letter = "-o" },
        new("verify", null, "Check every part of such a file, and of what it was unpacked into; NAME is the file", Pack,
            (o, v) => o with { Verifies = v.Flag() }),
        new("type", "TYPE", $"What weights become: {string.Join(", ", FolderConversion.Types)}; auto keeps them as they are",
            CommandSet.Convert,
            (o, v) => o with { ConvertType = OptionForms.ConvertType(v) }) { Default = "auto", Values = FolderConversion.Types },

        new("llm-only", null, "Leave out models that only embed, rank, encode, or make images or sound", Discover,
            (o, v) => o with { LanguageModelsOnly = v.Flag() }),
        new("short", null, "One name a line", List, (o, v) => o with { Short = v.Flag() }) { Letter = "-s" },
        new("json", null, "Print JSON", List | Discover | Probe | Bench | GpuInfo | Ps | CommandSet.Chat,
            (o, v) => o with { Json = v.Flag() }),
    ];

    private static Option[] Loading() =>
    [
        new("model-dirs", "DIR;DIR", "More folders to look for models in, beside SHIMMY_MODEL_PATHS", CommandSet.Models,
            (o, v) => o with { ModelDirs = v.Text }),
        new("ctx", "N", "Context: tokens one request may use, prompt and answer together; 0 is the model's own, or what fits",
            CommandSet.Models, (o, v) => o with { ContextLength = v.Whole(0, TuningOption.MostContext) })
        {
            Default = "0", ConfigField = "ctx_len", Ollama = ("OLLAMA_CONTEXT_LENGTH", UnlessZero),
        },
        new("memory-budget", "BYTES", "The machine's memory that all loaded models together may need, as 512MiB or 12GB", CommandSet.Models,
            (o, v) => o with { MemoryBudget = v.Bytes(1) }) { Default = "nine tenths of it" },
        new("threads", "N", "Threads that decode; 0 measures at load which number is fastest", CommandSet.Models,
            (o, v) => o with { Threads = v.Whole(0, TuningOption.MostThreads) }) { Default = "0", ConfigField = "n_threads" },
        new("template", "NAME|FILE", "Chat template in place of the model's own: a built-in family, or a file", CommandSet.Models,
            (o, v) => o with { Template = CompanionFiles.Template(v) })
        {
            Default = "the model's own", ConfigField = "template", NotOf = Init,
        },
        new("lora", "FILE|DIR[:SCALE]",
            "LoRA adapter to apply, a GGUF or a folder of PEFT, with its strength, which is 1 where it is not given", CommandSet.Models,
            (o, v) => o with { Loras = CompanionFiles.Loras(v) }) { IsRepeatable = true, ConfigField = "lora_path" },
        new("mmproj", "FILE|none", "Projector that lets a model see pictures; none takes none", CommandSet.Models,
            (o, v) => o with { Projector = CompanionFiles.Projector(v) })
        {
            Default = "the one found beside the model", ConfigField = "mmproj",
        },
        new("draft", "FILE|none", "Draft model for speculative decoding, with the same vocabulary; none drafts nothing", CommandSet.Models,
            (o, v) => CompanionFiles.Draft(v) is { } file ? o with { Draft = file } : o with { Speculate = false })
        {
            Default = "from what a text repeats, where that pays",
        },
        new("convert-cache", "DIR", "Where Hugging Face folders that were converted are kept as GGUF files", CommandSet.Models,
            (o, v) => o with { ConvertCache = Path.GetFullPath(v.Text) }) { Default = "the user's cache folder" },
        new("convert-type", "TYPE", $"What the weights of Hugging Face folders become: {string.Join(", ", FolderConversion.Types)}",
            CommandSet.Models,
            (o, v) => o with { ConvertType = OptionForms.ConvertType(v) }) { Default = "auto", Values = FolderConversion.Types },
        .. TuningOption.All.Select(Row),
    ];

    private static Option[] Log() =>
    [
        new("color", "auto|always|never", "Colour in what is printed; auto is on terminals without NO_COLOR", Output,
            (o, v) => o with { Color = (ColorUse)v.Choice("auto", "always", "never") })
        {
            Default = "auto", IsOfOutput = true,
        },
        // Before --log-level, which wins.
        new("log-file", "FILE", "Append the log to this file; exec then logs as serve does", Serve,
            (o, v) => o with
            {
                LogFile = Path.GetFullPath(v.Text),
                // --verbose, which is read before it, asks for more.
                LogLevel = o.LogLevel < LogLevel.Information ? o.LogLevel : LogLevel.Information,
            }) { IsOfOutput = true },
        new("log-level", "LEVEL", "trace, debug, information (info), warning (warn), error, critical or none", Output,
            (o, v) => o with { LogLevel = Levels.GetAt(v.Choice([.. Levels.Keys])).Value })
        {
            Default = "information for serve, else warning",
            Values = [.. Levels.Keys],
            IsOfOutput = true,
        },
        new("log-format", "text|json", "Format of the log", Output,
            (o, v) => o with { LogAsJson = v.Choice("text", "json") == 1 }) { Default = "text", IsOfOutput = true },
    ];

    private static Option Row(TuningOption row) => new(row.Name, row.Value, row.Help, CommandSet.Models,
        (o, v) => row.Set(o.Tuning, !row.IsSwitch ? v.Text : v.Flag() ? "true" : "false") is { } tuning
            ? o with { Tuning = tuning }
            : throw v.Refuse(row.Allowed))
    {
        Default = row.Default,
        ConfigField = row.Field,
        Ollama = row.Ollama,
    };

    private static Option Row(SamplingField row) => new(row.Name.Replace('_', '-'),
        row.Kind switch { SamplingKind.Flag => null, SamplingKind.Texts => "TEXT", SamplingKind.Number => "X", _ => "N" },
        row.Help!, Generate, (o, v) => v.Sampling(row) is { } value ? o with { Sampling = row.Set(o.Sampling, value) } : o)
    {
        Default = row.DefaultText(CommandOptions.Of(Generate).Sampling),
        IsRepeatable = row.Kind == SamplingKind.Texts,
    };

    // A conversation takes the model's own values where nothing else is asked for.
    private static Option OfChat(SamplingField row) => new(row.Name.Replace('_', '-'), Row(row).Value, row.Help!, CommandSet.Chat,
        (o, v) => v.Sampling(row) is { } value ? o with { Asked = [.. o.Asked, (row, value)] } : o)
    {
        Default = "the model's own",
        IsRepeatable = row.Kind == SamplingKind.Texts,
    };

    // 0 leaves it to Ollama.
    private static string? UnlessZero(string text) => text == "0" ? null : text;
}
