using System.Text;
using Shimmy.Server.Recording;

namespace Shimmy.Tests.Server.Recording;

/// <summary>The lines of a recording.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ExchangeLineTests
{
    [TestMethod]
    [DataRow("""{"id":"x","n":1.50,"text":"é <b> \" \\ \u0001"}""")]
    [DataRow("[1,2]")]
    [DataRow("""{"not":"json" """)]
    [DataRow("{\n \"two\": \"lines\"\n}")]
    [DataRow("plain")]
    [DataRow("")]
    public void An_answer_keeps_its_bytes(string answer)
    {
        var line = Encoding.UTF8.GetString(
            ExchangeLine.Write(new Exchange(Request(), 200) { Answer = Encoding.UTF8.GetBytes(answer), Milliseconds = 1.26 }));

        Assert.EndsWith("\n", line);
        Assert.AreEqual(1, line.Count(c => c == '\n'));
        var read = ExchangeLine.Read(Encoding.UTF8.GetBytes(line), []);
        Assert.AreEqual(answer, Encoding.UTF8.GetString(read.Wire()));
        Assert.AreEqual((200, 1.3, Request().Key), (read.Status, read.Milliseconds, read.Request.Key));
    }

    [TestMethod]
    public void A_stream_keeps_its_bytes_and_reads_well()
    {
        const string stream =
            "event: message_start\ndata: {\"a\":1.0}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n: a comment\n\ndata: {\"b\":\"é\"}\n\ndata: two\ndata: lines\n\ndata: [DONE]\n\n";
        var pieces = StreamPiece.Split(Encoding.UTF8.GetBytes(stream), [(38, 1), (39, 2), (Encoding.UTF8.GetByteCount(stream), 9.96)]);
        var line = Encoding.UTF8.GetString(ExchangeLine.Write(new Exchange(Request(), 200) { Stream = pieces }));

        Assert.AreEqual(
            """
            {"request":"POST /v1/completions","body":{"model":"m"},"status":200,"stream":[{"ms":1,"event":"message_start","data":{"a":1.0}},{"ms":10,"event":"ping","data":{"type": "ping"}},{"ms":10,"raw":": a comment\n\n"},{"ms":10,"data":{"b":"é"}},{"ms":10,"raw":"data: two\ndata: lines\n\n"},{"ms":10,"data":"[DONE]"}]}

            """, line);
        Assert.AreEqual(stream, Encoding.UTF8.GetString(ExchangeLine.Read(Encoding.UTF8.GetBytes(line), []).Wire()));
    }

    [TestMethod]
    public void A_body_that_is_no_JSON_is_recorded_as_text()
    {
        var exchange =
            new Exchange(CanonicalRequest.Of("POST /v1/completions", "{\"model\":"u8.ToArray(), []), 400) { Answer = "{}"u8.ToArray() };
        var line = ExchangeLine.Write(exchange);

        Assert.Contains("\"text\":\"{\\\"model\\\":\"", Encoding.UTF8.GetString(line));
        Assert.AreEqual(exchange.Request.Key, ExchangeLine.Read(line, []).Request.Key);
    }

    [TestMethod]
    public void A_request_without_a_body_has_none()
    {
        var exchange = new Exchange(CanonicalRequest.Of("GET /v1/models", [], []), 200) { Answer = "{}"u8.ToArray() };
        var line = ExchangeLine.Write(exchange);

        Assert.AreEqual("{\"request\":\"GET /v1/models\",\"status\":200,\"answer\":{},\"ms\":0}\n", Encoding.UTF8.GetString(line));
        Assert.AreEqual(exchange.Request.Key, ExchangeLine.Read(line, []).Request.Key);
    }

    [TestMethod]
    [DataRow("""{"request":"POST /v1/completions","body":{"model":"m"},"sta""")]
    [DataRow("""{"request":"POST /v1/completions"}""")]
    [DataRow("""{"request":7,"status":200,"answer":{}}""")]
    [DataRow("""{"request":null,"status":200,"answer":{}}""")]
    [DataRow("""{"request":"GET /v1/models","status":99,"answer":{}}""")]
    [DataRow("""{"request":"GET /v1/models","status":200}""")]
    [DataRow("""{"request":"GET /v1/models","status":200,"stream":{}}""")]
    [DataRow("""{"request":"GET /v1/models","status":200,"stream":[1]}""")]
    [DataRow("""{"request":"GET /v1/models","status":200,"stream":[{"raw":null}]}""")]
    [DataRow("""{"request":"GET /v1/models","status":99999999999,"answer":{}}""")]
    [DataRow("""{"request":"GET /v1/models","body":7,"status":200,"raw":null}""")]
    [DataRow("[]")]
    [DataRow("<<<<<<< HEAD")]
    public void A_line_that_is_none_is_refused_with_its_reason(string line)
    {
        var refused = Assert.ThrowsExactly<FormatException>(() => ExchangeLine.Read(Encoding.UTF8.GetBytes(line), []));
        Assert.StartsWith("it", refused.Message);
    }

    private static CanonicalRequest Request() => CanonicalRequest.Of("POST /v1/completions", "{\"model\":\"m\"}"u8.ToArray(), []);
}
