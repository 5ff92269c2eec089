using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Shimmy.Observability;

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
