using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Options;

/// <summary>The names one option has: on the command line, in the environment, in a request.</summary>
internal static class OptionName
{
    /// <summary><c>--gpu-layers</c> is <c>SHIMMY_GPU_LAYERS</c>.</summary>
    public static string ToVariable(string option) => "SHIMMY_" + option.TrimStart('-').Replace('-', '_').ToUpperInvariant();

    /// <summary><c>top_k</c>, as requests spell it, is <c>--top-k</c>.</summary>
    public static string FromField(string field) => "--" + field.Replace('_', '-');
}

/// <summary>What an option was given as, and under which name: its own, or its variable's.</summary>
internal readonly record struct OptionValue(string Source, string Value)
{
    /// <summary>The value is none of those <paramref name="allowed"/>.</summary>
    public UsageException Refuse(string allowed) => new($"{Source}: '{Value}' is not {allowed}");

    /// <summary>A switch's value; throws <see cref="UsageException"/> for what is none.</summary>
    public bool ToFlag() => Value.ToLowerInvariant() switch
    {
        "1" or "true" => true,
        "0" or "false" => false,
        _ => throw Refuse("true, 1, false or 0"),
    };
}
