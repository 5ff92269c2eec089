using System.Globalization;
using System.Text;

namespace Shimmy.Observability;

/// <summary>
/// Writes metrics in Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). The format requires all
/// series of a metric together, after its HELP and TYPE lines.
/// </summary>
internal sealed class MetricsText
{
    /// <summary>The format's Content-Type.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder _text = new(16 << 10);

    /// <summary>Writes the HELP and TYPE lines of a metric; <paramref name="type"/> is counter, gauge or histogram.</summary>
    public void Head(string name, string type, string help) =>
        _text.Append("# HELP ").Append(name).Append(' ').Append(help)
            .Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

    /// <summary>Writes one series; <paramref name="labels"/> is made by <see cref="Labels"/> or empty.</summary>
    public void Series(string name, string labels, double value)
    {
        _text.Append(name);
        if (labels.Length > 0)
            _text.Append('{').Append(labels).Append('}');
        _text.Append(' ').Append(Number(value)).Append('\n');
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
    public override string ToString() => _text.ToString();
}
