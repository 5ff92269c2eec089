using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Server;

namespace Shimmy.Cli.Options;

/// <summary>One option of llama-server's command line.</summary>
/// <param name="Names">Its names, short ones first.</param>
/// <param name="Variable">The variable that stands in for it; null where there is none.</param>
/// <param name="Value">What stands for the value in the help; null for a switch.</param>
/// <param name="Help">What it does here.</param>
/// <param name="Set">Puts a value into the options.</param>
internal sealed record LlamaServerOption(
    string[] Names, string? Variable, string? Value, string Help, Action<LlamaServerArguments, OptionValue> Set)
{
    /// <summary>The action of a variable that says no; null where that is the default.</summary>
    public Action<LlamaServerArguments, OptionValue>? SetOff { get; init; }

    /// <summary>
    /// Takes back what its variable has put into a list, which the command line replaces and does not prolong; null for what is one value.
    /// </summary>
    public Action<LlamaServerArguments>? Reset { get; init; }
}

/// <summary>
/// The options of llama-server that <c>shimmy llama-server</c> takes. Those about how llama-server works inside are taken where the answer
/// is the same without them; their help says so.
/// </summary>
internal static class LlamaServerTable
{
    /// <summary>All of them, in the order of the help.</summary>
    public static IReadOnlyList<LlamaServerOption> All { get; } =
    [
        .. Model(), .. Serving(), .. Loading(), .. Sampling(), .. Chat(), .. Speculation(), .. Inside(),
    ];

    private static LlamaServerOption[] Model() =>
    [
        new(["-m", "--model"], "LLAMA_ARG_MODEL", "FILE", "The model's file; it answers every name",
            (a, v) => a.Given = a.Given with { Path = v.Text }),
        new(["-hf", "-hfr", "--hf-repo"], "LLAMA_ARG_HF_REPO", "REPO[:QUANT]",
            "A repository of Hugging Face, of which a cache on this machine has the file; nothing is downloaded",
            (a, v) => a.Given = a.Given with { Repository = v.Text }),
        new(["-hff", "--hf-file"], "LLAMA_ARG_HF_FILE", "FILE", "The file in that repository",
            (a, v) => a.Given = a.Given with { File = v.Text }),
        new(["-a", "--alias"], "LLAMA_ARG_ALIAS", "NAME,NAME", "Names of the model; it is listed under the first by the alphabet",
            (a, v) => a.SetMode(mode => mode with { Aliases = Words(v) })),
        new(["--tags"], "LLAMA_ARG_TAGS", "WORD,WORD", "Words about the model, shown in its list",
            (a, v) => a.SetMode(mode => mode with { Tags = Words(v) })),
        new(["--lora"], null, "FILE,FILE", "LoRA adapters to apply", (a, v) => a.Loras(v, scaled: false)),
        new(["--lora-scaled"], null, "FILE:SCALE,…", "LoRA adapters with their strengths", (a, v) => a.Loras(v, scaled: true)),
        Switch(["--lora-init-without-apply"], null, "Load adapters with strength 0", a => a.LorasAreOff = true),
        new(["-mm", "--mmproj"], "LLAMA_ARG_MMPROJ", "FILE", "Projector that lets the model see",
            (a, v) => a.With(o => o with { Projector = CompanionFiles.Projector(v) })),
        Switch(["--no-mmproj", "--no-mmproj-auto"], null, "Take no projector",
            a => a.With(o => o with { Projector = ModelSettings.NoProjector })),
        Switch(["--mmproj-auto"], "LLAMA_ARG_MMPROJ_AUTO", "Take the projector beside the model, as without it", _ => { },
            a => a.With(o => o with { Projector = ModelSettings.NoProjector })),
        new(["--image-max-tokens"], "LLAMA_ARG_IMAGE_MAX_TOKENS", "N", "Most tokens of a picture", Tuned("image-max-tokens")),
        new(["--image-min-tokens"], "LLAMA_ARG_IMAGE_MIN_TOKENS", "N", "Least tokens of a picture", Tuned("image-min-tokens")),
        new(["--media-pixels"], null, "N", "Most pixels of a picture; Shimmy's own",
            (a, v) => a.With(o => o with { Server = o.Server with { MediaPixels = v.Whole(1) } })),
        new(["--media-urls"], null, "HOST,HOST", "Hosts that pictures and sounds are fetched from; Shimmy's own",
            (a, v) => a.With(o => o with { Server = o.Server with { MediaHosts = OptionForms.HostsOfMedia(v) } })),
        new(["--media-path"], "LLAMA_ARG_MEDIA_PATH", "DIR", "Folder of pictures that requests name by file:// and their path in it",
            (a, v) => a.With(o => o with { Server = o.Server with { MediaFolder = Existing(v) } })),
        new(["-md", "--model-draft", "--spec-draft-model"], "LLAMA_ARG_SPEC_DRAFT_MODEL", "FILE", "Draft model for speculative decoding",
            (a, v) => a.With(o => o with { Draft = CompanionFiles.Draft(v), Speculate = true })),
    ];

