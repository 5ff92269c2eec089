using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Chat.Messages;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The fields that hold an answer to a form: llama.cpp's <c>grammar</c> and <c>json_schema</c>, OpenAI's <c>response_format</c>, vLLM's
/// <c>guided_…</c> and <c>structured_outputs</c>, Ollama's <c>format</c>, each in every dialect. All of them become a grammar; one that
/// the client sent is checked at once, so that no model is loaded for one that is wrong.
/// </summary>
internal static class ConstraintFields
{
    private const int LongestName = 64;
    private const int MostChoices = 10_000;

    /// <summary>The grammar that the fields ask for; null where the answer is free.</summary>
    /// <param name="fields">The request.</param>
    /// <param name="responseFormat">Whether <c>response_format</c> is read.</param>
    /// <param name="own">A field of the dialect's own with what it asks for.</param>
    public static Grammar? Read(RequestFields fields, bool responseFormat, (string Name, Grammar? Grammar) own = default)
    {
        var outputs = fields.Object("structured_outputs");
        if (outputs is not null)
            RefuseOfOutputs(outputs);
        (string Name, Grammar? Grammar)[] all =
        [
            ("grammar", OfText(fields, "grammar")),
            ("json_schema", OfSchema(fields, "json_schema")),
            ("response_format",
                responseFormat && fields.Object("response_format") is { } format ? ReadFormat(format, flat: false) : null),
            own,
            ("format", OfFormat(fields)),
            ("guided_json", OfSchema(fields, "guided_json", mayBeText: true)),
            ("guided_choice", OfChoices(fields, "guided_choice")),
            ("guided_grammar", OfText(fields, "guided_grammar")),
            ("guided_json_object", fields.Flag("guided_json_object") == true ? AnswerGrammar.AnyObject : null),
            ("structured_outputs.json", outputs is null ? null : OfSchema(outputs, "json", mayBeText: true)),
            ("structured_outputs.choice", outputs is null ? null : OfChoices(outputs, "choice")),
            ("structured_outputs.grammar", outputs is null ? null : OfText(outputs, "grammar")),
            ("structured_outputs.json_object", outputs?.Flag("json_object") == true ? AnswerGrammar.AnyObject : null),
        ];
        var given = Array.FindAll(all, one => one.Grammar is not null);
        return given.Length > 1
            ? throw ApiException.BadField(given[1].Name, $"was given beside {given[0].Name}; give one of them")
            : given.Length == 0 ? null : given[0].Grammar;
    }

    /// <summary>
    /// The grammar of a format: <c>text</c> (null), <c>json_object</c>, <c>json_schema</c>, or llama.cpp's <c>grammar</c>. Throws
    /// <see cref="ApiException"/> naming what is wrong with it.
    /// </summary>
    /// <param name="format">OpenAI's <c>response_format</c>, or <c>text.format</c> of <c>/v1/responses</c>.</param>
    /// <param name="flat">Whether the schema's fields stand in the format itself, as in the latter, rather than in an object of it.</param>
    public static Grammar? ReadFormat(RequestFields format, bool flat)
    {
        switch (format.Choice("type", "text", "json_object", "json_schema"))
        {
            case "text":
                return null;
            case "json_object":
                // llama.cpp takes a schema here too.
                return format.Find("schema") is { } beside
                    ? Compile(beside, format.FullName("schema"), strict: false)
                    : AnswerGrammar.AnyObject;
            case "json_schema":
                // Both forms are taken in both places: llama-server has the flat one in response_format, and clients mix them up.
                var wrapped = format.Object("json_schema") ?? (flat || format.Has("schema") ? format : throw ApiException.BadField(
                    format.FullName("json_schema"), "is missing; an object with a schema is required", "missing_required_parameter"));
                if (wrapped.Text("name") is { } name
                    && (name.Length is 0 or > LongestName || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-')))
                {
                    throw ApiException.BadField(wrapped.FullName("name"), $"must be 1 to {LongestName} letters, digits, '_' or '-'");
                }

                wrapped.Text("description");
                var strict = wrapped.Flag("strict") ?? false;
                // OpenAI lets the schema be left out; any object is then an answer.
                return wrapped.Find("schema") is { } schema ? Compile(schema, wrapped.FullName("schema"), strict) : AnswerGrammar.AnyObject;
            default:
                throw ApiException.BadField(format.FullName("type"),
                    "is missing; 'text', 'json_object' or 'json_schema' is required", "missing_required_parameter");
        }
    }

    /// <summary>
    /// The grammar of a schema; <paramref name="field"/> is for the error. What a grammar cannot express is refused of a strict schema,
    /// <c>multipleOf</c> aside, and otherwise checked on the finished answer.
    /// </summary>
    public static Grammar Compile(JsonElement schema, string field, bool strict)
    {
        if (schema.ValueKind is not (JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False))
            throw ApiException.BadField(field, $"must be a JSON schema, not {RequestFields.Describe(schema)}");
        try
        {
            return strict ? AnswerGrammar.OfSchema(schema, strict) : AnswerGrammar.AsFarAsPossible(schema);
        }
        catch (SchemaException e)
        {
            throw new ApiException(400, $"{field}{e.Pointer}: {e.Problem}", "invalid_json_schema", field);
        }
    }

    private static Grammar? OfText(RequestFields fields, string name) => string.IsNullOrWhiteSpace(fields.Text(name))
        ? null
        : Grammar.Require(fields.Text(name)!, fields.FullName(name));

    private static Grammar? OfSchema(RequestFields fields, string name, bool mayBeText = false)
    {
        if (fields.Find(name) is not { } schema)
            return null;
        return mayBeText && schema.ValueKind == JsonValueKind.String
            ? Compile(Parsed(schema.GetString()!, fields.FullName(name)), fields.FullName(name), strict: false)
            : Compile(schema, fields.FullName(name), strict: false);
    }

    private static JsonElement Parsed(string text, string field)
    {
        try
        {
            return JsonElement.Parse(SurrogateRepair.Of(text));
        }
        catch (JsonException)
        {
            throw ApiException.BadField(field, "must be a JSON schema, as an object or as its text");
        }
    }

    // Ollama's: "json", or a schema.
    private static Grammar? OfFormat(RequestFields fields)
    {
        if (fields.Find("format") is not { } format)
            return null;
        if (format.ValueKind != JsonValueKind.String)
            return Compile(format, "format", strict: false);
        return fields.Choice("format", "json", "") == "json" ? AnswerGrammar.AnyObject : null;
    }

    private static Grammar? OfChoices(RequestFields fields, string name)
    {
        if (fields.List(name) is not { } list)
            return null;
        var full = fields.FullName(name);
        if (list.Count is 0 or > MostChoices)
            throw ApiException.BadField(full, $"has {list.Count} entries; 1 to {MostChoices} are allowed");
        return AnswerGrammar.OneOf(list.Select((choice, i) => RequestFields.TextOf(choice, $"{full}[{i}]")));
    }

    private static void RefuseOfOutputs(RequestFields outputs)
    {
        foreach (var name in outputs.Names)
        {
            // The last three say how vLLM is to do it.
            if (name is not ("json" or "choice" or "grammar" or "json_object" or "disable_fallback" or "disable_any_whitespace"
                or "disable_additional_properties"))
            {
                outputs.Refuse(name, "is not supported; json, choice, grammar and json_object are",
                    value => value.ValueKind == JsonValueKind.False);
            }
        }
    }
}
