using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Api.Anthropic;

namespace Shimmy.Http;

/// <summary>The error bodies of the dialects, chosen by route: Anthropic's for messages, OpenAI's else below <c>/v1</c>, our own elsewhere.</summary>
internal static class ErrorBody
{
    /// <summary>The body of an error for the route of this request.</summary>
    public static byte[] For(PathString path, ApiError error, string? requestId = null)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
        {
            writer.WriteStartObject();
            if (path.StartsWithSegments("/v1/messages"))
                AnthropicJson.WriteError(writer, error, requestId);
            else if (path.StartsWithSegments("/v1"))
                WriteOpenAI(writer, error);
            else
                writer.WriteString("error", error.Message);
            writer.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteOpenAI(Utf8JsonWriter writer, ApiError error)
    {
        writer.WriteStartObject("error");
        writer.WriteString("message", error.Message);
        writer.WriteString("type", TypeOf(error.Status));
        writer.WriteString("param", error.Field);
        writer.WriteString("code", error.Code);
        writer.WriteEndObject();
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
