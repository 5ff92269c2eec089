using ConsoleAppFramework;

namespace Shimmy.Cli;

/// <summary>An argument that must not begin with a dash: the parser would take an option it does not know for the argument.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
internal sealed class NotAnOptionAttribute : Attribute, IArgumentParser<string>
{
    /// <inheritdoc/>
    public static bool TryParse(ReadOnlySpan<char> s, out string result)
    {
        result = s.ToString();
        return !s.StartsWith('-');
    }
}
