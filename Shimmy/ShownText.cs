namespace Shimmy;

/// <summary>Text of files, registries and clients as people can be shown it, in errors and logs. None of these is trusted.</summary>
internal static class ShownText
{
    /// <summary>
    /// The text without what would steer a terminal, begin a line of a log, turn the direction of writing, or not be seen; cut where it is
    /// long.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="longest">The most characters of it.</param>
    /// <param name="instead">What stands for each hidden character.</param>
    public static string Of(string text, int longest, char instead = '?')
    {
        var shown = text.Length <= longest ? text
            : string.Concat(text.AsSpan(0, longest - (char.IsHighSurrogate(text[longest - 1]) ? 1 : 0)), "…");
        return shown.Any(IsHidden) ? string.Concat(shown.Select(c => IsHidden(c) ? instead : c)) : shown;
    }

    /// <summary>Whether it is a control character, or one that turns the direction of text or cannot be seen.</summary>
    public static bool IsHidden(char c) => char.IsControl(c) || c is '\u00AD' or '\u061C' or '\uFEFF' or '\uFFFE' or '\uFFFF'
        or (>= '\u200B' and <= '\u200F') or (>= '\u2028' and <= '\u202E') or (>= '\u2060' and <= '\u206F');
}
