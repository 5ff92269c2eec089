using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Shimmy.Observability;

/// <summary>How values are spread, for each set of labels: counts below bounds, their number and their sum.</summary>
/// <param name="name">Full name; its unit is its last word.</param>
/// <param name="help">What is measured.</param>
/// <param name="bounds">Upper bounds, included, in rising order; what lies above counts towards +Inf.</param>
internal sealed class Histogram(string name, string help, params double[] bounds)
{
    private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);

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

    /// <summary>Writes the family.</summary>
    public void WriteTo(MetricsText text)
    {
        text.Head(name, "histogram", help);
        foreach (var (labels, series) in _series.OrderBy(series => series.Key, StringComparer.Ordinal))
        {
            long[] counts;
            double sum;
            lock (series)
                (counts, sum) = ([.. series.Counts], series.Sum);
            Write(text, name, labels, bounds, counts, sum);
        }
    }

    /// <summary>Writes one series of a histogram; <paramref name="counts"/> has one entry more than <paramref name="bounds"/>.</summary>
    public static void Write(MetricsText text, string name, string labels, IReadOnlyList<double> bounds, IReadOnlyList<long> counts, double sum)
    {
        long below = 0;
        for (var i = 0; i < counts.Count; i++)
        {
            below += counts[i];
            var bound = MetricsText.Labels("le", MetricsText.Number(i < bounds.Count ? bounds[i] : double.PositiveInfinity));
            text.Series(name + "_bucket", labels.Length == 0 ? bound : labels + "," + bound, below);
        }
        text.Series(name + "_sum", labels, sum);
        text.Series(name + "_count", labels, below);
    }

    private sealed class Series(int length)
    {
        public long[] Counts { get; } = new long[length];

        public double Sum { get; set; }
    }
}

/// <summary>Counts that only grow, one for each set of labels.</summary>
/// <param name="name">Full name; ends in <c>_total</c> as Prometheus asks.</param>
/// <param name="help">What is counted.</param>
internal sealed class Counter(string name, string help)
{
    private readonly ConcurrentDictionary<string, StrongBox<long>> _series = new(StringComparer.Ordinal);

    /// <summary>All series together.</summary>
    public long Total => _series.Values.Sum(value => Interlocked.Read(ref value.Value));

    /// <summary>Adds to the series of these labels (<see cref="MetricsText.Labels"/>).</summary>
    public void Add(string labels, long amount = 1) =>
        Interlocked.Add(ref _series.GetOrAdd(labels, static _ => new StrongBox<long>()).Value, amount);

    /// <summary>Writes the family.</summary>
    public void WriteTo(MetricsText text) => text.Each(name, "counter", help, _series.OrderBy(series => series.Key, StringComparer.Ordinal),
        series => series.Key, series => Interlocked.Read(ref series.Value.Value));
}
