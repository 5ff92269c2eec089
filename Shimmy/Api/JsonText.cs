using System.Text.Encodings.Web;
using System.Text.Json;

namespace Shimmy.Api;

/// <summary>How JSON is read and written on the wire.</summary>
internal static class JsonText
{
    // The answers go to programs, never into a page: text stays readable instead of \u escapes.
    public static JsonWriterOptions WriterOptions { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    public static JsonDocumentOptions ReaderOptions { get; } = new() { MaxDepth = 64, AllowDuplicateProperties = false };
}
