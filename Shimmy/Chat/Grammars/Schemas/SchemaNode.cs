using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>A subschema, with the JSON pointer to it.</summary>
internal readonly record struct SchemaNode(JsonElement Element, string Pointer)
{
    /// <summary>The schema <c>true</c>, or one without keywords.</summary>
    public bool AllowsAll => Element.ValueKind == JsonValueKind.True
        || (Element.ValueKind == JsonValueKind.Object && Element.GetPropertyCount() == 0);

    /// <summary>The schema <c>false</c>.</summary>
    public bool AllowsNone => Element.ValueKind == JsonValueKind.False;

    /// <summary>The node of a nested value.</summary>
    public SchemaNode Child(JsonElement value, params ReadOnlySpan<string> keys)
    {
        var pointer = Pointer;
        foreach (var key in keys)
            pointer += "/" + Escaped(key);
        return new SchemaNode(value, pointer);
    }

    /// <summary>A key as JSON pointers write it (RFC 6901, 3).</summary>
    public static string Escaped(string key) =>
        key.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    /// <summary>Whether the schema has a keyword; null counts as absent.</summary>
    public bool Has(string keyword, out JsonElement value) =>
        Element.TryGetProperty(keyword, out value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>The schemas in a keyword's array.</summary>
    public IReadOnlyList<SchemaNode> Children(string keyword, JsonElement array)
    {
        if (array.ValueKind != JsonValueKind.Array)
            throw Fault(keyword, "must be an array of schemas");
        var node = this;
        return [.. array.EnumerateArray().Select((child, i) => node.Child(child, keyword, i.ToString(CultureInfo.InvariantCulture)))];
    }

    /// <summary>The exception for an invalid keyword of this schema.</summary>
    public SchemaException Fault(string keyword, string problem) => new(Pointer, $"{keyword} {problem}");

    /// <summary>A keyword's value as an integer of at least 0; clamped to the range of int.</summary>
    public int Count(string keyword, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var count) && count >= 0 && count == Math.Floor(count))
            return (int)Math.Min(count, int.MaxValue);
        throw Fault(keyword, "must be a whole number of at least 0");
    }

    /// <summary>A keyword's value as a boolean.</summary>
    public bool Flag(string keyword, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Fault(keyword, "must be true or false"),
    };

    /// <summary>A keyword's value as a string.</summary>
    public string Text(string keyword, JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Fault(keyword, "must be a string");
}

/// <summary>JSON Schema's types. <c>integer</c> is part of <c>number</c>.</summary>
[Flags]
internal enum JsonTypes
{
    None = 0,
    Null = 1,
    Boolean = 2,

    /// <summary>Integers.</summary>
    Integer = 4,

    /// <summary>Numbers that are not integers.</summary>
    Fraction = 8,
    Number = Integer | Fraction,
    String = 16,
    Array = 32,
    Object = 64,
    All = Null | Boolean | Number | String | Array | Object,
}

/// <summary>Reads types from the keyword <c>type</c> and from values.</summary>
internal static class JsonTypesReader
{
    /// <summary>Reads the keyword <c>type</c>.</summary>
    public static JsonTypes Read(SchemaNode node, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            return One(node, value);
        var types = JsonTypes.None;
        foreach (var type in value.EnumerateArray())
            types |= One(node, type);
        return types;
    }

    /// <summary>The type of a value; 1.0 is an integer.</summary>
    public static JsonTypes Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => JsonTypes.Null,
        JsonValueKind.True or JsonValueKind.False => JsonTypes.Boolean,
        JsonValueKind.String => JsonTypes.String,
        JsonValueKind.Array => JsonTypes.Array,
        JsonValueKind.Object => JsonTypes.Object,
        _ => value.TryGetDouble(out var number) && number == Math.Floor(number) ? JsonTypes.Integer : JsonTypes.Fraction,
    };

    private static JsonTypes One(SchemaNode node, JsonElement name) =>
        (name.ValueKind == JsonValueKind.String ? name.GetString() : null) switch
        {
            "null" => JsonTypes.Null,
            "boolean" => JsonTypes.Boolean,
            "integer" => JsonTypes.Integer,
            "number" => JsonTypes.Number,
            "string" => JsonTypes.String,
            "array" => JsonTypes.Array,
            "object" => JsonTypes.Object,
            _ => throw node.Fault("type",
                "must be 'null', 'boolean', 'integer', 'number', 'string', 'array', 'object', or an array of these"),
        };
}

