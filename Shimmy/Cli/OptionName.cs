namespace Shimmy.Cli;

/// <summary>The names one option has: on the command line, in the environment, in a request.</summary>
internal static class OptionName
{
    /// <summary><c>--gpu-layers</c> is <c>SHIMMY_GPU_LAYERS</c>.</summary>
    public static string ToVariable(string option) => "SHIMMY_" + option.TrimStart('-').Replace('-', '_').ToUpperInvariant();

    /// <summary><c>top_k</c>, as requests spell it, is <c>--top-k</c>.</summary>
    public static string FromField(string field) => "--" + field.Replace('_', '-');
}
