using System.Globalization;
using System.Text;

namespace Shimmy.Observability;

/// <summary>
/// Writes metrics in the text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). All series of a
/// family must be written together, behind its head.
/// </summary>
internal sealed class MetricsText
{
    /// <summary>The content type of the format.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder _text = new(16 << 10);

    /// <summary>Begins a family; <paramref name="type"/> is counter, gauge or histogram.</summary>
    public void Head(string name, string type, string help) =>
        _text.Append("# HELP ").Append(name).Append(' ').Append(help).Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

    /// <summary>Writes a series; <paramref name="labels"/> come from <see cref="Labels"/> and may be empty.</summary>
    public void Series(string name, string labels, double value)
    {
        _text.Append(name);
        if (labels.Length > 0)
            _text.Append('{').Append(labels).Append('}');
        _text.Append(' ').Append(Number(value)).Append('\n');
    }

    /// <summary>A family of one series without labels.</summary>
    public void Single(string name, string type, string help, double value)
    {
        Head(name, type, help);
        Series(name, "", value);
    }

    /// <summary>A family with a series for each item.</summary>
    public void Each<T>(string name, string type, string help, IEnumerable<T> items, Func<T, string> labels, Func<T, double> value)
    {
        Head(name, type, help);
        foreach (var item in items)
            Series(name, labels(item), value(item));
    }

    /// <summary>The labels of a series: names and values in turn. Values are escaped as the format asks.</summary>
    public static string Labels(params ReadOnlySpan<string> namesAndValues)
    {
        var text = new StringBuilder();
        for (var i = 0; i + 1 < namesAndValues.Length; i += 2)
        {
            text.Append(i == 0 ? "" : ",").Append(namesAndValues[i]).Append("=\"");
            text.Append(namesAndValues[i + 1].Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');
        }
        return text.ToString();
    }

    /// <summary>A number as the format writes it.</summary>
    public static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);

    /// <inheritdoc/>
    public override string ToString() => _text.ToString();
}
