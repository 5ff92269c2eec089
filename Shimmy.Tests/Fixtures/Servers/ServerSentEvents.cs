using System.Text.Json;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>Reads the text of a stream of server-sent events, each of which has one line of data.</summary>
internal static class ServerSentEvents
{
    /// <summary>The data of the events in their order, <c>[DONE]</c> included.</summary>
    public static string[] Data(string stream) =>
        [.. stream.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(one => one[(one.IndexOf("data: ", StringComparison.Ordinal) + "data: ".Length)..])];

    /// <summary>The data of the events as JSON, without <c>[DONE]</c>.</summary>
    public static JsonElement[] Json(string stream) =>
        [.. Data(stream).Where(data => data != "[DONE]").Select(data => JsonElement.Parse(data))];
}
