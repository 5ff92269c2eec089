using System.Globalization;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>Reads the sampling fields of a request, which all dialects share: OpenAI's, and llama.cpp's under llama.cpp's names.</summary>
internal static class SamplingFields
{
    private const int MostBiases = 1024;

    /// <summary>The sampling patch of a request. Throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static SamplingPatch Read(RequestFields fields) => Read(fields, SamplingField.All);

    /// <summary>The same of some fields alone.</summary>
    public static SamplingPatch Read(RequestFields fields, IEnumerable<SamplingField> some)
    {
        var values = new List<(SamplingField, object)>();
        foreach (var field in some)
        {
            if ((Value(fields, field, field.Name) ?? (field.OtherName is { } other ? Value(fields, field, other) : null)) is { } value)
                values.Add((field, value));
        }
        return new SamplingPatch(values);
    }

    private static object? Value(RequestFields fields, SamplingField field, string name) => field.Kind switch
    {
        SamplingKind.Whole => (object?)fields.Whole(name, (int)field.Least, (int)field.Most),
        SamplingKind.Number => fields.Number(name, field.Least, field.Most),
        SamplingKind.Seed => Seed(fields, name),
        SamplingKind.Flag => fields.Flag(name),
        SamplingKind.Texts => Texts(fields, field, name),
        SamplingKind.Biases => LogitBiases(fields, name),
        _ => LoraFields.Read(fields),
    };

    /// <summary>Stop sequences under a name of the dialect's; null where the field is absent.</summary>
    public static IReadOnlyList<string>? Stops(RequestFields fields, string name) => Texts(fields, SamplingField.Stop, name);

    // A text or an array of texts. Empty ones say nothing: clients send them for an empty line of their settings.
    private static List<string>? Texts(RequestFields fields, SamplingField field, string name)
    {
        if (fields.Find(name) is not { } value)
            return null;
        var full = fields.FullName(name);
        var texts = (value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray().Select((element, i) => RequestFields.TextOf(element, $"{full}[{i}]"))
            : [RequestFields.TextOf(value, full)]).Where(text => text.Length > 0).ToList();
        return field.WhyRefused(texts) is { } reason ? throw ApiException.BadField(full, reason) : texts;
    }

    private static uint? Seed(RequestFields fields, string name)
    {
        if (fields.Find(name) is not { } value)
            return null;
        return RequestFields.WholeOf(value) is { } seed
            ? SamplingField.FoldSeed(seed)
            : throw ApiException.BadField(fields.FullName(name), $"must be a whole number of 64 bits, not {RequestFields.Describe(value)}");
    }

    // OpenAI's {"token id": bias}, or llama.cpp's [[id, bias], …] with false for a ban.
    private static List<LogitBias>? LogitBiases(RequestFields fields, string name)
    {
        if (fields.Find(name) is not { } value)
            return null;
        var full = fields.FullName(name);
        var biases = value.ValueKind switch
        {
            JsonValueKind.Object => value.EnumerateObject()
                .Select(property => Bias(Token(property.Name, full), property.Value, $"{full}.{property.Name}")).ToList(),
            JsonValueKind.Array => value.EnumerateArray().Select((pair, i) => Pair(pair, $"{full}[{i}]")).ToList(),
            _ => throw ApiException.BadField(full, $"must be an object of token ids and biases, not {RequestFields.Describe(value)}"),
        };
        return biases.Count <= MostBiases
            ? biases
            : throw ApiException.BadField(full, $"has {biases.Count} entries; at most {MostBiases} are allowed");

        static LogitBias Pair(JsonElement pair, string name) =>
            pair.ValueKind == JsonValueKind.Array && pair.GetArrayLength() == 2
                && RequestFields.WholeOf(pair[0]) is >= int.MinValue and <= int.MaxValue and var token
                ? Bias((int)token, pair[1], name)
                : throw ApiException.BadField(name, $"must be a pair of a token id and a bias, not {RequestFields.Describe(pair)}");

        static int Token(string text, string name) =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var token)
                ? token
                : throw ApiException.BadField(name, $"{RequestFields.Quote(text)} is not a token id; a whole number is required");

        static LogitBias Bias(int token, JsonElement value, string name)
        {
            if (value.ValueKind == JsonValueKind.False)
                return new LogitBias(token, float.NegativeInfinity);
            if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var bias) || bias is < -100 or > 100)
                throw ApiException.BadField(name, $"must be a number from -100 to 100, not {RequestFields.Describe(value)}");
            // OpenAI: -100 bans the token.
            return new LogitBias(token, bias <= -100 ? float.NegativeInfinity : (float)bias);
        }
    }
}
