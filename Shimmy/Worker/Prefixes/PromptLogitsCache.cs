using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// The logits behind the last tokens of prompts, so that the same prompt again computes nothing: its cells or its state are there, and
/// what its last token leads to is here. The one that was unused the longest leaves first.
/// </summary>
/// <param name="capacity">Most bytes; 0 keeps none.</param>
internal sealed class PromptLogitsCache(long capacity)
{
    // Each is compared with every prompt.
    private const int Most = 64;

    // The last used last.
    private readonly List<Entry> _entries = [];

    /// <summary>Bytes in use.</summary>
    public long Bytes => _entries.Sum(entry => BytesOf(entry.Logits.Length, entry.Tokens.Length));

    /// <summary>The logits behind these tokens, which are not to be changed; null where they are not kept.</summary>
    public float[]? Of(ReadOnlySpan<int> tokens, PrefixKey key)
    {
        for (var i = _entries.Count - 1; i >= 0; i--)
        {
            var entry = _entries[i];
            if (!entry.Key.Serves(key) || !tokens.SequenceEqual(entry.Tokens))
                continue;
            _entries.RemoveAt(i);
            _entries.Add(entry);
            return entry.Logits;
        }
        return null;
    }

    /// <summary>Keeps the logits behind these tokens.</summary>
    public void Keep(ReadOnlySpan<int> tokens, PrefixKey key, ReadOnlySpan<float> logits)
    {
        if (Of(tokens, key) is { } known)
        {
            logits.CopyTo(known);
            return;
        }
        var bytes = BytesOf(logits.Length, tokens.Length);
        if (bytes > capacity)
            return;
        // Logits are large: the buffer of the evicted entry is reused.
        float[]? free = null;
        while (_entries.Count >= Most || Bytes + bytes > capacity)
        {
            free = _entries[0].Logits;
            _entries.RemoveAt(0);
        }
        free ??= new float[logits.Length];
        logits.CopyTo(free);
        _entries.Add(new Entry(tokens.ToArray(), key, free));
    }

    private static long BytesOf(int logits, int tokens) => sizeof(float) * ((long)logits + tokens);

    private sealed record Entry(int[] Tokens, PrefixKey Key, float[] Logits);
}
