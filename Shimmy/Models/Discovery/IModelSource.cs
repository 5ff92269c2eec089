namespace Shimmy.Models.Discovery;

/// <summary>One kind of place where models lie. A new kind is a new file beside this one.</summary>
internal interface IModelSource
{
    /// <summary>Its short name, shown by <c>discover</c> and put before a name that two models have.</summary>
    string Origin { get; }

    /// <summary>The folders that it looks into, existing or not, for <c>discover</c> to show.</summary>
    IReadOnlyList<string> Places { get; }

    /// <summary>
    /// Finds its GGUF files. What is absent gives nothing; what is broken or unreadable is reported to
    /// <paramref name="skipped"/>, never thrown.
    /// </summary>
    IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation);
}
