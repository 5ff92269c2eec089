namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Regular expressions for the formats of strings (JSON Schema 2020-12, validation 7.3). Each matches only texts of its format, without its
/// rare forms (comments in mail addresses, leap seconds, years before 1000).
/// </summary>
internal static class StringFormats
{
    private const string Date =
        "([1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))" +
        "|([1-9]\\d(0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)";
    private const string Time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-](0\\d|1[0-3]):[0-5]\\d)";
    private const string Label = "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
    private const string Byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
    private const string Group = "[0-9A-Fa-f]{1,4}";
    private const string UriCharacter = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
    private const string UriRest =
        $"(/{UriCharacter}{{0,200}}){{0,20}}(\\?({UriCharacter}|[/?]){{0,500}})?(#({UriCharacter}|[/?]){{0,200}})?";
    private const string Uri = $"[A-Za-z][A-Za-z0-9+.-]{{1,30}}://{Label}(\\.{Label}){{0,4}}(:[1-9]\\d{{0,3}})?{UriRest}";

    private static readonly Dictionary<string, string> Patterns = new()
    {
        ["date"] = Date,
        ["time"] = Time,
        ["date-time"] = $"{Date}T{Time}",
        ["duration"] =
            "P(\\d{1,4}W|\\d{1,4}Y(\\d{1,2}M(\\d{1,3}D)?)?|\\d{1,3}M(\\d{1,3}D)?|\\d{1,4}D(T(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S))?" +
            "|T(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S))",
        ["email"] = $"[A-Za-z0-9_+-]{{1,32}}(\\.[A-Za-z0-9_+-]{{1,15}}){{0,2}}@{Label}(\\.{Label}){{1,3}}",
        ["hostname"] = $"{Label}(\\.{Label}){{0,6}}",
        ["ipv4"] = $"{Byte}(\\.{Byte}){{3}}",
        ["ipv6"] = $"(({Group}:){{7}}{Group}|({Group}:){{1,6}}:{Group}|::({Group}:){{0,6}}{Group}|({Group}:){{1,7}}:|::)",
        ["uri"] = Uri,
        ["url"] = Uri,
        ["uri-reference"] = $"({Uri}|{UriRest})",
        ["uuid"] = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    };

    /// <summary>Names of the supported formats.</summary>
    public static IEnumerable<string> Names => Patterns.Keys;

    /// <summary>The anchored pattern of a format; null where the format is not supported.</summary>
    public static string? PatternOf(string format) => Patterns.TryGetValue(format, out var pattern) ? $"^({pattern})$" : null;
}
