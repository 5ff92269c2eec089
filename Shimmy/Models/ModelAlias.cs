namespace Shimmy.Models;

/// <summary>Another name for a model, set by the user.</summary>
/// <param name="Pattern">The name asked for, with wildcards or without.</param>
/// <param name="Target">The name of the model that answers.</param>
internal sealed record ModelAlias(string Pattern, string Target)
{
    /// <summary>Reads <c>PATTERN=NAME</c>, as <c>--alias</c> takes it; null where it is not of that form.</summary>
    public static ModelAlias? Parse(string text)
    {
        int at = text.IndexOf('=', StringComparison.Ordinal);
        string pattern = at < 0 ? "" : text[..at].Trim();
        string target = text[(at + 1)..].Trim();
        return pattern.Length == 0 || target.Length == 0 ? null : new ModelAlias(pattern, target);
    }
}
