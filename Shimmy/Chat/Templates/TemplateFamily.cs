namespace Shimmy.Chat.Templates;

/// <summary>A chat format that many models share, for those that carry no template of their own.</summary>
/// <param name="Name">Its name, as <c>--template</c> takes it.</param>
/// <param name="Template">Its template.</param>
/// <param name="Stop">Texts that end an answer, for vocabularies in which they are no tokens that do so by themselves.</param>
internal sealed record TemplateFamily(string Name, string Template, IReadOnlyList<string> Stop);
