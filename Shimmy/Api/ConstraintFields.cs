using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The fields that hold an answer to a form: llama.cpp's <c>grammar</c> and <c>json_schema</c>, OpenAI's <c>response_format</c>. All of
/// them become a grammar; one that the client sent is checked at once, so that no model is loaded for one that is wrong.
/// </summary>
internal static class ConstraintFields
{
    private const int LongestName = 64;

    /// <summary>The grammar that the fields ask for; null where the answer is free.</summary>
    /// <param name="fields">The request.</param>
    /// <param name="responseFormat">Whether the dialect has <c>response_format</c>.</param>
    public static Grammar? Read(RequestFields fields, bool responseFormat)
    {
        var grammar = fields.Text("grammar") is { } text ? Grammar.Require(text) : null;
        var schema = fields.Find("json_schema");
        if (grammar is not null && schema is not null)
            throw ApiException.BadField("json_schema", "was given beside grammar; give one of them");
        var format = responseFormat && fields.Object("response_format") is { } asked ? ReadFormat(asked, flat: false) : null;
        if (format is not null && (grammar is not null || schema is not null))
        {
            throw ApiException.BadField("response_format",
                $"was given beside {(schema is null ? "grammar" : "json_schema")}; give one of them");
        }

        return grammar ?? format ?? (schema is { } given ? Compile(given, "json_schema", strict: false) : null);
    }

    /// <summary>
    /// The grammar of a format: <c>text</c> (null), <c>json_object</c> or <c>json_schema</c>. Throws <see cref="ApiException"/> naming what
    /// is wrong with it.
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
                var wrapped = flat ? format : format.Object("json_schema")
                    ?? throw ApiException.BadField(format.FullName("json_schema"),
                        "is missing; an object with name and schema is required", "missing_required_parameter");
                var name = wrapped.RequiredText("name");
                if (name.Length is 0 or > LongestName || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
                    throw ApiException.BadField(wrapped.FullName("name"), $"must be 1 to {LongestName} letters, digits, '_' or '-'");
                wrapped.Text("description");
                var strict = wrapped.Flag("strict") ?? false;
                // OpenAI lets the schema be left out; any object is then an answer.
                return wrapped.Find("schema") is { } schema ? Compile(schema, wrapped.FullName("schema"), strict) : AnswerGrammar.AnyObject;
            default:
                throw ApiException.BadField(format.FullName("type"),
                    "is missing; 'text', 'json_object' or 'json_schema' is required", "missing_required_parameter");
        }
    }

    /// <summary>The grammar of a schema; <paramref name="field"/> is for the error.</summary>
    public static Grammar Compile(JsonElement schema, string field, bool strict)
    {
        if (schema.ValueKind is not (JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False))
            throw ApiException.BadField(field, $"must be a JSON schema, not {RequestFields.Describe(schema)}");
        try
        {
            return AnswerGrammar.OfSchema(schema, strict);
        }
        catch (SchemaException e)
        {
            throw new ApiException(400, $"{field}{e.Pointer}: {e.Problem}", "invalid_json_schema", field);
        }
    }
}
