namespace Shimmy.Chat.Constraints;

/// <summary>A JSON schema that is wrong, or that no grammar can hold an answer to.</summary>
/// <param name="pointer">JSON pointer to the schema at fault, empty for the whole.</param>
/// <param name="problem">What is wrong, beginning with the keyword where it is one.</param>
internal sealed class SchemaException(string pointer, string problem) : Exception($"{(pointer.Length == 0 ? "/" : pointer)}: {problem}")
{
    /// <summary>JSON pointer to the schema at fault, empty for the whole.</summary>
    public string Pointer { get; } = pointer;

    /// <summary>What is wrong, beginning with the keyword where it is one.</summary>
    public string Problem { get; } = problem;
}
