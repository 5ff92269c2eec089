using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>A field that holds a text, tokens, or an array of either: <c>prompt</c> of completions, <c>input</c> of embeddings.</summary>
internal static class PromptInputs
{
    // OpenAI's own limit on the inputs of one embedding request.
    private const int MostInputs = 2048;

    /// <summary>Reads the field, which must be there; throws <see cref="ApiException"/> naming what is wrong with it.</summary>
    public static IReadOnlyList<Prompt> Read(RequestFields fields, string field)
    {
        if (fields.Find(field) is not { } value)
        {
            throw ApiException.BadField(field, "is missing; a string, an array of tokens or an array of either is required",
                "missing_required_parameter");
        }

        if (value.ValueKind == JsonValueKind.String)
            return [Prompt.FromText(RequestFields.TextOf(value, field))];
        if (value.ValueKind != JsonValueKind.Array)
            throw ApiException.BadField(field, $"must be a string or an array, not {RequestFields.Describe(value)}");
        var elements = value.EnumerateArray().ToArray();
        if (elements.Length == 0)
            throw ApiException.BadField(field, "is empty");
        if (elements[0].ValueKind == JsonValueKind.Number)
            return [Tokens(elements, field)];
        if (elements.Length > MostInputs)
            throw ApiException.BadField(field, $"has {elements.Length} entries; at most {MostInputs} are allowed");
        return [.. elements.Select((element, i) => element.ValueKind == JsonValueKind.Array
            ? Tokens([.. element.EnumerateArray()], $"{field}[{i}]")
            : Prompt.FromText(RequestFields.TextOf(element, $"{field}[{i}]")))];
    }

    private static Prompt Tokens(JsonElement[] elements, string name) => elements.Length == 0
        ? throw ApiException.BadField(name, "is empty")
        : Prompt.FromTokens(
            [.. elements.Select(
                (element, i) => RequestFields.WholeOf(element) is >= 0 and <= int.MaxValue and var token
            ? (int)token
            : throw ApiException.BadField($"{name}[{i}]", $"must be a token id, not {RequestFields.Describe(element)}"))]);
}
