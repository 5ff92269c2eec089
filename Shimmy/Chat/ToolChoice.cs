namespace Shimmy.Chat;

/// <summary>Whether a model may, must or may not call tools.</summary>
public enum ToolChoice
{
    /// <summary>The model decides.</summary>
    Auto,

    /// <summary>The model must call at least one of the tools.</summary>
    Required,

    /// <summary>The model calls none.</summary>
    None,
}