    private static LlamaServerOption[] Serving() =>
    [
        new(["--host"], "LLAMA_ARG_HOST", "HOST,HOST", "Addresses to listen on, or a path that ends in .sock (default 127.0.0.1)",
            (a, v) => a.Hosts(v)) { Reset = a => a.WithoutHosts() },
        new(["--port"], "LLAMA_ARG_PORT", "N", "Port of all addresses (default 8080)", (a, v) => a.Port = v.Whole(0, 65535)),
        new(["--api-prefix"], "LLAMA_ARG_API_PREFIX", "PATH", "Path before all routes",
            (a, v) => a.With(o => o with { Server = o.Server with { BasePath = OptionForms.BasePath(v) } })),
        new(["--api-key"], "LLAMA_API_KEY", "KEY,KEY", "API keys that let a client in", (a, v) => a.Keys(v))
        {
            Reset = a => a.WithoutKeys(),
        },
        new(["--api-key-file"], "LLAMA_ARG_API_KEY_FILE", "FILE", "File with an API key a line", (a, v) => a.KeyFile(v))
        {
            Reset = a => a.WithoutKeysOfFiles(),
        },
        new(["--cors-origins"], "LLAMA_ARG_CORS_ORIGINS", "ORIGIN,…", "Origins of pages that may call; localhost for those of this machine",
            (a, v) => a.With(o => o with { Server = o.Server with { CorsOrigins = Origins(v) } })),
        new(["-to", "--timeout"], "LLAMA_ARG_TIMEOUT", "SECONDS", "Longest time of a request (default: no limit)",
            (a, v) => a.With(o => o with { Server = o.Server with { RequestTimeout = TimeSpan.FromSeconds(v.Whole(1)) } })),
        new(["--sse-ping-interval"], "LLAMA_ARG_SSE_PING_INTERVAL", "SECONDS", "Longest silence of a stream; -1 for any (default 30)",
            (a, v) => a.SetMode(mode => mode with
            {
                PingAfter = v.Whole(-1) is > 0 and var s ? TimeSpan.FromSeconds(Math.Min(s, 86_400)) : null,
            })),
        new(["--sleep-idle-seconds"], null, "SECONDS", "Unload the model after so much idleness; -1 never does",
            (a, v) => a.With(o => o with { Residency = o.Residency with { KeepAlive = TimeSpan.FromSeconds(v.Whole(-1)) } })),
        new(["--models-dir"], "LLAMA_ARG_MODELS_DIR", "DIR", "Without a model: a folder of models, beside those of the caches",
            (a, v) => a.With(o => o with { ModelDirs = Existing(v) })),
        new(["--models-max"], "LLAMA_ARG_MODELS_MAX", "N", "Without a model: most models in memory; 0 is any number (default 4)",
            (a, v) => a.SetMode(mode => mode with { MostModels = v.Whole(0) })),
        Switch(["--models-autoload"], "LLAMA_ARG_MODELS_AUTOLOAD", "Without a model: load what is asked for, as without it",
            a => a.SetMode(mode => mode with { LoadsModels = true }), a => a.SetMode(mode => mode with { LoadsModels = false })),
        Switch(["--no-models-autoload"], null, "Without a model: load by POST /models/load alone",
            a => a.SetMode(mode => mode with { LoadsModels = false })),
        Switch(["--metrics"], "LLAMA_ARG_ENDPOINT_METRICS", "Answer GET /metrics", a => a.SetMode(mode => mode with { Metrics = true })),
        Switch(["--props"], "LLAMA_ARG_ENDPOINT_PROPS", "Answer POST /props", a => a.SetMode(mode => mode with { Props = true })),
        Switch(["--slots"], "LLAMA_ARG_ENDPOINT_SLOTS", "Answer GET /slots, as without it",
            a => a.SetMode(mode => mode with { Slots = true }), a => a.SetMode(mode => mode with { Slots = false })),
        Switch(["--no-slots"], null, "Answer 501 to GET /slots", a => a.SetMode(mode => mode with { Slots = false })),
        new(["--slot-save-path"], "LLAMA_ARG_SLOT_SAVE_PATH", "DIR", "Folder of the files of POST /slots/ID",
            (a, v) => a.SetMode(mode => mode with { SlotFolder = Folder(v) })),
        Switch(["--embedding", "--embeddings"], "LLAMA_ARG_EMBEDDINGS", "Models that embed always do: no effect", _ => { }),
        Switch(["--rerank", "--reranking"], "LLAMA_ARG_RERANKING", "Models that rerank always do: no effect", _ => { }),
        new(["--pooling"], "LLAMA_ARG_POOLING", "none|mean|cls|last|rank",
            "How texts are embedded, whatever the file says; none embeds each of their tokens",
            (a, v) => a.With(o => o with { Tuning = o.Tuning with { Pooling = v.Choice("none", "mean", "cls", "last", "rank") } })),
        Switch(["-v", "--verbose", "--log-verbose"], null, "Log all, and return prompts with answers", a =>
        {
            a.With(o => o with { LogLevel = LogLevel.Debug });
            a.SetMode(mode => mode with { Verbose = true });
        }),
        new(["-lv", "--verbosity", "--log-verbosity"], "LLAMA_ARG_LOG_VERBOSITY", "N", "What is logged, 0 to 5",
            (a, v) => a.With(o => o with
            {
                LogLevel = v.Whole(0, 100) switch
                {
                    0 => LogLevel.Critical, 1 => LogLevel.Error, 2 => LogLevel.Warning, 3 => LogLevel.Information, 4 => LogLevel.Debug,
                    _ => LogLevel.Trace,
                },
            })),
        Switch(["--log-disable"], null, "Log nothing", a => a.With(o => o with { LogLevel = LogLevel.None })),
        Switch(["--log-jsonl"], "LLAMA_ARG_LOG_JSONL", "Log as JSON", a => a.With(o => o with { LogAsJson = true })),
        Switch(["--offline"], "LLAMA_ARG_OFFLINE", "Nothing is ever downloaded here: no effect", _ => { }),
        Switch(["--no-ui", "--no-webui"], null, "Leave out the page at /", WithoutPage),
        Switch(["--ui", "--webui"], "LLAMA_ARG_UI", "Have the page at /, as without it", _ => { }, WithoutPage),
    ];

