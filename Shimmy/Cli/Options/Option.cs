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

    /// <summary><c>exec</c></summary>
    Exec = 256,

    /// <summary><c>ps</c></summary>
    Ps = 512,

    /// <summary><c>stop</c></summary>
    Stop = 1024,

    /// <summary><c>launch</c></summary>
    Launch = 2048,

    /// <summary><c>init</c></summary>
    Init = 4096,

    /// <summary><c>completion</c></summary>
    Completion = 8192,

    /// <summary><c>man</c></summary>
    Man = 16384,

    /// <summary><c>chat</c></summary>
    Chat = 32768,

    /// <summary><c>pull</c></summary>
    Pull = 131072,

    /// <summary><c>rm</c></summary>
    Remove = 262144,

    /// <summary><c>pack</c></summary>
    Pack = 524288,

    /// <summary><c>llama-server</c>, whose options are llama-server's (<see cref="LlamaServerTable"/>).</summary>
    LlamaServer = 65536,

    /// <summary>The commands that look for models or load them.</summary>
    Models = Serve | Generate | Chat | List | Discover | Probe | Bench,

    /// <summary>The commands that take the options of <c>serve</c>, but for those whose row says otherwise.</summary>
    LikeServe = Exec | Launch | Init,

    /// <summary>The commands that log and colour what they print: all but those that print a text for other programs.</summary>
    Output = Models | GpuInfo | Convert | Exec | Ps | Stop | Launch | Init | Pull | Remove | Pack,
}

/// <summary>A command.</summary>
/// <param name="Is">The command as a set of one.</param>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Help">What it does, in one line.</param>
/// <param name="Argument">What stands for its argument in the help, in brackets where it may be left out; null where it takes none.</param>
internal sealed record Command(CommandSet Is, string Name, string Help, string? Argument = null)
{
    /// <summary>The argument that names a model.</summary>
    public const string Model = "NAME";

    /// <summary>The argument that names a model and may be left out where there is only one.</summary>
    public const string AnyModel = "[NAME]";

    /// <summary>The second argument, with its placeholder in the help and its description; null where there is none.</summary>
    public (string Name, string Help)? Second { get; init; }

    /// <summary>Both arguments as the help writes them; null where there are none.</summary>
    public string? Arguments => Second is { } second ? $"{Argument} {second.Name}" : Argument;

    /// <summary>Text of the command's own help beside <see cref="Help"/>.</summary>
    public string? Details { get; init; }

    /// <summary>The description of the argument, for the help.</summary>
    public string ArgumentHelp { get; init; } = "A model: its registered or discovered name, or the path of its file";

    /// <summary>The values that the argument may have; none leaves it open.</summary>
    public IReadOnlyList<string> Words { get; init; } = [];

    /// <summary>Whether what follows <c>--</c> is a command, or arguments, for another program.</summary>
    public bool TakesRest { get; init; }

    /// <summary>Whether it hashes or encrypts, and so needs OpenSSL where .NET has no cryptography of its own.</summary>
    public bool NeedsOpenSsl { get; init; }

    /// <summary>
    /// Whether it ends by itself after a signal: a server drains first, and the command of <c>exec</c> does with a signal what it will. Any
    /// other is ended after seconds.
    /// </summary>
    public bool EndsItself { get; init; }

    /// <summary>Whether the argument names a model.</summary>
    public bool TakesModel => Argument is Model or AnyModel;

    /// <summary>Whether an option is one of this command's.</summary>
    public bool Has(Option option) => (option.Commands & Is) != 0
        || ((option.Commands & CommandSet.Serve) != 0 && (Is & CommandSet.LikeServe & ~option.NotOf) != 0);
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

    /// <summary>The commands of <see cref="CommandSet.LikeServe"/> that do not have it, though <c>serve</c> does.</summary>
    public CommandSet NotOf { get; init; }

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

    /// <summary>
    /// What is wrong with it beside the other options, once all are read: an error that follows its name, or null. Null itself where no
    /// other option matters.
    /// </summary>
    public Func<CommandOptions, string?>? WhyRefused { get; init; }

    /// <summary>The limit that <c>/diag</c> shows for it, by its name there; null where it sets none.</summary>
    public (string Name, Func<CommandOptions, double?> Value)? Limit { get; init; }

    /// <summary>Whether it is about what this process prints and logs, and not about models or the server.</summary>
    public bool IsOfOutput { get; init; }

    /// <summary>Whether it says how models are loaded or served, which a server that runs has decided already.</summary>
    public bool NeedsOwnServer => (Commands & CommandSet.Serve) != 0 && !IsOfOutput;

    /// <summary>The words that its value may be, for the completion of the shells; what is in capitals stands for something else.</summary>
    public IEnumerable<string> Words =>
        Values ?? (Value?.Split('|') ?? []).Where(word => word.All(c => c is not (>= 'A' and <= 'Z') and not ':'));

    /// <summary>The words that <see cref="Words"/> cannot read off <see cref="Value"/>; null where it can.</summary>
    public IReadOnlyList<string>? Values { get; init; }

    /// <summary>Whether its value is a path.</summary>
    public bool TakesPath => IsPath(Value);

    /// <summary>Whether its value is the name of a model, which shells complete.</summary>
    public bool NamesModel { get; init; }

    /// <summary>Whether it takes no value on the command line; its variable is then true, 1, false or 0.</summary>
    public bool IsSwitch => Value is null;

    /// <summary>Whether its value may be left out on the command line; it is <see cref="OptionValue.On"/> then.</summary>
    public bool HasOptionalValue => Value is ['[', ..];

    /// <summary>The options with this one. Throws <see cref="Terminal.UsageException"/> for what it may not be.</summary>
    public CommandOptions Set(CommandOptions options, OptionValue given) =>
        TakesPath && !Value!.Contains(';') && given.Texts.Contains("") ? throw given.Refuse("a path") : set(options, given);

    /// <summary>Whether the word that help has for a value means a path.</summary>
    public static bool IsPath(string? value) => value is not null
        && (value.StartsWith("FILE", StringComparison.Ordinal) || value.EndsWith("FILE", StringComparison.Ordinal)
        || value.Contains("DIR", StringComparison.Ordinal));

    /// <summary>The name on the command line of a field of a request: <c>top_k</c> is <c>--top-k</c>.</summary>
    public static string NameOf(string field) => "--" + field.Replace('_', '-');
}
