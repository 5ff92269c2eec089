using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

/// <summary>
/// Judges a value by a JSON schema, straight from the specification (2020-12): every keyword on its own, nothing merged, so that it shares
/// no thought with the compiler. Knows the keywords that the compiler takes.
/// </summary>
internal sealed class SchemaValidator(JsonElement document)
{
    /// <summary>Null where the value is valid, else where and why it is not.</summary>
    public string? Judge(JsonElement value) => Judge(document, value, "");

    private string? Judge(JsonElement schema, JsonElement value, string at)
    {
        if (schema.ValueKind == JsonValueKind.True)
            return null;
        if (schema.ValueKind == JsonValueKind.False)
            return $"{at}: nothing is allowed";
        foreach (var keyword in schema.EnumerateObject())
        {
            if (Judge(schema, keyword.Name, keyword.Value, value, at) is { } fault)
                return fault;
        }
        return null;
    }

    private string? Judge(JsonElement schema, string keyword, JsonElement says, JsonElement value, string at)
    {
        var fault = $"{at}: {keyword} {says} but {value}";
        bool Fails(bool ok) => !ok;
        switch (keyword)
        {
            case "$ref":
                return Judge(Resolve(says.GetString()!), value, at);
            case "type":
                var types = says.ValueKind == JsonValueKind.Array
                    ? says.EnumerateArray().Select(type => type.GetString()!)
                    : [says.GetString()!];
                var nullable = schema.TryGetProperty("nullable", out var flag) && flag.GetBoolean()
                    && value.ValueKind == JsonValueKind.Null;
                return Fails(nullable || types.Any(type => IsOf(value, type))) ? fault : null;
            case "enum":
                return Fails(says.EnumerateArray().Any(one => JsonElement.DeepEquals(one, value))) ? fault : null;
            case "const":
                return Fails(JsonElement.DeepEquals(says, value)) ? fault : null;
            case "anyOf":
                return Fails(says.EnumerateArray().Any(one => Judge(one, value, at) is null)) ? fault : null;
            case "oneOf":
                return Fails(says.EnumerateArray().Count(one => Judge(one, value, at) is null) == 1) ? fault : null;
            case "allOf":
                return says.EnumerateArray().Select(one => Judge(one, value, at)).FirstOrDefault(one => one is not null);
        }
        return value.ValueKind switch
        {
            JsonValueKind.String => JudgeText(keyword, says, value.GetString()!) ? null : fault,
            JsonValueKind.Number => JudgeNumber(keyword, says, value.GetDouble()) ? null : fault,
            JsonValueKind.Array => JudgeArray(schema, keyword, says, [.. value.EnumerateArray()], at, fault),
            JsonValueKind.Object => JudgeObject(schema, keyword, says, value, at, fault),
            _ => null,
        };
    }

    private static bool JudgeText(string keyword, JsonElement says, string text) => keyword switch
    {
        "minLength" => text.EnumerateRunes().Count() >= says.GetInt32(),
        "maxLength" => text.EnumerateRunes().Count() <= says.GetInt32(),
        "pattern" =>
            Regex.IsMatch(text,
                Regex.Replace(says.GetString()!, @"\\u\{(\w+)\}",
                    match => char.ConvertFromUtf32(Convert.ToInt32(match.Groups[1].Value, 16))),
                        RegexOptions.ECMAScript | RegexOptions.CultureInvariant),
        "format" => IsOfFormat(text, says.GetString()!),
        _ => true,
    };

    private static bool JudgeNumber(string keyword, JsonElement says, double number) => keyword switch
    {
        "minimum" => number >= says.GetDouble(),
        "maximum" => number <= says.GetDouble(),
        // draft 4; the tests say what is meant
        "exclusiveMinimum" or "exclusiveMaximum" when says.ValueKind is JsonValueKind.True or JsonValueKind.False => true,
        "exclusiveMinimum" => number > says.GetDouble(),
        "exclusiveMaximum" => number < says.GetDouble(),
        _ => true,
    };