    private static LlamaServerOption[] Loading() =>
    [
        new(["-c", "--ctx-size"], "LLAMA_ARG_CTX_SIZE", "N", "Tokens of all slots together; 0 is the model's own (default 0)",
            (a, v) => a.Given = a.Given with { Context = v.Whole(0) }),
        new(["-np", "--parallel"], "LLAMA_ARG_N_PARALLEL", "N", "Slots, each with its share of the context; -1 for 4 that share it",
            (a, v) =>
            {
                var slots = v.Whole(-1, OptionTable.MostParallel);
                a.With(o => o with { Parallel = slots > 0 ? slots : 4 });
                a.Splits ??= slots > 0;
            }),
        Switch(["-kvu", "--kv-unified"], "LLAMA_ARG_KV_UNIFIED", "Slots share the context", a => a.Splits = false, a => a.Splits = true),
        Switch(["-no-kvu", "--no-kv-unified"], null, "Each slot has its share of the context", a => a.Splits = true),
        new(["-b", "--batch-size"], "LLAMA_ARG_BATCH", "N", "Most tokens of a batch (default 2048)",
            (a, v) => a.Batch = (v.Whole(1), a.Batch.Step)),
        new(["-ub", "--ubatch-size"], "LLAMA_ARG_UBATCH", "N", "Most tokens of a step (default 512)",
            (a, v) => a.Batch = (a.Batch.Whole, v.Whole(1))),
        new(["-t", "--threads"], "LLAMA_ARG_THREADS", "N", "Threads; -1 measures which number is fastest",
            (a, v) => a.With(o => o with { Threads = Math.Max(0, v.Whole(-1, TuningOption.MostThreads)) })),
        new(["-ngl", "--gpu-layers", "--n-gpu-layers"], "LLAMA_ARG_N_GPU_LAYERS", "N|auto|all", "Layers on the GPU", (a, v) =>
            a.Tune(v, "gpu-layers", v.Text is "all" or "-1" or "-2"
                ? TuningOption.MostLayers.ToString(CultureInfo.InvariantCulture) : v.Text)),
        new(["-dev", "--device"], "LLAMA_ARG_DEVICE", "NAME,NAME", "Devices to use; none for the CPU", (a, v) =>
        {
            if (v.Text == "none")
                a.Tune(v, "gpu-backend", "cpu");
            else
                a.Tune(v, "device", v.Text);
        }),
        new(["-sm", "--split-mode"], "LLAMA_ARG_SPLIT_MODE", "MODE", "none, layer, row or tensor", Tuned("split-mode")),
        new(["-ts", "--tensor-split"], "LLAMA_ARG_TENSOR_SPLIT", "N,N", "The share of each device", Tuned("tensor-split")),
        new(["-mg", "--main-gpu"], "LLAMA_ARG_MAIN_GPU", "N", "The device that has all with --split-mode none", Tuned("main-gpu")),
        Switch(["-cmoe", "--cpu-moe"], "LLAMA_ARG_CPU_MOE", "Keep all experts on the CPU",
            a => a.Tune(new OptionValue("--cpu-moe", ["true"]), "cpu-moe", "true")),
        new(["-ncmoe", "--n-cpu-moe"], "LLAMA_ARG_N_CPU_MOE", "N", "Keep the experts of the first N layers on the CPU", Tuned("n-cpu-moe")),
        new(["-fa", "--flash-attn"], "LLAMA_ARG_FLASH_ATTN", "on|off|auto", "Flash attention", Tuned("flash-attn")),
        new(["-ctk", "--cache-type-k"], "LLAMA_ARG_CACHE_TYPE_K", "TYPE", "Type of the keys in the KV cache", Tuned("cache-type-k")),
        new(["-ctv", "--cache-type-v"], "LLAMA_ARG_CACHE_TYPE_V", "TYPE", "Type of the values in the KV cache", Tuned("cache-type-v")),
        Switch(["--mmap"], null, "Map the file into memory", a => a.Tune(new OptionValue("--mmap", ["on"]), "mmap", "on")),
        Switch(["--no-mmap"], "LLAMA_ARG_NO_MMAP", "Read the file into memory",
            a => a.Tune(new OptionValue("--no-mmap", ["off"]), "mmap", "off")),
        Switch(["--mlock"], "LLAMA_ARG_MLOCK", "Lock the model in memory",
            a => a.Tune(new OptionValue("--mlock", ["true"]), "mlock", "true")),
        new(["--numa"], "LLAMA_ARG_NUMA", "TYPE", "distribute, isolate or numactl", Tuned("numa")),
        new(["--override-kv"], null, "KEY=TYPE:VALUE,…", "Metadata of the file to replace", Tuned("override-kv")),
        new(["--rope-scaling"], "LLAMA_ARG_ROPE_SCALING_TYPE", "TYPE", "none, linear or yarn", Tuned("rope-scaling")),
        new(["--rope-scale"], "LLAMA_ARG_ROPE_SCALE", "N", "Stretch the context N times", Tuned("rope-scale")),
        new(["--rope-freq-base"], "LLAMA_ARG_ROPE_FREQ_BASE", "N", "RoPE base frequency", Tuned("rope-freq-base")),
        new(["--rope-freq-scale"], "LLAMA_ARG_ROPE_FREQ_SCALE", "N", "Factor on RoPE's frequencies", Tuned("rope-freq-scale")),
        new(["--yarn-orig-ctx"], "LLAMA_ARG_YARN_ORIG_CTX", "N", "YaRN: context of the training", Tuned("yarn-orig-ctx")),
        new(["--yarn-ext-factor"], "LLAMA_ARG_YARN_EXT_FACTOR", "N", "YaRN: mix of extrapolation", Tuned("yarn-ext-factor")),
        new(["--yarn-attn-factor"], "LLAMA_ARG_YARN_ATTN_FACTOR", "N", "YaRN: factor on attention", Tuned("yarn-attn-factor")),
        new(["--yarn-beta-slow"], "LLAMA_ARG_YARN_BETA_SLOW", "N", "YaRN: correction of low dimensions", Tuned("yarn-beta-slow")),
        new(["--yarn-beta-fast"], "LLAMA_ARG_YARN_BETA_FAST", "N", "YaRN: correction of high dimensions", Tuned("yarn-beta-fast")),
        Switch(["--context-shift"], "LLAMA_ARG_CONTEXT_SHIFT", "/completion goes on beyond the context, without its middle",
            a => a.SetMode(mode => mode with { ShiftsContext = true })),
        Switch(["--no-context-shift"], null, "Answers end with the context, as without it",
            a => a.SetMode(mode => mode with { ShiftsContext = false })),
        new(["--keep"], null, "N", "Tokens of the prompt that --context-shift keeps; -1 keeps it", (a, v) =>
            a.SetMode(mode => mode with { Keep = v.Whole(-1) })),
        new(["-cram", "--cache-ram"], "LLAMA_ARG_CACHE_RAM", "MIB", "Host memory for prompts that left the slots; -1 to measure",
            (a, v) => a.With(o => o with { PrefixMemoryBytes = v.Whole(-1) is >= 0 and var most ? (long)most << 20 : null })),
        Switch(["--cache-prompt"], "LLAMA_ARG_CACHE_PROMPT", "Prompts take over what is computed, as without it",
            a => a.SetMode(mode => mode with { CachesPrompts = true }), a => a.SetMode(mode => mode with { CachesPrompts = false })),
        Switch(["--no-cache-prompt"], null, "Compute every prompt anew", a => a.SetMode(mode => mode with { CachesPrompts = false })),
        Switch(["--spm-infill"], null, "/infill puts the suffix before the prefix",
            a => a.SetMode(mode => mode with { SuffixFirst = true })),
    ];