/// <summary>
/// Resolves <c>$ref</c> within one document: JSON pointers (RFC 6901), <c>$anchor</c>, and the URI of an <c>$id</c> with either behind it
/// (JSON Schema 2020-12, 8.2). Nothing is fetched.
/// </summary>
internal sealed class SchemaReferences(JsonElement document)
{
    // Names that are longer, or nested deeper, or beyond so many characters together, are not known: clients decide on them.
    private const int LongestName = 2000;
    private const int Deepest = 200;
    private const int MostCharacters = 4_000_000;

    // The base of a document that does not say its own.
    private static readonly Uri NoBase = new("schema://document/");

    private readonly Dictionary<(string Base, string Reference), SchemaNode> _known = [];

    // By their URIs: schemas with an $id, the document first, and those with an anchor. Read where the first reference needs them.
    private readonly Dictionary<string, SchemaNode> _named = [];

    // The URIs of schemas with an $id, by the pointers to them.
    private readonly Dictionary<string, Uri> _bases = [];
    private int _characters;

    // Pointers alone need no names, unless a schema with an $id has its own.
    private bool? _isNamed;

    /// <summary>The schema that a node's <c>$ref</c> points to. Throws <see cref="SchemaException"/> where there is none.</summary>
    public SchemaNode Resolve(SchemaNode from, string reference)
    {
        _isNamed ??= JsonMarshal.GetRawUtf8Value(document).IndexOf("\"$id\""u8) >= 0;
        _isNamed |= !IsPointer(reference);
        if (_isNamed == true && _bases.Count == 0)
        {
            _bases.Add("", NoBase);
            _named.Add(NoBase.AbsoluteUri, new SchemaNode(document, ""));
            Collect(document, NoBase, null);
        }
        var at = BaseOf(from.Pointer);
        var key = (at.AbsoluteUri, reference);
        if (_known.TryGetValue(key, out var known))
            return known;
        var found = Find(reference, at) ?? throw from.Fault("$ref", reference.StartsWith("#/", StringComparison.Ordinal)
            ? $"'{reference}' cannot be resolved"
            : $"'{reference}' is not a JSON pointer into this schema, such as #/$defs/name, nor an $anchor or $id of it");
        _known.Add(key, found);
        return found;
    }

    private SchemaNode? Find(string reference, Uri at)
    {
        var (path, fragment) = Split(reference);
        var root = new SchemaNode(document, "");
        if (_isNamed == false)
            return Walk(root, fragment);
        if (path.Length > 0 && !Uri.TryCreate(at, path, out at!))
            return null;
        var uri = at.AbsoluteUri;
        if (!_named.TryGetValue(uri, out var start))
            return null;
        if (fragment.Length == 0 || fragment[0] == '/')
        {
            // Generators write pointers from the document's root wherever they stand.
            return Walk(start, fragment) ?? (path.Length == 0 ? Walk(root, fragment) : null);
        }
        return _named.TryGetValue(uri + "#" + Uri.UnescapeDataString(fragment), out var named) ? named : null;
    }

    private static bool IsPointer(string reference) => reference is "" or "#" || reference.StartsWith("#/", StringComparison.Ordinal);

