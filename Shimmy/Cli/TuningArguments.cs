using Shimmy.Engine;

namespace Shimmy.Cli;

/// <summary>Reads the options of <see cref="TuningOption"/> from the command line and the environment.</summary>
internal static class TuningArguments
{
    /// <summary>All that were given. Throws <see cref="UsageException"/> for a bad value, and for two that exclude each other.</summary>
    public static LoadTuning Read(IReadOnlyDictionary<string, string?> given, OptionReader reader)
    {
        var tuning = LoadTuning.None;
        var asked = new Dictionary<string, OptionValue>();
        foreach (var option in TuningOption.All)
        {
            if (reader.Find("--" + option.Name, given.GetValueOrDefault(option.Name)) is not { } found)
                continue;
            if (option.IsSwitch && !found.ToFlag())
                continue;
            tuning = option.Set(tuning, option.IsSwitch ? "true" : found.Value) ?? throw found.Refuse(option.Allowed);
            asked[option.Name] = found;
        }
        foreach (var (one, other, why) in TuningOption.Exclusive)
            if (asked.TryGetValue(one, out var first) && asked.TryGetValue(other, out var second))
                throw new UsageException($"{first.Source} and {second.Source} exclude each other: {why}");
        return tuning;
    }
}
