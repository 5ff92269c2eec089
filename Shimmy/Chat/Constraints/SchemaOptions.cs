namespace Shimmy.Chat.Constraints;

/// <summary>How a schema is taken.</summary>
internal sealed record SchemaOptions
{
    /// <summary>Hold the schema to OpenAI's rules for <c>strict</c>: see <see cref="StrictRules"/>.</summary>
    public bool Strict { get; init; }

    /// <summary>
    /// Leave out what a grammar cannot express instead of refusing it, and say so in <see cref="SchemaCompiler.Compile"/>'s result: for the
    /// parameters of tools that nobody asked to be strict. What is no valid schema is refused all the same.
    /// </summary>
    public bool LeaveOutInexpressible { get; init; }
}
