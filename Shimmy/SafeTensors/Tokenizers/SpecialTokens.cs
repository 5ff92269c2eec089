using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>
/// Which tokens begin, end and pad a text, and whether they are added by themselves: from tokenizer_config.json, the post-processor of
/// tokenizer.json, and config.json's ids.
/// </summary>
internal sealed class SpecialTokens
{
    // GGUF's keys; the third is spelt so.
    private static readonly (string Name, string Key)[] Keys =
    [
        ("bos", "bos_token_id"), ("eos", "eos_token_id"), ("unk", "unknown_token_id"),
            ("sep", "seperator_token_id"), ("pad", "padding_token_id"),
        ("mask", "mask_token_id"), ("eot", "eot_token_id"),
    ];

    private const string EndOfMessage = "eom_token_id";
    private const int LargestConfig = 1 << 20;

    // Ends that every llama.cpp that is known takes for such by their texts.
    private static readonly string[] FoundByText =
        ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "<|eom_id|>"];

    private readonly Dictionary<string, string> _texts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, bool> _added = new(StringComparer.Ordinal);

    /// <summary>Writes ids and flags into a vocabulary.</summary>
    public static void Write(Vocabulary vocabulary, TokenizerFiles files, ModelFolder folder)
    {
        var special = new SpecialTokens();
        foreach (var name in new[] { "bos", "eos", "unk", "sep", "pad", "cls", "mask" })
        {
            if (files.Special(name) is { } text)
                special._texts[name] = text;
        }

        special.Replace("bos", "cls");
        special.Replace("eos", "sep");
        var processor = files.Json["post_processor"];
        foreach (var step in processor["processors"] is { IsArray: true } all ? all.Items : [processor])
            special.ReadProcessor(step);

        foreach (var name in new[] { "bos", "eos", "sep" })
        {
            if (files.Config[$"add_{name}_token"].AsFlag is { } flag)
                special._added[name] = flag;
        }

        // llama.cpp puts the token in front for these splits unless it is asked not to.
        if (vocabulary.Model == "gpt2" && vocabulary.Pre is "llama-bpe" or "tekken")
            special._added.TryAdd("bos", false);

        special.WriteIds(vocabulary, files, folder);
        foreach (var (name, added) in special._added)
            vocabulary.Set($"add_{name}_token", added);
    }

    private void Replace(string name, string other)
    {
        if (!_texts.ContainsKey(name) && _texts.TryGetValue(other, out var text))
            _texts[name] = text;
    }

    private void ReadProcessor(PlainJson step)
    {
        if (step["type"].AsText == "RobertaProcessing")
        {
            foreach (var name in new[] { "bos", "eos", "sep" })
                _added[name] = true;
        }
        else if (step["type"].AsText == "TemplateProcessing")
        {
            ReadTemplate([.. step["single"].Items], [.. step["pair"].Items]);
        }
    }

    private void ReadTemplate(PlainJson[] single, PlainJson[] pair)
    {
        var (first, last) = single.Length > 1 ? (Token(single[0]), Token(single[^1])) : (null, null);
        if (first is not null)
            _added["bos"] = Is(first, "bos", "cls");

        if (last is not null)
        {
            // What closes every text is the end, whatever the configuration calls so: that one ends a turn.
            if (_texts.TryGetValue("eos", out var declared) && declared != last)
                _texts.TryAdd("eot", declared);

            _texts["eos"] = last;
            _added["eos"] = true;
        }

        var from = first is not null && pair.Length > 0 && Token(pair[0]) == first ? 1 : 0;
        var to = last is not null && pair.Length > 0 && Token(pair[^1]) == last ? 1 : 0;
        if (pair.Length - from - to < 3 || Sequence(pair[from]) != "A" || Sequence(pair[^(1 + to)]) != "B")
            return;

        var between = pair[(from + 1)..^(1 + to)];
        _added["sep"] = (Token(between[0]) is { } one && Is(one, "sep", "eos") && last is null)
            || (between.Length == 2 && Token(between[1]) is { } two && Is(two, "sep", "eos"));
    }

    private bool Is(string token, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (_texts.TryGetValue(name, out var text) && text == token)
                return true;
        }

        return false;
    }

    private void WriteIds(Vocabulary vocabulary, TokenizerFiles files, ModelFolder folder)
    {
        foreach (var (name, key) in Keys)
        {
            long? id = _texts.TryGetValue(name, out var text)
                ? files.AddedTokens.Concat(files.DecoderTokens).FirstOrDefault(token => token.Text == text)?.Id
                : null;
            id ??= folder.Root[name + "_token_id"].AsInteger ?? folder.Config[name + "_token_id"].AsInteger;
            // A list names several ends.
            id ??= name == "eos" ? Ends(folder).Select(end => (long?)end).FirstOrDefault() : null;
            // Without ids anywhere a begin and an end are still texts of the vocabulary.
            id ??= name is "bos" or "eos" && text is not null && Array.IndexOf(vocabulary.Tokens, text) is >= 0 and var at ? at : null;
            if (id is { } known && known >= 0 && known < vocabulary.Tokens.Length)
                vocabulary.Keys.Add((key, GgufValue.OfInteger(GgufType.UInt32, known)));
        }

        WriteFurtherEnds(vocabulary, folder);
    }

    // The model's own library stops at every end that is listed. llama.cpp finds some by their texts, and has two more places for others.
    private static void WriteFurtherEnds(Vocabulary vocabulary, ModelFolder folder)
    {
        var known = vocabulary.Keys.Where(key => key.Key is "eos_token_id" or "eot_token_id" or EndOfMessage)
            .Select(key => key.Value.Integer ?? -1).ToHashSet();
        foreach (var end in Ends(folder))
        {
            if (end >= vocabulary.Tokens.Length || FoundByText.Contains(vocabulary.Tokens[end]) || !known.Add(end))
                continue;

            var place = new[] { "eot_token_id", EndOfMessage }.FirstOrDefault(key => !vocabulary.Keys.Exists(entry => entry.Key == key))
                ?? throw new SafeTensorsException(
                    $"eos_token_id lists more ends than llama.cpp keeps; token {end} ('{vocabulary.Tokens[end]}') has no place");
            vocabulary.Keys.Add((place, GgufValue.OfInteger(GgufType.UInt32, end)));
        }
    }

    private static IEnumerable<long> Ends(ModelFolder folder)
    {
        var given = PlainJson.Read(folder.Path, "generation_config.json", LargestConfig) is { } own && own.Has("eos_token_id")
            ? own["eos_token_id"]
            : folder.Config.Has("eos_token_id") ? folder.Config["eos_token_id"] : folder.Root["eos_token_id"];
        return (given.IsArray ? given.Items : [given]).Select(end => end.AsInteger).OfType<long>().Where(end => end >= 0);
    }

    private static string? Token(PlainJson part) => part["SpecialToken"]["id"].AsText;

    private static string? Sequence(PlainJson part) => part["Sequence"]["id"].AsText;
}
