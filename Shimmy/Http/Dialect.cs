using System.Buffers;
using System.Text.Json;

namespace Shimmy.Http;

/// <summary>
/// A wire dialect, such as OpenAI's: what holds for all routes below its prefix. Each is declared once, in its folder below <c>Api</c>, and
/// listed with its endpoints in <c>Server/Routes</c>.
/// </summary>
internal abstract class Dialect
{
    /// <summary>
    /// First segments of the dialect's paths. Of several that fit a path the longest counts, of two that are alike the one that was listed
    /// first; the empty one fits every path.
    /// </summary>
    public abstract string Prefix { get; }

    /// <summary>Policy of routes that are mapped without one, and of paths below the prefix that no route has.</summary>
    public virtual RoutePolicy Policy => RoutePolicy.None;

    /// <summary>
    /// Response header in which the dialect's clients look for the request id, beside <c>x-request-id</c>; null where there is none.
    /// </summary>
    public virtual string? RequestIdHeader => null;

    /// <summary>Top-level fields of a request body that say who asks, not what: recordings leave them out.</summary>
    public virtual IReadOnlyList<string> UnrecordedFields => [];

    /// <summary>
    /// Path of the dialect's list of models, which a replaying server writes itself where none was recorded; null where there is none.
    /// </summary>
    public virtual string? ModelListPath => null;

    /// <summary>The HTTP status that the dialect's clients expect of an error.</summary>
    public virtual int StatusOf(ApiError error) => error.Status;

    /// <summary>The body of an error response.</summary>
    public byte[] ErrorBody(ApiError error, string? requestId = null)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
            WriteError(json, error, requestId);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Writes a list of models of which nothing but the names is known (<see cref="ModelListPath"/>).</summary>
    public virtual void WriteModelList(Utf8JsonWriter json, IEnumerable<string> names)
    {
    }

    /// <summary>Writes the JSON object of <see cref="ErrorBody"/>.</summary>
    protected abstract void WriteError(Utf8JsonWriter json, ApiError error, string? requestId);
}
