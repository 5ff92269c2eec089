using System.Text.Json;

namespace Shimmy.SafeTensors.Files;

/// <summary>
/// Reads the JSON files of a folder: limits before anything is allocated, and errors that name the file and the key. Numbers may be
/// written with a fraction of zero, and null is absent, as Python's libraries have it.
/// </summary>
internal readonly struct PlainJson
{
    private const int DeepestNesting = 64;

    // Of the largest tokenizers half as many are known; each takes memory of its own, however short it is.
    private const int MostValues = 1 << 22;

    private readonly JsonElement _element;
    private readonly string _where;

    public PlainJson(JsonElement element, string where)
    {
        _element = element;
        _where = where;
    }

    /// <summary>The value's place, for errors: "config.json, rope_scaling".</summary>
    public string Where => _where;

    /// <summary>Whether the value is an object.</summary>
    public bool IsObject => _element.ValueKind == JsonValueKind.Object;

    /// <summary>Whether the value is an array.</summary>
    public bool IsArray => _element.ValueKind == JsonValueKind.Array;

    /// <summary>The value as a string; null for any other kind, and for a string that is no Unicode text.</summary>
    public string? AsText => _element.ValueKind == JsonValueKind.String ? Safe(_element) : null;

    /// <summary>The value as a boolean; null for any other kind.</summary>
    public bool? AsFlag => _element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    /// <summary>The value as a whole number; null for any other kind.</summary>
    public long? AsInteger => AsNumber is { } number && Math.Abs(number) < 1e15 && Math.Floor(number) == number ? (long)number : null;

    /// <summary>The value as a number; null for any other kind.</summary>
    public double? AsNumber => _element.ValueKind == JsonValueKind.Number && _element.TryGetDouble(out var number) ? number : null;

    /// <summary>The elements of an array, or nothing.</summary>
    public IEnumerable<PlainJson> Items
    {
        get
        {
            if (_element.ValueKind != JsonValueKind.Array)
                yield break;

            foreach (var item in _element.EnumerateArray())
                yield return new PlainJson(item, _where);
        }
    }

    /// <summary>The members of an object, or nothing.</summary>
    public IEnumerable<(string Name, PlainJson Value)> Members
    {
        get
        {
            if (_element.ValueKind != JsonValueKind.Object)
                yield break;

            foreach (var member in _element.EnumerateObject())
            {
                string name;
                try
                {
                    name = member.Name;
                }
                catch (InvalidOperationException)
                {
                    throw new SafeTensorsException($"{_where}: a name is not valid Unicode");
                }

                yield return (name, new PlainJson(member.Value, _where));
            }
        }
    }

    /// <summary>A member; where it is absent or null, a value of no kind.</summary>
    public PlainJson this[string name] =>
        _element.ValueKind == JsonValueKind.Object && _element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? new PlainJson(value, $"{_where}, {name}")
            : new PlainJson(default, $"{_where}, {name}");

    /// <summary>Whether a member is there and not null.</summary>
    public bool Has(string name) => this[name]._element.ValueKind != JsonValueKind.Undefined;

    /// <summary>A member that is a whole number from <paramref name="least"/> on; null where it is absent.</summary>
    public int? Integer(string name, int least = 1)
    {
        if (!Has(name))
            return null;

        return this[name].AsInteger is { } number && number >= least && number <= int.MaxValue
            ? (int)number
            : throw new SafeTensorsException($"{_where}: {name} must be a whole number, at least {least}");
    }

    /// <summary>A member that must be there as a whole number of at least 1.</summary>
    public int Needed(string name) => Integer(name) ?? throw new SafeTensorsException($"{_where}: {name} is missing");

    /// <summary>A member that is a finite number; null where it is absent.</summary>
    public float? Number(string name)
    {
        if (!Has(name))
            return null;

        return this[name].AsNumber is { } number && float.IsFinite((float)number)
            ? (float)number
            : throw new SafeTensorsException($"{_where}: {name} must be a number");
    }

    /// <summary>Reads a JSON file of at most <paramref name="most"/> bytes; null where there is none.</summary>
    public static PlainJson? Read(string folder, string name, int most)
    {
        var path = Path.Combine(folder, name);
        var info = new FileInfo(path);
        if (!info.Exists)
            return null;

        if (info.Length > most)
            throw new SafeTensorsException($"{name} has {info.Length} bytes; at most {most} are read");

        try
        {
            // Copied, so that the document's pooled memory is given back; a byte order mark is what some editors write.
            var bytes = File.ReadAllBytes(path);
            var start = bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0;
            if (bytes.Length > MostValues && bytes.AsSpan().Count((byte)',') + bytes.AsSpan().Count((byte)'[') > MostValues)
                throw new SafeTensorsException($"{name} holds more values than the {MostValues} that are read");

            using var document = JsonDocument.Parse(bytes.AsMemory(start), new JsonDocumentOptions { MaxDepth = DeepestNesting });
            return new PlainJson(document.RootElement.Clone(), name);
        }
        catch (JsonException broken)
        {
            throw new SafeTensorsException($"{name} is not valid JSON: {Reason(broken)}", broken);
        }
    }

    /// <summary>The place and reason of broken JSON, without .NET's words.</summary>
    public static string Reason(JsonException broken) =>
        broken is { LineNumber: { } line, BytePositionInLine: { } place } ? $"line {line + 1}, byte {place + 1}" : "it breaks off";

    /// <summary>The text of the token that a reader stands on.</summary>
    public static string Text(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString() ?? "";
        }
        catch (InvalidOperationException)
        {
            throw new JsonException("a text is not valid Unicode");
        }
    }

    private static string? Safe(JsonElement element)
    {
        try
        {
            return element.GetString();
        }
        catch (InvalidOperationException)
        {
            // Half a surrogate pair.
            return null;
        }
    }
}