    private static LlamaServerOption[] Sampling() =>
    [
        new(["-n", "--predict", "--n-predict"], "LLAMA_ARG_N_PREDICT",
            "N", "Most tokens of an answer; -1 is no limit", (a, v) => a.Predict(v)),
        .. SamplingField.All.Where(field => field.LlamaServer is not null).Select(Sampled),
        new(["--samplers"], null, "NAME;NAME", "The samplers in their order", (a, v) =>
            a.SetMode(mode => mode with { Samplers = LlamaOptions.SamplersOf(v.Text.Split(';', StringSplitOptions.TrimEntries)) })),
        new(["--sampler-seq", "--sampling-seq"], null, "LETTERS", "The samplers in their order, a letter each (edskypmxt)", (a, v) =>
            a.SetMode(mode => mode with { Samplers = LlamaOptions.SamplersOf(v.Text) })),
        new(["-r", "--reverse-prompt"], null, "TEXT", "Text that ends an answer", (a, v) => a.Stop(v)),
    ];

    private static LlamaServerOption[] Chat() =>
    [
        Switch(["--jinja"], "LLAMA_ARG_JINJA", "Chat templates are always Jinja here: no effect", _ => { }),
        Switch(["--no-jinja"], null, "Chat templates are always Jinja here: no effect", _ => { }),
        new(["--chat-template"], "LLAMA_ARG_CHAT_TEMPLATE", "NAME|TEXT", "Chat template: a built-in one, or its text",
            (a, v) => a.Template(v)),
        new(["--chat-template-file"], "LLAMA_ARG_CHAT_TEMPLATE_FILE", "FILE", "File of the chat template",
            (a, v) => a.With(o => o with { Template = CompanionFiles.Template(v) })),
        new(["--chat-template-kwargs"], "LLAMA_ARG_CHAT_TEMPLATE_KWARGS", "JSON",
            "Variables of the chat template", (a, v) => a.TemplateArguments(v)),
        new(["--reasoning-format"], "LLAMA_ARG_THINK", "FORMAT",
            "none leaves reasoning in the content; deepseek and auto return reasoning in reasoning_content; deepseek-legacy does both",
            (a, v) => a.SetMode(mode => mode with
            {
                ReasoningPlace = ThinkingFields.PlaceOf(v.Text) ?? throw v.Refuse(ThinkingFields.AllowedPlaces),
            })),
        new(["-rea", "--reasoning"], "LLAMA_ARG_REASONING", "on|off|auto", "Whether the model thinks",
            (a, v) => a.SetMode(mode => mode with { Thinks = v.Choice("auto", "on", "off") switch { 0 => null, var c => c == 1 } })),
        new(["--reasoning-budget"], "LLAMA_ARG_THINK_BUDGET", "N", "Most tokens of thinking; 0 for none, -1 for any", (a, v) =>
        {
            var most = v.Whole(-1);
            a.SetMode(mode => mode with { MaxReasoningTokens = most > 0 ? most : null, Thinks = most == 0 ? false : mode.Thinks });
        }),
        new(["--reasoning-effort"], "LLAMA_ARG_REASONING_EFFORT", "LEVEL", "Effort that the template is given",
            (a, v) => a.TemplateArguments(new OptionValue(v.Source,
                [v.Text == "default" ? "{}" : $"{{\"reasoning_effort\":\"{JsonEncodedText.Encode(v.Text)}\"}}"]))),
        Switch(["--prefill-assistant"], "LLAMA_ARG_PREFILL_ASSISTANT", "Continue an assistant's message at the end, as without it",
            a => a.SetMode(mode => mode with { Prefills = true }), a => a.SetMode(mode => mode with { Prefills = false })),
        Switch(["--no-prefill-assistant"], null, "Answer an assistant's message at the end",
            a => a.SetMode(mode => mode with { Prefills = false })),
    ];

