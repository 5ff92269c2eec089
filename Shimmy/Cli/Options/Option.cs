namespace Shimmy.Cli.Options;

/// <summary>A set of commands: those that an option belongs to.</summary>
[Flags]
internal enum CommandSet
{
    /// <summary><c>serve</c></summary>
    Serve = 1,

    /// <summary><c>generate</c></summary>
    Generate = 2,

    /// <summary><c>list</c></summary>
    List = 4,

    /// <summary><c>discover</c></summary>
    Discover = 8,

    /// <summary><c>probe</c></summary>
    Probe = 16,

    /// <summary><c>bench</c></summary>
    Bench = 32,

    /// <summary><c>gpu-info</c></summary>
    GpuInfo = 64,

    /// <summary><c>convert</c></summary>
    Convert = 128,

    /// <summary><c>llama-server</c>, whose options are llama-server's (<see cref="LlamaServerTable"/>).</summary>
    LlamaServer = 256,

    /// <summary>The commands that look for models or load them.</summary>
    Models = Serve | Generate | List | Discover | Probe | Bench,

    /// <summary>Every command.</summary>
    All = Models | GpuInfo | Convert,
}

/// <summary>A command.</summary>
/// <param name="Is">The command as a set of one.</param>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Help">What it does, in one line.</param>
/// <param name="TakesName">Whether the name of a model, or the path of its file, is its argument.</param>
internal sealed record Command(CommandSet Is, string Name, string Help, bool TakesName = false)
{
    /// <summary>Text of the command's own help beside <see cref="Help"/>.</summary>
    public string? Details { get; init; }
}

/// <summary>
/// One option: its name, what it takes and does, which commands have it, and how its value gets into <see cref="CommandOptions"/>.
/// <see cref="OptionTable"/> lists all of them.
/// </summary>
/// <param name="name">The name without dashes: <c>gpu-layers</c>.</param>
/// <param name="value">What stands for the value in the help; null for a switch, which takes none.</param>
/// <param name="help">What it does, in one sentence without a full stop.</param>
/// <param name="commands">The commands that have it.</param>
/// <param name="set">Puts a value into the options. Throws <see cref="Terminal.UsageException"/> where it is not allowed.</param>
internal sealed class Option(
    string name, string? value, string help, CommandSet commands, Func<CommandOptions, OptionValue, CommandOptions> set)
{
    /// <summary>The name on the command line: <c>--gpu-layers</c>.</summary>
    public string Name { get; } = "--" + name;

    /// <summary>The variable of the environment that stands in for it: <c>SHIMMY_GPU_LAYERS</c>.</summary>
    public string Variable { get; } = "SHIMMY_" + name.Replace('-', '_').ToUpperInvariant();

    /// <inheritdoc cref="Option" path="/param[@name='value']"/>
    public string? Value { get; } = value;

    /// <inheritdoc cref="Option" path="/param[@name='help']"/>
    public string Help { get; } = help;

    /// <inheritdoc cref="Option" path="/param[@name='commands']"/>
    public CommandSet Commands { get; } = commands;

    /// <summary>Default for the help: a value, or words; null where it needs none.</summary>
    public string? Default { get; init; }

    /// <summary>A shorter name, <c>-s</c>; null where there is none.</summary>
    public string? Letter { get; init; }

    /// <summary>Whether it may be given more than once.</summary>
    public bool IsRepeatable { get; init; }

    /// <summary>The field that the models of a configuration file have for it; null where they have none.</summary>
    public string? ConfigField { get; init; }

    /// <summary>
    /// A variable of Ollama's that stands in for it where its clients are served (<c>--ollama</c>), and how its value reads here; null from
    /// that where it asks for nothing.
    /// </summary>
    public (string Variable, Func<string, string?> Read)? Ollama { get; init; }

    /// <summary>Another option without which it has no effect; null where there is none.</summary>
    public string? Needs { get; init; }

    /// <summary>The limit that <c>/diag</c> shows for it, by its name there; null where it sets none.</summary>
    public (string Name, Func<CommandOptions, double?> Value)? Limit { get; init; }

    /// <summary>Whether it takes no value on the command line; its variable is then true, 1, false or 0.</summary>
    public bool IsSwitch => Value is null;

    /// <summary>Whether its value may be left out on the command line; it is <see cref="OptionValue.On"/> then.</summary>
    public bool HasOptionalValue => Value is ['[', ..];

    /// <summary>The options with this one.</summary>
    public CommandOptions Set(CommandOptions options, OptionValue given) => set(options, given);

    /// <summary>The name on the command line of a field of a request: <c>top_k</c> is <c>--top-k</c>.</summary>
    public static string NameOf(string field) => "--" + field.Replace('_', '-');
}
