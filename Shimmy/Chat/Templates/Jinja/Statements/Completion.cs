namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary>How a statement ended.</summary>
internal enum Completion
{
    /// <summary>The next statement follows.</summary>
    Normal,

    /// <summary>The innermost loop goes on with its next element.</summary>
    Continue,

    /// <summary>The innermost loop ends.</summary>
    Break,
}
