using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Shimmy.Observability;

/// <summary>
/// A Prometheus histogram: for each set of labels, counts per bucket, their total and the sum of the values. Thread-safe.
/// </summary>
/// <param name="name">Full name of the metric; its last word is the unit.</param>
/// <param name="help">Text of the HELP line.</param>
/// <param name="bounds">Inclusive upper bounds of the buckets, ascending; values above the last count in +Inf.</param>
internal sealed class Histogram(string name, string help, params double[] bounds)
{
    private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);
    private readonly string[] _boundLabels = BoundLabels(bounds);

    /// <summary>Adds a value to the series of these labels (<see cref="MetricsText.Labels"/>).</summary>
    public void Observe(string labels, double value)
    {
        var series = _series.GetOrAdd(labels, static (_, length) => new Series(length), bounds.Length + 1);
        var bucket = Array.FindIndex(bounds, bound => value <= bound);
        lock (series)
        {
            series.Counts[bucket < 0 ? bounds.Length : bucket]++;
            series.Sum += value;
        }
    }

    /// <summary>Writes the metric with all its series.</summary>
    public void WriteTo(MetricsText text)
    {
        text.Head(name, "histogram", help);
        foreach (var (labels, series) in _series.OrderBy(series => series.Key, StringComparer.Ordinal))
        {
            long[] counts;
            double sum;
            lock (series)
                (counts, sum) = ([.. series.Counts], series.Sum);
            Write(text, name, labels, _boundLabels, counts, sum);
        }
    }

    /// <summary>The labels of the buckets: one for each upper bound, and one for +Inf.</summary>
    public static string[] BoundLabels(IEnumerable<double> bounds) =>
        [.. bounds.Append(double.PositiveInfinity).Select(bound => MetricsText.Labels("le", MetricsText.Number(bound)))];

    /// <summary>
    /// Writes one series of a histogram. <paramref name="counts"/> are per bucket, not cumulative; <paramref name="bounds"/> are their
    /// labels, from <see cref="BoundLabels"/>.
    /// </summary>
    public static void Write(
        MetricsText text, string name, string labels, IReadOnlyList<string> bounds, IReadOnlyList<long> counts, double sum)
    {
        long below = 0;
        for (var i = 0; i < counts.Count; i++)
        {
            below += counts[i];
            text.Series(name, "_bucket", labels, bounds[i], below);
        }
        text.Series(name, "_sum", labels, "", sum);
        text.Series(name, "_count", labels, "", below);
    }

    private sealed class Series(int length)
    {
        public long[] Counts { get; } = new long[length];

        public double Sum { get; set; }
    }
}

/// <summary>A Prometheus counter: one growing count for each set of labels. Thread-safe.</summary>
/// <param name="name">Full name of the metric; ends in <c>_total</c>, by Prometheus' naming rules.</param>
/// <param name="help">Text of the HELP line.</param>
internal sealed class Counter(string name, string help)
{
    private readonly ConcurrentDictionary<string, StrongBox<long>> _series = new(StringComparer.Ordinal);

    /// <summary>Sum of all series.</summary>
    public long Total => _series.Values.Sum(value => Interlocked.Read(ref value.Value));

    /// <summary>Adds to the series of these labels (<see cref="MetricsText.Labels"/>).</summary>
    public void Add(string labels, long amount = 1) =>
        Interlocked.Add(ref _series.GetOrAdd(labels, static _ => new StrongBox<long>()).Value, amount);

    /// <summary>Writes the metric with all its series.</summary>
    public void WriteTo(MetricsText text) => text.Each(name, "counter", help, _series.OrderBy(series => series.Key, StringComparer.Ordinal),
        series => series.Key, series => Interlocked.Read(ref series.Value.Value));
}
