using System.Text;
using Shimmy.Api.OpenAI;
using Shimmy.Server.Recording;

namespace Shimmy.Tests.Server.Recording;

/// <summary>Which requests get the same recorded answer.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class CanonicalRequestTests
{
    private const string Route = "POST /v1/chat/completions";

    [TestMethod]
    [DataRow("""{"model":"m","seed":1}""", """{ "seed" : 1,  "model":"m" }""")]
    [DataRow("""{"model":"m","temperature":1}""", """{"model":"m","temperature":1.0}""")]
    [DataRow("""{"model":"m","temperature":0.7}""", """{"model":"m","temperature":7e-1}""")]
    [DataRow("""{"model":"m"}""", """{"model":"m","user":"somebody","metadata":{"run":"17"},"safety_identifier":"x","prompt_cache_key":"y"}""")]
    [DataRow("""{"model":"m"}""", """{"model":"m","stop":null}""")]
    [DataRow("""{"model":"m"}""", """{"model":"m","stream":false}""")]
    [DataRow("""{"tools":[{"type":"mcp","headers":{"A":"b"}}]}""", """{"tools":[{"type":"mcp","headers":{"Authorization":"c"}}]}""")]
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
    [DataRow("""{"authorization":"one""", """{"authorization":"other""")]
    [DataRow("""{"parameters":{"properties":{"headers":{"type":"object"}}}}""", """{"parameters":{"properties":{"headers":{"type":"string"}}}}""")]
    public void What_a_client_asks_makes_one(string one, string other) => Assert.AreNotEqual(Of(one).Key, Of(other).Key);

    [TestMethod]
    public void The_route_makes_one_too() =>
    Assert.AreNotEqual(Of("{}").Key, CanonicalRequest.Of("POST /v1/completions", "{}"u8.ToArray(), []).Key);

    [TestMethod]
    public void What_is_written_is_the_clients_own_order_without_what_passes()
    {
        var request =
            Of("""{ "model": "m", "user": "me", "messages": [ {"role":"user", "content":"<é>\n"} ], "temperature": 1.0, "api_key": "k" }""");

        Assert.AreEqual("""{"model":"m","messages":[{"role":"user","content":"<é>\n"}],"temperature":1.0}""", request.Body);
        Assert.AreEqual("m", request.Model);
        Assert.AreEqual(request.Key, CanonicalRequest.Of(Route, Encoding.UTF8.GetBytes(request.Body!), []).Key);
    }

    [TestMethod]
    [DataRow("""{"tools":[{"type":"mcp","server_url":"https://x/?k=KEY","headers":{"Authorization":"Bearer KEY"},"authorization":"KEY"}]}""",
        """{"tools":[{"type":"mcp","server_url":"https://x/?[key]","headers":"[key]","authorization":"[key]"}]}""")]
    [DataRow("""{"mcp_servers":[{"url":"https://x/y","authorization_token":"KEY"}],"X-API-Key":"KEY","extra":{"apiKey":["KEY"],"auth":{"token":"KEY"}},"max_tokens":5}""",
        """{"mcp_servers":[{"url":"https://x/y","authorization_token":"[key]"}],"X-API-Key":"[key]","extra":{"apiKey":"[key]","auth":{"token":"[key]"}},"max_tokens":5}""")]
    [DataRow("""{"parameters":{"properties":{"api_key":{"type":"string"},"password":null},"required":["api_key"]}}""",
        """{"parameters":{"properties":{"api_key":{"type":"string"},"password":null},"required":["api_key"]}}""")]
    public void Fields_that_are_made_for_keys_are_blanked_and_those_of_schemas_stay(string body, string expected)
    {
        var request = Of(body);

        Assert.AreEqual(expected, request.Body);
        Assert.AreEqual(request.Key, Of(request.Body!).Key);
    }

    [TestMethod]
    public void A_body_that_is_no_JSON_and_may_hold_a_key_is_kept_as_its_hash()
    {
        var request = Of("""{"tools":[{"headers":{"x":"KEY"}""");

        Assert.StartsWith("sha256:", request.Text!);
        Assert.HasCount(71, request.Text!);
        Assert.AreEqual(request.Key, Of(request.Text!).Key);
    }

    private static CanonicalRequest Of(string body) =>
        CanonicalRequest.Of(Route, Encoding.UTF8.GetBytes(body), OpenAIDialect.Instance.UnrecordedFields);
}
