using Shimmy.Cli.Terminal;
using Shimmy.Engine;

namespace Shimmy.Cli.Options;

/// <summary>Reads the options of <see cref="TuningOption"/> from the command line and the environment.</summary>
internal static class TuningArguments
{
    /// <summary>All that were given. Throws <see cref="UsageException"/> for a bad value, and for two that exclude each other.</summary>
    public static LoadTuning Read(IReadOnlyDictionary<string, string?> given, OptionReader reader)
    {
        var found = new Dictionary<string, OptionValue>();
        foreach (var option in TuningOption.All)
        {
            if (reader.Find("--" + option.Name, given.GetValueOrDefault(option.Name)) is { } value)
                found[option.Name] = value;
        }

        foreach (var (one, other, why) in TuningOption.Exclusive)
        {
            if (!Asks(one, out var first) || !Asks(other, out var second))
                continue;
            if (given.GetValueOrDefault(one) is null == given.GetValueOrDefault(other) is null)
                throw new UsageException($"{first.Source} and {second.Source} exclude each other: {why}");
            // The command line wins over the environment, here too.
            found.Remove(given.GetValueOrDefault(one) is null ? one : other);
        }
        var tuning = LoadTuning.None;
        foreach (var option in TuningOption.All)
        {
            if (found.TryGetValue(option.Name, out var value))
                tuning = option.Set(tuning, option.IsSwitch ? (value.ToFlag() ? "true" : "false") : value.Value) ?? throw value.Refuse(option.Allowed);
        }

        return tuning;

        bool Asks(string name, out OptionValue value) =>
            found.TryGetValue(name, out value) && !(TuningOption.All.First(option => option.Name == name).IsSwitch && !value.ToFlag());
    }
}
