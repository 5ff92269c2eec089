using System.Buffers;
using System.Globalization;
using System.Text;

namespace Shimmy.Observability;

/// <summary>
/// Writes metrics in Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). The format requires all
/// series of a metric together, after its HELP and TYPE lines. Written as bytes into memory that is used again: routers ask twenty times a
/// second.
/// </summary>
internal sealed class MetricsText : IDisposable
{
    /// <summary>The format's Content-Type.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(32 << 10);

    /// <summary>Bytes written so far.</summary>
    public int Length { get; private set; }

    /// <summary>All that was written, in UTF-8.</summary>
    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Length);

    /// <summary>Writes the HELP and TYPE lines of a metric; <paramref name="type"/> is counter, gauge or histogram.</summary>
    public void Head(string name, string type, string help)
    {
        Write("# HELP "u8);
        Write(name);
        Write(" "u8);
        Write(help);
        Write("\n# TYPE "u8);
        Write(name);
        Write(" "u8);
        Write(type);
        Write("\n"u8);
    }

    /// <summary>Writes one series; <paramref name="labels"/> is made by <see cref="Labels"/> or empty.</summary>
    public void Series(string name, string labels, double value) => Series(name, "", labels, "", value);

    /// <summary>Writes one series whose name and labels are in two parts each, any of which may be empty.</summary>
    public void Series(string name, string ending, string labels, string more, double value)
    {
        Write(name);
        Write(ending);
        if (labels.Length + more.Length > 0)
        {
            Write("{"u8);
            Write(labels);
            Write(labels.Length > 0 && more.Length > 0 ? ","u8 : default);
            Write(more);
            Write("}"u8);
        }
        Write(" "u8);
        Write(value);
        Write("\n"u8);
    }

    /// <summary>Writes bytes of this format as they are.</summary>
    public void Write(ReadOnlySpan<byte> text)
    {
        text.CopyTo(Reserve(text.Length));
        Length += text.Length;
    }

    /// <summary>Writes a metric with one series without labels.</summary>
    public void Single(string name, string type, string help, double value)
    {
        Head(name, type, help);
        Series(name, "", value);
    }

    /// <summary>Writes a metric with one series for each item.</summary>
    public void Each<T>(string name, string type, string help, IEnumerable<T> items, Func<T, string> labels, Func<T, double> value)
    {
        Head(name, type, help);
        foreach (var item in items)
            Series(name, labels(item), value(item));
    }

    /// <summary>Formats labels from alternating names and values; the values are escaped.</summary>
    public static string Labels(params ReadOnlySpan<string> namesAndValues)
    {
        var text = new StringBuilder();
        for (var i = 0; i + 1 < namesAndValues.Length; i += 2)
        {
            text.Append(i == 0 ? "" : ",").Append(namesAndValues[i]).Append("=\"");
            text.Append(namesAndValues[i + 1].Replace("\\", "\\\\", StringComparison.Ordinal)
                .Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');
        }
        return text.ToString();
    }

    /// <summary>Formats a number: the shortest text that round-trips, or +Inf or -Inf.</summary>
    public static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : value.ToString("R", CultureInfo.InvariantCulture);

    /// <inheritdoc/>
    public override string ToString() => Encoding.UTF8.GetString(Written.Span);

    /// <summary>Gives the memory back; nothing is written or read any more.</summary>
    public void Dispose()
    {
        var bytes = Interlocked.Exchange(ref _bytes, []);
        Length = 0;
        if (bytes.Length > 0)
            ArrayPool<byte>.Shared.Return(bytes);
    }

    private void Write(string text) => Length += Encoding.UTF8.GetBytes(text, Reserve(Encoding.UTF8.GetMaxByteCount(text.Length)));

    // Most are whole, and those are written several times as fast as whole numbers.
    private void Write(double value)
    {
        if (value is > -1e15 and < 1e15 && (long)value is var whole && whole == value && whole.TryFormat(
            Reserve(24), out var written, default, CultureInfo.InvariantCulture))
        {
            Length += written;
        }
        else
        {
            Write(Number(value));
        }
    }

    private Span<byte> Reserve(int size)
    {
        if (_bytes.Length - Length < size)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(2 * _bytes.Length, Length + size));
            Written.CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = larger;
        }
        return _bytes.AsSpan(Length);
    }
}

/// <summary>
/// A part of the metrics that is kept as it was written for as long as what it says is the same, which it is between most scrapes.
/// Thread-safe.
/// </summary>
internal sealed class MetricsTextCache
{
    private volatile Kept? _last;

    /// <summary>Writes the part.</summary>
    /// <param name="text">Receives it.</param>
    /// <param name="of">All that decides what it says. Equal ones have the same text, so none may change.</param>
    /// <param name="write">Writes it anew.</param>
    public void Write(MetricsText text, IReadOnlyList<object?> of, Action<MetricsText> write)
    {
        if (_last is { } last && last.Of.SequenceEqual(of))
        {
            text.Write(last.Text);
            return;
        }
        var from = text.Length;
        write(text);
        _last = new Kept(of, text.Written[from..].ToArray());
    }

    private sealed record Kept(IReadOnlyList<object?> Of, byte[] Text);
}
