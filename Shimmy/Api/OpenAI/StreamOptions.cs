namespace Shimmy.Api.OpenAI;

/// <summary><c>stream_options</c>, which chat and text completions share.</summary>
internal static class StreamOptions
{
    /// <summary>Whether a chunk with the usage is wanted at the end; throws <see cref="ApiException"/> where the field is wrong.</summary>
    public static bool IncludeUsage(RequestFields fields)
    {
        // include_obfuscation asks for padding against eavesdroppers on the way; on loopback there is nothing to hide.
        var options = fields.Object("stream_options");
        _ = options?.Flag("include_obfuscation");
        return options?.Flag("include_usage") ?? false;
    }
}
