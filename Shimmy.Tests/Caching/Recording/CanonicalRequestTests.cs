using System.Text;
using Shimmy.Caching.Recording;

namespace Shimmy.Tests.Caching.Recording;

/// <summary>Which requests get the same recorded answer.</summary>
[TestClass]
public sealed class CanonicalRequestTests
{
    private const string Route = "POST /v1/chat/completions";

    [TestMethod]
    [DataRow("""{"model":"m","seed":1}""", """{ "seed" : 1,  "model":"m" }""")]
    [DataRow("""{"model":"m","temperature":1}""", """{"model":"m","temperature":1.0}""")]
    [DataRow("""{"model":"m","temperature":0.7}""", """{"model":"m","temperature":7e-1}""")]
    [DataRow("""{"model":"m"}""", """{"model":"m","user":"somebody","metadata":{"run":"17"},"safety_identifier":"x","prompt_cache_key":"y"}""")]
    [DataRow("""{"model":"m"}""", """{"model":"m","stop":null}""")]
    [DataRow("""{"text":"é"}""", """{"text":"\u00e9"}""")]
    [DataRow("""{"messages":[{"tool_calls":[{"id":"call_1"},{"id":"call_2"}]},{"tool_call_id":"call_1"},{"tool_call_id":"call_2"}]}""",
        """{"messages":[{"tool_calls":[{"id":"x"},{"id":"y"}]},{"tool_call_id":"x"},{"tool_call_id":"y"}]}""")]
    public void What_differs_from_run_to_run_makes_no_difference(string one, string other) => Assert.AreEqual(Of(one).Key, Of(other).Key);

    [TestMethod]
    [DataRow("""{"model":"m"}""", """{"model":"n"}""")]
    [DataRow("""{"seed":1}""", """{"seed":"1"}""")]
    [DataRow("""{"seed":1}""", """{"seed":2}""")]
    [DataRow("""{"stop":["a","b"]}""", """{"stop":["b","a"]}""")]
    [DataRow("""{"stream":true}""", """{}""")]
    [DataRow("""{"previous_response_id":"resp_1"}""", """{"previous_response_id":"resp_2"}""")]
    [DataRow("""{"messages":[{"tool_calls":[{"id":"call_1"},{"id":"call_2"}]},{"tool_call_id":"call_1"}]}""",
        """{"messages":[{"tool_calls":[{"id":"call_1"},{"id":"call_2"}]},{"tool_call_id":"call_2"}]}""")]
    [DataRow("""{"input":{"user":"a"}}""", """{"input":{"user":"b"}}""")]
    [DataRow("not JSON", "not JSON either")]
    public void What_a_client_asks_makes_one(string one, string other) => Assert.AreNotEqual(Of(one).Key, Of(other).Key);

    [TestMethod]
    public void The_route_makes_one_too() => Assert.AreNotEqual(Of("{}").Key, CanonicalRequest.Of("POST /v1/completions", "{}"u8.ToArray()).Key);

    [TestMethod]
    public void What_is_written_is_the_clients_own_order_without_what_passes()
    {
        var request = Of("""{ "model": "m", "user": "me", "messages": [ {"role":"user", "content":"<é>\n"} ], "temperature": 1.0, "api_key": "k" }""");

        Assert.AreEqual("""{"model":"m","messages":[{"role":"user","content":"<é>\n"}],"temperature":1.0}""", request.Body);
        Assert.AreEqual("m", request.Model);
        Assert.AreEqual(request.Key, CanonicalRequest.Of(Route, Encoding.UTF8.GetBytes(request.Body!)).Key);
    }

    private static CanonicalRequest Of(string body) => CanonicalRequest.Of(Route, Encoding.UTF8.GetBytes(body));
}
