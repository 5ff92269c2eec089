using Shimmy.Observability;

namespace Shimmy.Tests.Observability;

[TestClass]
[TestCategory("Unit")]
public sealed class MetricsTextTests
{
    [TestMethod]
    public void Labels_are_escaped_as_the_format_asks() =>
        Assert.AreEqual("a=\"x\\\\y\\\"z\\n\",b=\"\"", MetricsText.Labels("a", "x\\y\"z\n", "b", ""));

    [TestMethod]
    [DataRow(0, "0")]
    [DataRow(12345678901234, "12345678901234")]
    [DataRow(0.25, "0.25")]
    [DataRow(1e-7, "1E-07")]
    [DataRow(double.PositiveInfinity, "+Inf")]
    public void Numbers_are_written_the_same_everywhere(double value, string text) => Assert.AreEqual(text, MetricsText.Number(value));

    [TestMethod]
    public void A_counter_has_a_series_for_each_set_of_labels()
    {
        var counter = new Counter("things_total", "Things.");
        counter.Add(MetricsText.Labels("kind", "b"), 2);
        counter.Add(MetricsText.Labels("kind", "a"));
        counter.Add(MetricsText.Labels("kind", "b"));
        var text = new MetricsText();
        counter.WriteTo(text);

        Assert.AreEqual(
            "# HELP things_total Things.\n# TYPE things_total counter\nthings_total{kind=\"a\"} 1\nthings_total{kind=\"b\"} 3\n",
                text.ToString());
        Assert.AreEqual(4, counter.Total);
    }

    [TestMethod]
    public void Text_that_is_kept_is_written_anew_once_what_it_says_changes()
    {
        var (kept, written) = (new MetricsTextCache(), 0);
        object first = new();

        Assert.AreEqual("n 1\n", Write(first, 1L));
        Assert.AreEqual("n 1\n", Write(first, 1L), "the same");
        Assert.AreEqual("n 2\n", Write(first, 2L), "a number has changed");
        Assert.AreEqual("n 3\n", Write(new object(), 2L), "an object is another");
        Assert.AreEqual("n 4\n", Write(first, 2L, null), "there is one more");

        string Write(params object?[] of)
        {
            using var text = new MetricsText();
            kept.Write(text, of, text => text.Series("n", "", ++written));
            return text.ToString();
        }
    }

    [TestMethod]
    public void The_buckets_of_a_histogram_count_all_below_their_bound()
    {
        var histogram = new Histogram("time_seconds", "Time.", 1, 2.5);
        foreach (var value in (double[])[0.5, 1, 2, 99])
            histogram.Observe("", value);
        var text = new MetricsText();
        histogram.WriteTo(text);

        Assert.AreEqual("""
            # HELP time_seconds Time.
            # TYPE time_seconds histogram
            time_seconds_bucket{le="1"} 2
            time_seconds_bucket{le="2.5"} 3
            time_seconds_bucket{le="+Inf"} 4
            time_seconds_sum 102.5
            time_seconds_count 4

            """.ReplaceLineEndings("\n"), text.ToString());
    }

    [TestMethod]
    [DataRow("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")]
    [DataRow("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")]
    [DataRow("", "", "")]
    [DataRow("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "", "")]
    [DataRow("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "", "")]
    [DataRow("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "", "")]
    [DataRow("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "", "")]
    [DataRow("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "", "")]
    [DataRow("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", "", "")]
    public void A_trace_goes_on_where_the_header_is_valid(string header, string trace, string parent)
    {
        var context = TraceContext.Of(header, begin: false);
        Assert.AreEqual((trace, parent), (context.TraceId, context.ParentId));
        Assert.AreEqual(trace.Length > 0 ? 16 : 0, context.SpanId.Length);
        // Where traces are exported, one begins here.
        Assert.AreEqual(32, TraceContext.Of(header, begin: true).TraceId.Length);
    }
}
