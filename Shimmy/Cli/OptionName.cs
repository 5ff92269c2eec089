using System.Text;

namespace Shimmy.Cli;

/// <summary>The names one option has: on the command line, in the environment, as a property.</summary>
internal static class OptionName
{
    /// <summary><c>--gpu-layers</c> is <c>SHIMMY_GPU_LAYERS</c>.</summary>
    public static string ToVariable(string option) => "SHIMMY_" + option.TrimStart('-').Replace('-', '_').ToUpperInvariant();

    /// <summary><c>TopK</c> is <c>--top-k</c>.</summary>
    public static string FromProperty(string property)
    {
        var name = new StringBuilder("--");
        foreach (var letter in property)
        {
            if (char.IsUpper(letter) && name.Length > 2)
                name.Append('-');
            name.Append(char.ToLowerInvariant(letter));
        }
        return name.ToString();
    }
}