    private string? JudgeArray(JsonElement schema, string keyword, JsonElement says, JsonElement[] items, string at, string fault)
    {
        var prefix = schema.TryGetProperty("prefixItems", out var list)
            || (schema.TryGetProperty("items", out list) && list.ValueKind == JsonValueKind.Array)
            ? list.GetArrayLength() : 0;
        return keyword switch
        {
            "minItems" => items.Length >= says.GetInt32() ? null : fault,
            "maxItems" => items.Length <= says.GetInt32() ? null : fault,
            "prefixItems" or "items" when says.ValueKind == JsonValueKind.Array =>
                items.Zip(says.EnumerateArray()).Select((pair, i) => Judge(pair.Second, pair.First, $"{at}/{i}"))
                    .FirstOrDefault(one => one is not null),
            "items" or "additionalItems" =>
                items.Skip(prefix).Select((item, i) => Judge(says, item, $"{at}/{prefix + i}")).FirstOrDefault(one => one is not null),
            _ => null,
        };
    }

    private string? JudgeObject(JsonElement schema, string keyword, JsonElement says, JsonElement value, string at, string fault)
    {
        switch (keyword)
        {
            case "minProperties":
                return value.EnumerateObject().Select(member => member.Name).Distinct().Count() >= says.GetInt32() ? null : fault;
            case "maxProperties":
                return value.EnumerateObject().Select(member => member.Name).Distinct().Count() <= says.GetInt32() ? null : fault;
            case "required":
                return says.EnumerateArray().All(name => value.TryGetProperty(name.GetString()!, out _)) ? null : fault;
            case "properties":
                foreach (var property in says.EnumerateObject())
                {
                    if (value.TryGetProperty(property.Name, out var child)
                        && Judge(property.Value, child, $"{at}/{property.Name}") is { } wrong)
                    {
                        return wrong;
                    }
                }
                return null;
            case "additionalProperties":
                var named = schema.TryGetProperty("properties", out var properties)
                    ? properties.EnumerateObject().Select(member => member.Name).ToHashSet()
                    : [];
                return value.EnumerateObject().Where(member => !named.Contains(member.Name))
                    .Select(member => Judge(says, member.Value, $"{at}/{member.Name}")).FirstOrDefault(one => one is not null);
            default:
                return null;
        }
    }

    private JsonElement Resolve(string reference) =>
        reference.Split('/').Skip(1).Aggregate(document, (node, key) => node.ValueKind == JsonValueKind.Array
        ? node[int.Parse(key, CultureInfo.InvariantCulture)]
        : node.GetProperty(Uri.UnescapeDataString(key).Replace("~1", "/", StringComparison.Ordinal)
            .Replace("~0", "~", StringComparison.Ordinal)));

    private static bool IsOf(JsonElement value, string type) => type switch
    {
        "null" => value.ValueKind == JsonValueKind.Null,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "integer" => value.ValueKind == JsonValueKind.Number && Math.Floor(value.GetDouble()) == value.GetDouble(),
        "number" => value.ValueKind == JsonValueKind.Number && double.IsFinite(value.GetDouble()),
        "string" => value.ValueKind == JsonValueKind.String,
        "array" => value.ValueKind == JsonValueKind.Array,
        _ => value.ValueKind == JsonValueKind.Object,
    };

    /// <summary>Formats, judged by the framework's own readers where it has one.</summary>
    public static bool IsOfFormat(string text, string format) => format switch
    {
        "date" => DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
        "date-time" => text.Length > 19 && text[10] == 'T' && IsDateTime(text),
        "time" => IsDateTime("2024-02-29T" + text),
        "duration" => IsDuration(text),
        "uuid" => Guid.TryParseExact(text, "D", out _),
        "ipv4" => System.Net.IPAddress.TryParse(text, out var four)
            && four.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork && four.ToString() == text,
        "ipv6" => System.Net.IPAddress.TryParse(text, out var six) && six.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6,
        "email" => System.Net.Mail.MailAddress.TryCreate(text, out var mail) && mail.Address == text,
        "hostname" => text.Length <= 253 && Uri.CheckHostName(text) is UriHostNameType.Dns or UriHostNameType.IPv4,
        "uri" or "url" => Uri.IsWellFormedUriString(text, UriKind.Absolute) || Uri.TryCreate(text, UriKind.Absolute, out _),
        "uri-reference" => Uri.TryCreate(text, UriKind.RelativeOrAbsolute, out _),
        _ => true,
    };

    private static bool IsDateTime(string text) => DateTimeOffset.TryParseExact(text.Replace("Z", "+00:00", StringComparison.Ordinal),
        ["yyyy-MM-ddTHH:mm:sszzz", "yyyy-MM-ddTHH:mm:ss.FFFFFFFzzz"], CultureInfo.InvariantCulture, DateTimeStyles.None, out _);

    private static bool IsDuration(string text) =>
        Regex.IsMatch(text, "^P(?=.)((\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+S)?)?|\\d+W)$");
}
