using System.Security.Cryptography;
using System.Text;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>Byte-level BPE as GPT-2 has it, in GGUF's terms "gpt2": tokens of bytes written as letters, and merges.</summary>
internal static class ByteLevel
{
    /// <summary>
    /// llama.cpp knows how to split text by name; tokenizer.json has the patterns. SHA-256 of the patterns, one behind the other, names the
    /// split that is the same. A pattern that is not here is refused: a wrong split is noticed by nobody.
    /// </summary>
    private static readonly Dictionary<string, string> Splits = new(StringComparer.Ordinal)
    {
        ["d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f"] = "llama-bpe",
        ["1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e"] = "qwen2",
        ["00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba"] = "qwen35",
        ["1d64a9a8eaf9f1bd80331984d81fdd514e7feafe8df83a525dd31472f275699a"] = "tekken",
        ["2d1b8dc11e89af71459b36004f698ab3693f59fd84f63e8ec2b49564ab857420"] = "gpt-4o",
    };

    /// <summary>Reads tokenizer.json for a model of so many tokens.</summary>
    public static Vocabulary Read(TokenizerFiles files, int size)
    {
        if (files.Kind != "BPE")
        {
            throw new SafeTensorsException(
                $"tokenizer.json: a tokenizer of kind {files.Kind ?? "none"} cannot be represented for this model; BPE can");
        }

        var (tokens, kinds) = Vocabulary.Padding(size);
        foreach (var (text, id) in files.Pieces(size))
            (tokens[id], kinds[id]) = (text, TokenKind.Normal);

        foreach (var token in files.AddedTokens)
        {
            var id = TokenizerFiles.Within(token.Id, token.Text, size);
            var control = token.Special || LooksSpecial(token.Text);
            (tokens[id], kinds[id]) =
                (control ? token.Text : token.Text.Replace('\u2581', ' '), control ? TokenKind.Control : TokenKind.UserDefined);
        }

        return new Vocabulary { Model = "gpt2", Pre = SplitOf(files.Json), Tokens = tokens, Kinds = kinds, Merges = files.Merges() };
    }

    /// <summary>Whether a text has the look of a control token, although nobody marked it as special.</summary>
    public static bool LooksSpecial(string text) =>
        text is "<pad>" or "<mask>" or "<2mass>" or "[@BOS@]"
            || (text.StartsWith("<|", StringComparison.Ordinal) && text.EndsWith("|>", StringComparison.Ordinal))
            || (text.StartsWith("<\uFF5C", StringComparison.Ordinal) && text.EndsWith("\uFF5C>", StringComparison.Ordinal))
            || (text.StartsWith("<unused", StringComparison.Ordinal) && text.EndsWith('>'));

    // What llama.cpp would leave out without a word: it splits by a pattern, and knows no other steps before or after. (It leaves out NFC
    // as well, which changes texts with combining marks alone.)
    private static void RequirePlain(PlainJson json, PlainJson[] steps)
    {
        var other = steps.Select(step => step["type"].AsText)
            .FirstOrDefault(kind => kind is not ("Split" or "ByteLevel" or "Digits" or null));
        var normalizer = json["normalizer"]["normalizers"] is { IsArray: true } all ? all.Items : [json["normalizer"]];
        var changed = normalizer.Select(step => step["type"].AsText).FirstOrDefault(kind => kind is not ("NFC" or null));
        var reason = other is not null ? $"pre_tokenizer has a step {other}"
            : changed is not null ? $"the normalizer has a step {changed}"
            : steps.Any(step => step["type"].AsText == "Split" && step["pattern"]["Regex"].AsText is null)
                ? "pre_tokenizer splits at a text"
            : steps.Any(step => step["add_prefix_space"].AsFlag == true) ? "pre_tokenizer puts a blank in front"
            : json["model"]["end_of_word_suffix"].AsText is { Length: > 0 } ? "model has an end_of_word_suffix"
            : json["model"]["continuing_subword_prefix"].AsText is { Length: > 0 } ? "model has a continuing_subword_prefix"
            : null;
        if (reason is not null)
            throw new SafeTensorsException($"tokenizer.json: {reason}, which llama.cpp's byte-level BPE lacks");
    }

    private static string SplitOf(PlainJson json)
    {
        var steps = json["pre_tokenizer"] is var pre && pre["pretokenizers"] is { IsArray: true } sequence
            ? sequence.Items.ToArray()
            : [pre];
        RequirePlain(json, steps);
        var patterns = string.Concat(steps.Where(step => step["type"].AsText == "Split").Select(step => step["pattern"]["Regex"].AsText));
        if (patterns.Length == 0)
        {
            var bytes = steps.Any(step => step["type"].AsText == "ByteLevel" && step["use_regex"].AsFlag != false);
            var digits = steps.Any(step => step["type"].AsText == "Digits" && step["individual_digits"].AsFlag == true);
            bytes &= digits || !steps.Any(step => step["type"].AsText == "Digits");
            return bytes
                ? (digits ? "smollm" : "gpt-2")
                : throw new SafeTensorsException("tokenizer.json: pre_tokenizer splits text in a way that llama.cpp lacks");
        }

        if (steps.Any(step => step["type"].AsText == "Digits"))
            throw new SafeTensorsException("tokenizer.json: pre_tokenizer splits digits beside a pattern, which llama.cpp lacks");

        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(patterns)));
        if (!Splits.TryGetValue(hash, out var name))
        {
            throw new SafeTensorsException(
                $"tokenizer.json: pre_tokenizer splits text by a pattern that is not known (SHA-256 {hash[..16]}…)");
        }

        // The same pattern serves models that look up whole words before they merge, and models that do not.
        return name == "llama-bpe" && json["model"]["ignore_merges"].AsFlag != true ? "dbrx" : name;
    }
}
