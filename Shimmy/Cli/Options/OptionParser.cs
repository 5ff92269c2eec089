using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Options;

/// <summary>
/// Reads the options of a command: the command line wins over the SHIMMY_ variable of an option, which wins over its default. Throws
/// <see cref="UsageException"/> naming the option or the variable that is wrong.
/// </summary>
/// <param name="command">The command.</param>
/// <param name="environment">Reads a variable; null or empty where it is not set.</param>
internal sealed class OptionParser(Command command, Func<string, string?> environment)
{
    private readonly Option[] _options = [.. OptionTable.Of(command)];
    private readonly Dictionary<Option, List<string>> _given = [];
    private readonly List<string> _rest = [];
    private string? _second;
    private readonly HashSet<Option> _own = [.. OptionTable.Of(command).Where(option => (option.Commands & command.Is) != 0)];

    /// <summary>Reads the arguments that follow the command's name.</summary>
    public static CommandOptions Parse(Command command, ReadOnlySpan<string> arguments, Func<string, string?> environment) =>
        new OptionParser(command, environment).Parse(arguments);

    private CommandOptions Parse(ReadOnlySpan<string> arguments)
    {
        var options = CommandOptions.Of(command.Is) with { Name = Split(arguments), Text = _second };
        var values = new Dictionary<Option, OptionValue>();
        foreach (var option in _options)
        {
            if (_given.TryGetValue(option, out var texts))
                values.Add(option, new OptionValue(option.Name, texts));
            else if (environment(option.Variable) is { Length: > 0 } text)
                values.Add(option, new OptionValue(option.Variable, [text]));
        }
        AddOllamas(values);
        LeaveOutExcluded(values);
        foreach (var option in _options)
        {
            if (option.Needs is { } needed && _given.ContainsKey(option) && !values.Keys.Any(other => other.Name == needed))
                throw new UsageException($"{option.Name}: has no effect without {needed}, which is missing");
            // What init writes down need not be true here: a file may lie on another machine.
            if (values.TryGetValue(option, out var value) && !(command.Is == CommandSet.Init && option.TakesPath && !_own.Contains(option)))
                options = option.Set(options, value);
        }
        if (options.Name is { } name && command.Words is [_, ..] words && !words.Contains(name))
            throw new UsageException($"{command.Argument}: '{name}' is not {Engine.TuningOption.AnyOf([.. words])}");
        foreach (var option in _options)
        {
            if (option.WhyRefused?.Invoke(options) is { } why)
                throw new UsageException($"{option.Name}: {why}");
        }
        return options with
        {
            Rest = _rest,
            GivenOptions =
            [
                .. _options.Where(_given.ContainsKey)
                    .SelectMany(option => _given[option].Select(text => (option.Name, option.IsSwitch ? null : text))),
            ],
        };
    }

    // Takes options into _given; the answer is the argument that belongs to none.
    private string? Split(ReadOnlySpan<string> arguments)
    {
        string? name = null;
        var optionsEnd = false;
        for (var i = 0; i < arguments.Length; i++)
        {
            var argument = arguments[i];
            if (argument == "--" && !optionsEnd)
            {
                if (command.TakesRest)
                {
                    _rest.AddRange(arguments[(i + 1)..]);
                    return name;
                }
                optionsEnd = true;
                continue;
            }
            if (optionsEnd || !argument.StartsWith('-'))
            {
                if (command.TakesRest && command.Argument is null)
                {
                    // Who leaves the dashes out means the same: the command begins with the first word that is no option.
                    _rest.AddRange(arguments[i..]);
                    return name;
                }
                if (command.Argument is null || (name is not null && (command.Second is null || _second is not null)))
                {
                    throw new UsageException($"unexpected argument '{argument}'"
                        + (command.Second is { } last ? $"; {last.Name.Trim('[', ']')} is one argument: put it in quotes" : ""));
                }
                if (name is null)
                    name = argument;
                else
                    _second = argument;
                continue;
            }
            var option = Array.Find(_options,
                option => option.Name.Equals(argument, StringComparison.OrdinalIgnoreCase) || option.Letter == argument)
                ?? throw Unknown(argument);
            var isLeftOut = option.HasOptionalValue && (i + 1 == arguments.Length || arguments[i + 1].StartsWith('-'));
            if (!option.IsSwitch && !isLeftOut && ++i == arguments.Length)
                throw new UsageException($"{option.Name}: a value is missing");
            var text = option.IsSwitch || isLeftOut ? OptionValue.On : arguments[i];
            if (_given.TryAdd(option, [text]))
                continue;
            if (!option.IsRepeatable)
                throw new UsageException($"{option.Name}: given twice");
            _given[option].Add(text);
        }
        return name;
    }

    // Ollama's users have set up Ollama by its variables. They count where Shimmy takes its place, after all of Shimmy's own.
    private void AddOllamas(Dictionary<Option, OptionValue> values)
    {
        if (values.FirstOrDefault(pair => pair.Key.Name == OptionTable.OllamaOption) is not
            {
                Value: { IsOff: false } asked,
                Key: { } listener
            })
        {
            return;
        }
        foreach (var option in _options.Where(option => !values.ContainsKey(option) || (option == listener && asked.IsOn)))
        {
            if (option.Ollama is { } other && environment(other.Variable) is { Length: > 0 } text && other.Read(text) is { } own)
                values[option] = new OptionValue(other.Variable, [own]);
        }
    }

    private static UsageException Unknown(string argument) => new(argument.IndexOf('=', StringComparison.Ordinal) is > 0 and var at
        ? $"unknown option {argument}; a value follows its option after a blank: {argument[..at]} {argument[(at + 1)..]}"
        : $"unknown option {argument}");

    private void LeaveOutExcluded(Dictionary<Option, OptionValue> values)
    {
        foreach (var (one, other, why) in OptionTable.Exclusive)
        {
            if (Asked(one) is not { } first || Asked(other) is not { } second)
                continue;
            if (_given.ContainsKey(first) == _given.ContainsKey(second))
            {
                throw new UsageException(
                    $"{values[first].Source} and {values[second].Source} exclude each other{(why.Length > 0 ? ": " + why : "")}");
            }
            // The command line wins over the environment, here too.
            values.Remove(_given.ContainsKey(first) ? second : first);
        }

        // A switch that says false asks for nothing.
        Option? Asked(string name) =>
            values.FirstOrDefault(pair => pair.Key.Name == name && !(pair.Key.IsSwitch && !pair.Value.Flag())).Key;
    }
}
