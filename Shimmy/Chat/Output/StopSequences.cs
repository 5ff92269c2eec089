using System.Text;

namespace Shimmy.Chat.Output;

/// <summary>
/// Cuts an answer at its first stop sequence. Text that may be the beginning of one is held back until that is decided, so that a stop
/// sequence that spans tokens never leaks in part.
/// </summary>
internal sealed class StopSequences
{
    private readonly string[] _stops;
    private readonly StringBuilder _held = new();

    public StopSequences(IReadOnlyList<string> stops) => _stops = stops.Where(stop => stop.Length > 0).ToArray();

    /// <summary>The stop sequence that ended the answer; null while none has.</summary>
    public string? Hit { get; private set; }

    /// <summary>Takes the next text and gives the text that can be sent now; nothing after a hit.</summary>
    public string Push(string text)
    {
        if (Hit is not null)
            return "";
        if (_stops.Length == 0)
            return text;
        var all = _held.Length == 0 ? text : _held.Append(text).ToString();
        _held.Clear();
        var (position, stop) = First(all);
        if (stop is not null)
        {
            Hit = stop;
            return all[..position];
        }
        var safe = all.Length - PossibleStart(all);
        _held.Append(all, safe, all.Length - safe);
        return all[..safe];
    }

    /// <summary>The text that is still held back, for an answer that has ended by itself.</summary>
    public string Flush()
    {
        var rest = _held.ToString();
        _held.Clear();
        return rest;
    }

    // The one that is complete first; of those that are complete at the same character, the longest. So the result depends neither on the
    // order of the sequences nor on how the text was split into tokens.
    private (int Position, string? Stop) First(string text)
    {
        (int Position, string? Stop) first = (text.Length, null);
        var end = int.MaxValue;
        foreach (var stop in _stops)
        {
            var position = text.IndexOf(stop, StringComparison.Ordinal);
            var ends = position + stop.Length;
            if (position >= 0 && (ends < end || (ends == end && stop.Length > first.Stop!.Length)))
                (first, end) = ((position, stop), ends);
        }
        return first;
    }

    // Length of the longest suffix of the text that is a prefix of a stop sequence.
    private int PossibleStart(string text)
    {
        var longest = 0;
        foreach (var stop in _stops)
        {
            for (var length = Math.Min(stop.Length - 1, text.Length); length > longest; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                {
                    longest = length;
                    break;
                }
            }
        }
        return longest;
    }
}
