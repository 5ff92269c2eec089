using System.Globalization;
using Shimmy.Engine;
using Shimmy.Models;

namespace Shimmy.Cli.Options;

/// <summary>
/// Reads an option's value: the command line wins over the SHIMMY_ variable of the same name, which wins over the default.
/// A value that is wrong is refused by the name it was given under, with what is allowed.
/// </summary>
internal sealed class OptionReader(Func<string, string?> environment)
{
    /// <summary>Reads the process's environment.</summary>
    public static OptionReader ForProcess { get; } = new(Environment.GetEnvironmentVariable);

    /// <summary>A variable by its full name; null where it is unset or empty.</summary>
    public string? Variable(string name) => environment(name) is { Length: > 0 } value ? value : null;

    /// <summary>Any text, or null.</summary>
    public string? Text(string option, string? given) => Find(option, given)?.Value;

    /// <summary>A whole number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public int Whole(string option, string? given, int fallback, int least, int most = int.MaxValue) =>
        WholeOrNull(option, given, least, most) ?? fallback;

    /// <summary>A whole number from <paramref name="least"/> to <paramref name="most"/>, or null.</summary>
    public int? WholeOrNull(string option, string? given, int least, int most = int.MaxValue)
    {
        if (Find(option, given) is not { } found)
            return null;
        if (int.TryParse(found.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most)
            return number;
        throw found.Refuse(most == int.MaxValue ? $"a whole number of at least {least}" : $"a whole number from {least} to {most}");
    }

    /// <summary>Bytes from <paramref name="least"/> to <paramref name="most"/>, in all forms of <see cref="ByteCount"/>.</summary>
    public long Bytes(string option, string? given, long fallback, long least = 0, long most = long.MaxValue)
    {
        if (Find(option, given) is not { } found)
            return fallback;
        if (ByteCount.TryParse(found.Value, out var bytes) && bytes >= least && bytes <= most)
            return bytes;
        const string forms = "a number of bytes, or a size such as 64MiB or 1GB";
        throw found.Refuse(least == 0 ? "0, " + forms : most == long.MaxValue ? $"{forms}, of at least {least} bytes" : $"{forms}, from {least} to {most} bytes");
    }

    /// <summary>A duration in all forms of <see cref="KeepAlive"/>.</summary>
    /// <param name="option">The option's name.</param>
    /// <param name="given">Its value; null where it was not given.</param>
    /// <param name="fallback">What holds then.</param>
    /// <param name="allowed">What is allowed, with what special values mean.</param>
    public TimeSpan Duration(string option, string? given, TimeSpan fallback, string allowed)
    {
        if (Find(option, given) is not { } found)
            return fallback;
        return KeepAlive.TryParse(found.Value, out var duration) ? duration : throw found.Refuse(allowed);
    }

    /// <summary>A switch: on where given; its variable says true or 1, false or 0.</summary>
    public bool Flag(string option, bool given)
    {
        return given || (Find(option, null)?.ToFlag() ?? false);
    }

    /// <summary>One of several words, whatever their case.</summary>
    public T Choice<T>(string option, string? given, T fallback, params ReadOnlySpan<(string Word, T Value)> choices)
    {
        if (Find(option, given) is not { } found)
            return fallback;
        foreach (var (word, value) in choices)
        {
            if (string.Equals(word, found.Value, StringComparison.OrdinalIgnoreCase))
                return value;
        }

        var words = new List<string>();
        foreach (var (word, _) in choices)
            words.Add(word);
        throw found.Refuse(WordList.AnyOf(words));
    }

    /// <summary>The values of a repeatable option; its variable holds one.</summary>
    public IReadOnlyList<string> Repeated(string option, string? given) => Find(option, given)?.Value.Split(CommandLine.Separator) ?? [];

    /// <summary>The value as it was given, or else its variable's; null where neither is there.</summary>
    public OptionValue? Find(string option, string? given)
    {
        if (given is not null)
            return new OptionValue(option, given);
        var variable = OptionName.ToVariable(option);
        return Variable(variable) is { } value ? new OptionValue(variable, value) : null;
    }
}
