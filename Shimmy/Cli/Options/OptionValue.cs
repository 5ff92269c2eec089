using System.Globalization;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models;

namespace Shimmy.Cli.Options;

/// <summary>
/// The value of an option and its source: the option's name or the variable's. The methods read the text as a number, a size, a
/// duration …, and refuse what is not allowed, with the source.
/// </summary>
/// <param name="Source">The option's name, or the variable's where that has set it.</param>
/// <param name="Texts">The values in their order: one, or several of a repeatable option.</param>
internal sealed record OptionValue(string Source, IReadOnlyList<string> Texts)
{
    /// <summary>The value of a switch that is given, and of an option whose value was left out.</summary>
    public const string On = "true";

    /// <summary>The value.</summary>
    public string Text => Texts[^1];

    /// <summary>Whether it asks for the option and says no more.</summary>
    public bool IsOn => Text is "1" || Text.Equals(On, StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether it asks for nothing.</summary>
    public bool IsOff => Text is "0" || Text.Equals("false", StringComparison.OrdinalIgnoreCase);

    /// <summary>The error for a value that is not what is <paramref name="allowed"/>.</summary>
    public UsageException Refuse(string allowed) => new($"{Source}: '{Text}' is not {allowed}");

    /// <summary>A switch: true or 1, false or 0.</summary>
    public bool Flag() => Text.ToLowerInvariant() switch
    {
        "1" or "true" => true,
        "0" or "false" => false,
        _ => throw Refuse("true, 1, false or 0"),
    };

    /// <summary>A whole number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public int Whole(int least, int most = int.MaxValue)
    {
        var isWhole = int.TryParse(Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number);
        if (isWhole && number >= least && number <= most)
            return number;
        throw Refuse(most == int.MaxValue ? $"a whole number of at least {least}" : $"a whole number from {least} to {most}");
    }

    /// <summary>Bytes from <paramref name="least"/> to <paramref name="most"/>, in all forms of <see cref="ByteCount"/>.</summary>
    public long Bytes(long least = 0, long most = long.MaxValue)
    {
        if (ByteCount.TryParse(Text, out var bytes) && bytes >= least && bytes <= most)
            return bytes;
        const string forms = "a number of bytes, or a size such as 64MiB or 1GB";
        throw Refuse(least == 0 ? "0, " + forms
            : most == long.MaxValue ? $"{forms}, of at least {least} bytes"
            : $"{forms}, from {least} to {most} bytes");
    }

    /// <summary>A duration in all forms of <see cref="KeepAlive"/>; <paramref name="allowed"/> says what special values mean.</summary>
    public TimeSpan Duration(string allowed) => KeepAlive.TryParse(Text, out var duration) ? duration : throw Refuse(allowed);

    /// <summary>The place of the value among <paramref name="words"/>, whatever its case.</summary>
    public int Choice(params string[] words)
    {
        var at = Array.FindIndex(words, word => word.Equals(Text, StringComparison.OrdinalIgnoreCase));
        return at >= 0 ? at : throw Refuse(TuningOption.AnyOf(words));
    }

    /// <summary>The value of a sampling field; null where it leaves the field as it is.</summary>
    public object? Sampling(SamplingField field) => field.Kind switch
    {
        SamplingKind.Flag => (object)Flag(),
        SamplingKind.Texts => field.WhyRefused(Texts) is { } reason ? throw new UsageException($"{Source}: {reason}") : Texts,
        SamplingKind.Seed => long.TryParse(Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed)
            ? SamplingField.FoldSeed(seed)
            : throw Refuse("a whole number of 64 bits"),
        _ => field.Number(Text) ?? throw Refuse(field.AllowedNumber),
    };
}
