using Shimmy.Chat.Templates.Jinja.Statements;

namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>What binding a template found in it.</summary>
internal sealed class TemplateFeatures
{
    /// <summary>The blocks by name.</summary>
    public Dictionary<string, BlockStatement> Blocks { get; } = new(StringComparer.Ordinal);
}
