using System.Collections.Concurrent;

namespace Shimmy.Tests.Soak;

/// <summary>What clients have to complain about; the first few are kept in full, all are counted.</summary>
internal sealed class Complaints
{
    private const int Kept = 60;

    private readonly ConcurrentQueue<string> _texts = new();
    private int _count;

    /// <summary>How many there were.</summary>
    public int Count => _count;

    /// <summary>The first of them.</summary>
    public IEnumerable<string> Texts => _texts;

    /// <summary>Adds one.</summary>
    public void Add(string text)
    {
        if (Interlocked.Increment(ref _count) <= Kept)
            _texts.Enqueue(text.Length <= 1500 ? text : text[..1500] + "…");
    }
}
