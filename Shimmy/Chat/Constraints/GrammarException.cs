namespace Shimmy.Chat.Constraints;

/// <summary>A grammar that llama.cpp would not take, or should not be given.</summary>
/// <param name="line">Line of the fault, 1 the first.</param>
/// <param name="column">Column of the fault in characters, 1 the first.</param>
/// <param name="problem">What is wrong there, and what was expected.</param>
internal sealed class GrammarException(int line, int column, string problem) : Exception($"line {line}, column {column}: {problem}")
{
    /// <summary>Line of the fault, 1 the first.</summary>
    public int Line { get; } = line;

    /// <summary>Column of the fault in characters, 1 the first.</summary>
    public int Column { get; } = column;
}