    private static LlamaServerOption[] Speculation() =>
    [
        new(["--spec-type"], "LLAMA_ARG_SPEC_TYPE", "TYPE,TYPE",
            "none drafts nothing; those with ngram draft from what the text repeats", (a, v) =>
            a.With(o => o with { Speculate = o.Draft is not null || v.Text != "none" })),
        Quiet(["--spec-draft-n-max", "--spec-draft-n-min", "--draft-max", "--draft-min"], "N", "How much is drafted is measured here"),
        Quiet(["--spec-draft-p-min", "--draft-p-min", "--spec-draft-p-split", "--draft-p-split"],
            "P", "How much is drafted is measured here"),
    ];

    // How llama-server works inside: Shimmy's answer is the same.
    private static LlamaServerOption[] Inside() =>
    [
        Quiet(["-bs", "--backend-sampling"], null, "Tokens are drawn on the CPU, which chooses the same"),
        Quiet(["-cb", "--cont-batching", "-nocb", "--no-cont-batching"], null, "Requests are always decoded together"),
        Quiet(["--swa-full"], null, "Windows are kept as models need them"),
        Quiet(["--warmup", "--no-warmup"], null, "The model is warm once loaded"),
        Quiet(["--perf", "--no-perf"], null, "Times are always measured"),
        Quiet(["--log-prefix", "--no-log-prefix"], null, "The log has one form"),
        Quiet(["--log-timestamps", "--no-log-timestamps"], null, "The log has one form"),
        Quiet(["--log-colors"], "on|off|auto", "The log has no colours"),
        Quiet(["--cache-reuse"], "N", "Prefixes are taken over token by token"),
        Quiet(["--cache-idle-slots", "--no-cache-idle-slots"], null, "Idle slots keep their prefixes"),
        Quiet(["-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"], "N", "Checkpoints are taken where prompts part"),
        Quiet(["-sps", "--slot-prompt-similarity"], "N", "The slot with the longest prefix is taken"),
        Quiet(["-tb", "--threads-batch"], "N", "The threads of prompts are measured"),
        Quiet(["--threads-http"], "N", "HTTP takes the threads that it needs"),
        Quiet(["-kvo", "--kv-offload", "--repack", "--op-offload", "--mmproj-offload"], null, "As without it"),
        Quiet(["-nr", "--no-repack", "--no-op-offload", "--no-host", "--no-mmproj-offload"], null, "llama.cpp decides that here"),
        Quiet(["-fit", "--fit"], "on|off", "The model is always fitted to the memory"),
        Quiet(["-dt", "--defrag-thold"], "N", "llama.cpp does that by itself"),
        Quiet(["--poll", "--poll-batch", "--prio", "--prio-batch"], "N", "Threads wait as llama.cpp's do"),
    ];