    // The URI of the innermost schema with an $id that a pointer leads into.
    private Uri BaseOf(string pointer)
    {
        var bases = _bases.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var rest = pointer.AsSpan(); _bases.Count > 1 && rest.Length > 0; rest = rest[..rest.LastIndexOf('/')])
        {
            // Twice as long where all of it is escaped.
            if (rest.Length <= 2 * LongestName && bases.TryGetValue(rest, out var at))
                return at;
        }
        return _bases.GetValueOrDefault("", NoBase);
    }

    private static SchemaNode? Walk(SchemaNode node, string pointer)
    {
        foreach (var part in pointer.Split('/').Skip(1))
        {
            var key = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            JsonElement found;
            switch (node.Element.ValueKind)
            {
                case JsonValueKind.Object when node.Element.TryGetProperty(key, out found):
                    break;
                case JsonValueKind.Array when int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var i)
                    && i < node.Element.GetArrayLength():
                    found = node.Element[i];
                    break;
                default:
                    return null;
            }
            node = node.Child(found, key);
        }
        return node;
    }

    // Data may have members of the same names, and a map's members are schemas by any name.
    private void Collect(JsonElement schema, Uri uri, Trail? trail)
    {
        if (trail?.Depth > Deepest)
            return;
        uri = Name(schema, uri, trail);
        foreach (var member in schema.EnumerateObject())
        {
            switch (member.Value.ValueKind)
            {
                case JsonValueKind.Array when !IsData(member.Name):
                    var items = new Trail(trail, member.Name);
                    var i = 0;
                    foreach (var item in member.Value.EnumerateArray())
                    {
                        if (item.ValueKind == JsonValueKind.Object)
                            Collect(item, uri, new Trail(items, i.ToString(CultureInfo.InvariantCulture)));
                        i++;
                    }
                    break;
                case JsonValueKind.Object when IsMap(member.Name):
                    var map = new Trail(trail, member.Name);
                    foreach (var one in member.Value.EnumerateObject())
                    {
                        if (one.Value.ValueKind == JsonValueKind.Object)
                            Collect(one.Value, uri, new Trail(map, one.Name));
                    }
                    break;
                case JsonValueKind.Object when !IsData(member.Name):
                    Collect(member.Value, uri, new Trail(trail, member.Name));
                    break;
            }
        }
    }

    private static bool IsData(string keyword) => keyword is "enum" or "const" or "default" or "examples" or "example";

    private static bool IsMap(string keyword) => keyword
        is "properties" or "$defs" or "definitions" or "patternProperties" or "dependentSchemas" or "dependencies";

    // Takes a schema under its URI and its anchor, and gives the base of what is in it. In older drafts an $id of a fragment is the anchor.
    private Uri Name(JsonElement schema, Uri uri, Trail? trail)
    {
        var (path, fragment) = Split(TextOf(schema, "$id"));
        var anchor = fragment.Length > 0 ? fragment : TextOf(schema, "$anchor");
        if (path.Length + anchor.Length == 0 || path.Length + anchor.Length + (trail?.Length ?? 0) > LongestName)
            return uri;
        _characters += uri.AbsoluteUri.Length + path.Length + anchor.Length + (trail?.Length ?? 0);
        if (_characters > MostCharacters)
            return uri;
        var node = new SchemaNode(schema, trail?.ToString() ?? "");
        if (path.Length > 0 && Uri.TryCreate(uri, path, out var own))
        {
            uri = own;
            _named.TryAdd(uri.AbsoluteUri, node);
            _bases[node.Pointer] = uri;
        }
        if (anchor.Length > 0)
            _named.TryAdd(uri.AbsoluteUri + "#" + anchor, node);
        return uri;
    }

    private static string TextOf(JsonElement schema, string keyword) =>
        schema.TryGetProperty(keyword, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    private static (string Path, string Fragment) Split(string reference) => reference.IndexOf('#', StringComparison.Ordinal) switch
    {
        < 0 => (reference, ""),
        var at => (reference[..at], reference[(at + 1)..]),
    };

    /// <summary>The way to a schema: a pointer is made where it has a name alone.</summary>
    private sealed class Trail(Trail? before, string key)
    {
        public int Depth { get; } = (before?.Depth ?? 0) + 1;

        public int Length { get; } = (before?.Length ?? 0) + key.Length + 1;

        public override string ToString() => $"{before}/{SchemaNode.Escaped(key)}";
    }
}
