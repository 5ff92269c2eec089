using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary>Shimmy's own dialect, with llama.cpp's tokenizer routes: every path that no other dialect claims.</summary>
internal sealed class NativeDialect : Dialect
{
    /// <summary>The dialect; it has no state.</summary>
    public static NativeDialect Instance { get; } = new();

    /// <inheritdoc/>
    public override string Prefix => "";

    /// <inheritdoc/>
    protected override void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteStartObject();
        json.WriteString("error", error.Message);
        json.WriteEndObject();
    }
}
