using System.Text;

namespace Shimmy.Chat.Output;

/// <summary>
/// Cuts an answer at the first stop string. Text that may be the beginning of one is held back until it is decided, so that a stop
/// string that spans tokens never leaks in part.
/// </summary>
internal sealed class StopStrings
{
    private readonly string[] _stops;
    private readonly StringBuilder _held = new();

    public StopStrings(IReadOnlyList<string> stops) => _stops = stops.Where(stop => stop.Length > 0).ToArray();

    /// <summary>The stop string that ended the answer; null while none has.</summary>
    public string? Hit { get; private set; }

    /// <summary>Takes the next text and gives back what of all text so far can be sent now; nothing any more after a hit.</summary>
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

    /// <summary>The text that was held back, once the answer has ended by itself.</summary>
    public string Flush()
    {
        var rest = _held.ToString();
        _held.Clear();
        return rest;
    }

    // The one that begins first; of two that begin together the longer, so that the result does not hang on the order they were given in.
    private (int Position, string? Stop) First(string text)
    {
        (int Position, string? Stop) first = (text.Length, null);
        foreach (var stop in _stops)
        {
            var position = text.IndexOf(stop, StringComparison.Ordinal);
            if (position >= 0 && (position < first.Position || (position == first.Position && stop.Length > first.Stop!.Length)))
                first = (position, stop);
        }
        return first;
    }

    // Length of the longest end of the text that is the beginning of a stop string.
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
