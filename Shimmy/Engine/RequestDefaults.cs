namespace Shimmy.Engine;

/// <summary>
/// Defaults for requests, from the tool that a model comes from (Ollama's Modelfile). Used by the dialects that ask a model for its
/// defaults, for fields that a request leaves out; no engine reads them.
/// </summary>
public sealed record RequestDefaults
{
    /// <summary>No defaults.</summary>
    public static RequestDefaults None { get; } = new();

    /// <summary>System prompt where a conversation brings none.</summary>
    public string? System { get; init; }

    /// <summary>
    /// Chat template in Go's template language, as Ollama keeps it, for a model whose file has none. Null where there is none.
    /// </summary>
    public string? Template { get; init; }

    /// <summary>Turns that every conversation begins with.</summary>
    public IReadOnlyList<DefaultTurn> Messages { get; init; } = [];

    /// <summary>Texts that end an answer, beside those of the request and of the chat template.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>
    /// Sampling options by the names of llama.cpp's <c>general.sampling.*</c> metadata (<c>temp</c>, <c>top_k</c>, <c>penalty_repeat</c>
    /// …), as text; and <c>max_tokens</c> and <c>seed</c>. They win over the metadata of the file.
    /// </summary>
    public IReadOnlyDictionary<string, string> Sampling { get; init; } = new Dictionary<string, string>();

    /// <summary>Equality that compares the elements of the lists.</summary>
    public bool IsSameAs(RequestDefaults other) => System == other.System && Template == other.Template
        && Messages.SequenceEqual(other.Messages) && Stop.SequenceEqual(other.Stop)
        && Sampling.Count == other.Sampling.Count
        && Sampling.All(pair => other.Sampling.TryGetValue(pair.Key, out var value) && value == pair.Value);
}

/// <summary>A turn that a conversation begins with.</summary>
/// <param name="Role"><c>user</c>, <c>assistant</c> or <c>system</c>.</param>
/// <param name="Content">Its text.</param>
public sealed record DefaultTurn(string Role, string Content);
