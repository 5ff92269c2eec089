using System.Globalization;
using System.Text.Json.Nodes;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

/// <summary>Schemas of a depth, from a seed: every keyword that the compiler takes, in the mixes that people write.</summary>
internal sealed class RandomSchemas(int seed)
{
    private readonly Random _random = new(seed);
    private bool _usesNode;

    /// <summary>A schema whose objects and arrays nest up to this deep.</summary>
    public string Next(int depth)
    {
        _usesNode = false;
        // NJsonSchema forgets the definitions beside a reference.
        var schema = Object(("allOf", new JsonArray(Value(depth))));
        if (_usesNode)
        {
            schema["definitions"] = new JsonObject
            {
                ["node"] = Object(("type", "object"), ("additionalProperties", false),
                    ("required", new JsonArray("v")), ("properties", Object(
                    ("v", Object(("type", "integer"), ("minimum", 0), ("maximum", 9))),
                    ("next", Object(("anyOf", new JsonArray(Object(("$ref", "#/definitions/node")), Object(("type", "null"))))))))),
            };
        }
        return schema.ToJsonString();
    }

    private JsonObject Value(int depth) => (depth == 0 ? _random.Next(9) : _random.Next(16)) switch
    {
        0 => Object(("type", "boolean")),
        1 => Object(("type", "integer"), ("minimum", _random.Next(-300, 5)), ("maximum", _random.Next(5, 3000))),
        2 => Object(("type", "number"), ("minimum", _random.Next(-30, 5) / 4.0), ("exclusiveMaximum", _random.Next(6, 300) / 4.0)),
        3 => Object(("type", "string"), ("minLength", _random.Next(3)), ("maxLength", _random.Next(3, 12))),
        4 => Object(("enum", new JsonArray("red", "green", 7, null, "blue"))),
        5 => Object(("const", new[] { "a", "b\"c", "" }[_random.Next(3)])),
        6 => Object(("type", "string"), ("pattern", new[] { "^[A-Z][a-z]{1,5}$", "^(ab|cd)+x?$", "^\\d{3}-\\d{4}$" }[_random.Next(3)])),
        7 => Object(("type", "string"), ("format", new[] { "date", "uuid", "ipv4", "time" }[_random.Next(4)])),
        8 => Object(("type", new JsonArray("integer", "null"))),
        9 or 10 => Array(depth - 1),
        11 => Union(depth - 1),
        12 => Reference(),
        13 => Merged(depth - 1),
        _ => Struct(depth - 1),
    };

    private JsonObject Struct(int depth)
    {
        var properties = new JsonObject();
        var required = new JsonArray();
        for (var i = _random.Next(1, 5); i > 0; i--)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"{"nvxyz"[_random.Next(5)]}{i}");
            properties[name] = Value(depth);
            if (_random.Next(3) > 0)
                required.Add(JsonValue.Create(name));
        }
        var schema = Object(("type", "object"), ("properties", properties), ("required", required));
        if (_random.Next(3) > 0)
            schema["additionalProperties"] = false;
        else if (_random.Next(2) == 0)
            schema["additionalProperties"] = Object(("type", "boolean"));
        return schema;
    }

    private JsonObject Array(int depth)
    {
        var least = _random.Next(3);
        return _random.Next(3) > 0
            ? Object(("type", "array"), ("items", Value(depth)), ("minItems", least), ("maxItems", least + _random.Next(3)))
            : Object(("type", "array"), ("items", new JsonArray(Value(depth), Value(depth))),
                ("additionalItems", Object(("type", "null"))), ("minItems", least), ("maxItems", 4));
    }

    private JsonObject Union(int depth) => _random.Next(2) == 0
        ? Object(("anyOf", new JsonArray(Value(depth), Object(("type", "null")), Value(depth))))
        : Object(("oneOf", new JsonArray(
            Object(("type", "object"), ("properties", Object(("kind", Object(("enum", new JsonArray("one")))), ("v", Value(depth)))),
                ("required", new JsonArray("kind", "v"))),
            Object(("type", "object"), ("properties", Object(("kind", Object(("enum", new JsonArray("two")))))),
                ("required", new JsonArray("kind"))))));

    private JsonObject Merged(int depth) => Object(("allOf", new JsonArray(
        Object(("type", "object"), ("properties", Object(("a", Value(depth)))), ("required", new JsonArray("a"))),
        Object(("properties", Object(("b", Value(depth))))))));

    private JsonObject Reference()
    {
        _usesNode = true;
        return Object(("$ref", "#/definitions/node"));
    }

    private static JsonObject Object(params ReadOnlySpan<(string Name, JsonNode? Value)> members)
    {
        var made = new JsonObject();
        foreach (var (name, value) in members)
            made[name] = value;
        return made;
    }
}
