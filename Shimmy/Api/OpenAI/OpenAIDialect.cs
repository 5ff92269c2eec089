using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>OpenAI's dialect: all of <c>/v1</c> that no other dialect claims.</summary>
internal sealed class OpenAIDialect : Dialect
{
    /// <summary>The dialect; it has no state.</summary>
    public static OpenAIDialect Instance { get; } = new();

    /// <inheritdoc/>
    public override string Prefix => "/v1";

    /// <inheritdoc/>
    public override RoutePolicy Policy => RoutePolicy.Recorded;

    /// <inheritdoc/>
    public override IReadOnlyList<string> UnrecordedFields { get; } =
        ["user", "metadata", "safety_identifier", "prompt_cache_key", "api_key"];

    /// <inheritdoc/>
    public override string ModelListPath => "/v1/models";

    /// <inheritdoc/>
    public override void WriteModelList(Utf8JsonWriter json, IEnumerable<string> names)
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var name in names)
        {
            json.WriteStartObject();
            json.WriteString("id"u8, name);
            json.WriteString("object"u8, "model"u8);
            json.WriteNumber("created"u8, 0);
            json.WriteString("owned_by"u8, "shimmy"u8);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <inheritdoc/>
    protected override void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteString("message", error.Message);
        json.WriteString("type", TypeOf(error.Status));
        json.WriteString("param", error.Field);
        json.WriteString("code", error.Code);
        error.Overflow?.Write(json);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        504 => "timeout_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}
