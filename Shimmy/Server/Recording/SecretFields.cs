using System.Text.Json;

namespace Shimmy.Server.Recording;

/// <summary>Fields of a request that hold secrets, at any depth: above all those of tools on other servers.</summary>
internal static class SecretFields
{
    // Without their hyphens and underscores.
    private static readonly HashSet<string> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        "authorization", "authorizationtoken", "authtoken", "accesstoken", "bearertoken", "token", "apikey", "xapikey",
        "headers", "extraheaders", "httpheaders", "clientsecret", "secret", "password", "credentials",
    };

    // What is below these in a JSON schema are names that somebody chose, not fields.
    private static readonly string[] OfSchemas = ["properties", "patternProperties", "$defs", "definitions"];

    // Addresses carry keys behind their question mark.
    private static readonly string[] Addresses = ["server_url", "url"];

    /// <summary>
    /// Replacement of a secret field's value; null where the value may stay. <paramref name="namesAreFree"/> says that the object around it
    /// describes names.
    /// </summary>
    public static string? Blanked(JsonProperty field, bool namesAreFree)
    {
        if (field.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Object or JsonValueKind.Array)
            || (namesAreFree && field.Value.ValueKind == JsonValueKind.Object))
        {
            return null;
        }

        if (Names.Contains(Plain(field.Name)))
            return SecretScrubber.Blank;
        return field.Value.ValueKind == JsonValueKind.String && Addresses.Contains(field.Name)
            && field.Value.GetString()!.IndexOf('?', StringComparison.Ordinal) is >= 0 and var mark
            ? field.Value.GetString()![..(mark + 1)] + SecretScrubber.Blank
            : null;
    }

    /// <summary>Whether the fields of the object of this name are names that somebody chose.</summary>
    public static bool HoldsFreeNames(string name) => OfSchemas.Contains(name);

    /// <summary>Whether a text has the name of a secret field in quotes.</summary>
    public static bool AreIn(string text)
    {
        var plain = Plain(text);
        return Names.Any(name => plain.Contains($"\"{name}\"", StringComparison.OrdinalIgnoreCase));
    }

    private static string Plain(string text) => text.Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal);
}
