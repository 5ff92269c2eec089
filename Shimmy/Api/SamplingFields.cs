using System.Globalization;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>The fields that all dialects share about how to sample: OpenAI's, and llama.cpp's under llama.cpp's names.</summary>
internal static class SamplingFields
{
    private const int MostStops = 16;
    private const int LongestStop = 4096;
    private const int MostBiases = 1024;

    /// <summary>Fills the options from the request; what it does not name stays as it is in <paramref name="defaults"/>.</summary>
    public static GenerationOptions Read(RequestFields fields, GenerationOptions defaults) => defaults with
    {
        Seed = Seed(fields) ?? defaults.Seed,
        Temperature = fields.Number("temperature", 0, 100) ?? defaults.Temperature,
        DynamicTemperatureRange = fields.Number("dynatemp_range", 0, 100) ?? defaults.DynamicTemperatureRange,
        DynamicTemperatureExponent = fields.Number("dynatemp_exponent", 0, 100) ?? defaults.DynamicTemperatureExponent,
        TopK = fields.Whole("top_k", -1, int.MaxValue) ?? defaults.TopK,
        TopP = fields.Number("top_p", 0, 1) ?? defaults.TopP,
        MinP = fields.Number("min_p", 0, 1) ?? defaults.MinP,
        TypicalP = fields.Number("typical_p", 0, 1) ?? defaults.TypicalP,
        TopNSigma = fields.Number("top_n_sigma", -1, 100) ?? defaults.TopNSigma,
        XtcProbability = fields.Number("xtc_probability", 0, 1) ?? defaults.XtcProbability,
        XtcThreshold = fields.Number("xtc_threshold", 0, 1) ?? defaults.XtcThreshold,
        RepeatLastN = fields.Whole("repeat_last_n", -1, int.MaxValue) ?? defaults.RepeatLastN,
        // Clients written for vLLM or OpenRouter call it by the second name.
        RepeatPenalty = fields.Number("repeat_penalty", 0.01, 100) ?? fields.Number("repetition_penalty", 0.01, 100) ?? defaults.RepeatPenalty,
        FrequencyPenalty = fields.Number("frequency_penalty", -2, 2) ?? defaults.FrequencyPenalty,
        PresencePenalty = fields.Number("presence_penalty", -2, 2) ?? defaults.PresencePenalty,
        DryMultiplier = fields.Number("dry_multiplier", 0, 100) ?? defaults.DryMultiplier,
        DryBase = fields.Number("dry_base", 1, 100) ?? defaults.DryBase,
        DryAllowedLength = fields.Whole("dry_allowed_length", 0, int.MaxValue) ?? defaults.DryAllowedLength,
        DryPenaltyLastN = fields.Whole("dry_penalty_last_n", -1, int.MaxValue) ?? defaults.DryPenaltyLastN,
        DrySequenceBreakers = Texts(fields, "dry_sequence_breakers") ?? defaults.DrySequenceBreakers,
        Mirostat = fields.Whole("mirostat", 0, 2) ?? defaults.Mirostat,
        MirostatTau = fields.Number("mirostat_tau", 0, 100) ?? defaults.MirostatTau,
        MirostatEta = fields.Number("mirostat_eta", 0, 100) ?? defaults.MirostatEta,
        LogitBias = LogitBiases(fields) ?? defaults.LogitBias,
        IgnoreEos = fields.Flag("ignore_eos") ?? defaults.IgnoreEos,
        Stop = Texts(fields, "stop") ?? defaults.Stop,
        Loras = LoraFields.Read(fields) ?? defaults.Loras,
        CachePrompt = fields.Flag("cache_prompt") ?? defaults.CachePrompt,
    };

    /// <summary>
    /// The defaults of the OpenAI and Anthropic dialects: the model's own <c>general.sampling.*</c>, else llama.cpp's.
    /// </summary>
    public static GenerationOptions ModelDefaults(ModelFacts facts)
    {
        var own = facts.SamplingDefaults;
        var llama = new GenerationOptions();
        return llama with
        {
            Temperature = Number("temp", llama.Temperature),
            TopK = (int)Number("top_k", llama.TopK),
            TopP = Number("top_p", llama.TopP),
            MinP = Number("min_p", llama.MinP),
            TypicalP = Number("typ_p", llama.TypicalP),
            XtcProbability = Number("xtc_probability", llama.XtcProbability),
            XtcThreshold = Number("xtc_threshold", llama.XtcThreshold),
            RepeatLastN = (int)Number("penalty_last_n", llama.RepeatLastN),
            RepeatPenalty = Number("penalty_repeat", llama.RepeatPenalty),
            FrequencyPenalty = Number("penalty_freq", llama.FrequencyPenalty),
            PresencePenalty = Number("penalty_present", llama.PresencePenalty),
            Mirostat = (int)Number("mirostat", llama.Mirostat),
            MirostatTau = Number("mirostat_tau", llama.MirostatTau),
            MirostatEta = Number("mirostat_eta", llama.MirostatEta),
            Seed = own.TryGetValue("seed", out var seed) && uint.TryParse(seed, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null,
            MaxTokens = own.TryGetValue("max_tokens", out var most) && int.TryParse(most, NumberStyles.None, CultureInfo.InvariantCulture, out var tokens)
                && tokens > 0 ? tokens : null,
        };

        // A file's metadata is input like any other: what is no number is as good as absent.
        float Number(string name, float otherwise) =>
            own.TryGetValue(name, out var text) && float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
            && float.IsFinite(value) ? value : otherwise;
    }

    /// <summary>A text or an array of texts; null where it is absent.</summary>
    private static List<string>? Texts(RequestFields fields, string name)
    {
        if (fields.Find(name) is not { } value)
            return null;
        var full = fields.FullName(name);
        var texts = value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray().Select((element, i) => RequestFields.TextOf(element, $"{full}[{i}]")).ToList()
            : [RequestFields.TextOf(value, full)];
        if (texts.Count > MostStops)
            throw ApiException.BadField(full, $"has {texts.Count} strings; at most {MostStops} are allowed");
        if (texts.Find(text => text.Length is 0 or > LongestStop) is { } odd)
            throw ApiException.BadField(full, $"has a string of {odd.Length} characters; 1 to {LongestStop} are allowed");
        return texts;
    }

    // OpenAI documents signed 64-bit seeds; llama.cpp has 32 bits and takes -1 for a random one.
    private static uint? Seed(RequestFields fields)
    {
        if (fields.Find("seed") is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var seed))
            throw ApiException.BadField(fields.FullName("seed"), $"must be a whole number of 64 bits, not {RequestFields.Describe(value)}");
        return seed == -1 ? null : seed is >= 0 and <= uint.MaxValue ? (uint)seed : (uint)(seed ^ (seed >> 32));
    }

    // OpenAI's {"token id": bias}, or llama.cpp's [[id, bias], …] with false for a ban.
    private static List<LogitBias>? LogitBiases(RequestFields fields)
    {
        if (fields.Find("logit_bias") is not { } value)
            return null;
        var full = fields.FullName("logit_bias");
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
            pair.ValueKind == JsonValueKind.Array && pair.GetArrayLength() == 2 && pair[0].ValueKind == JsonValueKind.Number && pair[0].TryGetInt32(out var token)
                ? Bias(token, pair[1], name)
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