    private static LlamaServerOption Switch(string[] names, string? variable, string help, Action<LlamaServerArguments> set,
        Action<LlamaServerArguments>? off = null) => new(names, variable, null, help, (a, _) => set(a))
        {
            SetOff = off is null ? null : (a, _) => off(a),
        };

    private static void WithoutPage(LlamaServerArguments arguments) =>
        arguments.With(options => options with { Server = options.Server with { Page = false } });

    private static LlamaServerOption Quiet(string[] names, string? value, string why) =>
        new(names, null, value, why + ": no effect", (_, _) => { });

    private static Action<LlamaServerArguments, OptionValue> Tuned(string name) => (a, v) => a.Tune(v, name, v.Text);

    private static LlamaServerOption Sampled(SamplingField field)
    {
        var option = field.LlamaServer!;
        var value = field.DefaultText(new GenerationOptions()) is { } text ? $" (default {text})" : "";
        return new LlamaServerOption(option.Names, option.Variable,
            field.Kind switch { SamplingKind.Flag => null, SamplingKind.Texts => "TEXT", _ => "N" },
            option.Help ?? field.Help + value, (a, v) => a.Sample(v, field));
    }

    private static string[] Words(OptionValue value) =>
        value.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static string[] Origins(OptionValue value) => OptionForms.Origins(value with
    {
        Texts = [.. Words(value).SelectMany(origin => origin == "localhost" ? CorsMiddleware.OwnOrigins : [origin])],
    });

    private static string Existing(OptionValue value) => Directory.Exists(value.Text)
        ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(value.Text)) : throw value.Refuse("a folder");

    private static string Folder(OptionValue value)
    {
        var folder = Path.GetFullPath(value.Text);
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Terminal.UsageException($"{value.Source}: {e.Message}");
        }
        return folder;
    }
}
