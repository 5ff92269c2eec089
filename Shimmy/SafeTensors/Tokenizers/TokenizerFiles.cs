using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>A token that was added to a trained vocabulary.</summary>
internal sealed record AddedToken(int Id, string Text, bool Special);

/// <summary>The files that a tokenizer is read from: tokenizer.json, tokenizer_config.json, tokenizer.model, added_tokens.json.</summary>
internal sealed class TokenizerFiles
{
    /// <summary>tokenizer.json; without members where there is none.</summary>
    public required PlainJson Json { get; init; }

    /// <summary>tokenizer_config.json; without members where there is none.</summary>
    public required PlainJson Config { get; init; }

    /// <summary>added_tokens.json; without members where there is none.</summary>
    public required PlainJson Added { get; init; }

    /// <summary>The bytes of tokenizer.model; null where there is none.</summary>
    public required byte[]? SentencePieceModel { get; init; }

    /// <summary>special_tokens_map.json, which names what tokenizer_config.json does not; without members where there is none.</summary>
    public required PlainJson SpecialMap { get; init; }

    /// <summary>The kind of model in tokenizer.json: BPE, WordPiece, Unigram; null where it says nothing.</summary>
    public string? Kind => Json["model"]["type"].AsText ?? (Json["model"].Has("merges") ? "BPE" : null);

    /// <summary>Whether tokenizer.json is BPE over pieces of text that falls back on bytes, as SentencePiece's is.</summary>
    public bool HasByteFallback => Kind == "BPE" && Json["model"]["byte_fallback"].AsFlag == true;

    /// <summary>The tokens that tokenizer.json lists as added.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; private init; } = [];

    /// <summary>The tokens of added_tokens_decoder in tokenizer_config.json.</summary>
    public IReadOnlyList<AddedToken> DecoderTokens { get; private init; } = [];

    /// <summary>Reads what is there; a folder without any of it is refused.</summary>
    public static TokenizerFiles Read(ModelFolder folder)
    {
        var json = folder.TokenizerFile("tokenizer.json");
        var model = folder.Bytes("tokenizer.model");
        if (json is null && model is null && folder.Bytes("sentencepiece.bpe.model") is null)
            throw new SafeTensorsException("tokenizer.json is missing (or tokenizer.model)");

        var config = folder.TokenizerFile("tokenizer_config.json") ?? Nothing("tokenizer_config.json");
        return new TokenizerFiles
        {
            Json = json ?? Nothing("tokenizer.json"),
            Config = config,
            Added = folder.TokenizerFile("added_tokens.json") ?? Nothing("added_tokens.json"),
            SpecialMap = folder.TokenizerFile("special_tokens_map.json") ?? Nothing("special_tokens_map.json"),
            SentencePieceModel = model,
            AddedTokens =
                [.. (json ?? Nothing("tokenizer.json"))["added_tokens"].Items.Select(
                    token => Token(token, "tokenizer.json", token["id"].AsInteger))],
            DecoderTokens = [.. config["added_tokens_decoder"].Members.Select(member => Token(member.Value, "tokenizer_config.json",
                long.TryParse(member.Name, out var id) ? id : null))],
        };
    }

    /// <summary>
    /// The text of a special token, a string or an object with content: in tokenizer_config.json, or in special_tokens_map.json where that
    /// does not speak of it; null where there is none.
    /// </summary>
    public string? Special(string name)
    {
        var key = name + "_token";
        var token = Config.Members.Any(member => member.Name == key) ? Config[key] : SpecialMap[key];
        return token.AsText ?? token["content"].AsText;
    }

    /// <summary>The pieces of a vocabulary that is an object of text to id, every id below <paramref name="size"/>.</summary>
    public IEnumerable<(string Text, int Id)> Pieces(int size)
    {
        if (!Json["model"]["vocab"].IsObject)
            throw new SafeTensorsException("tokenizer.json: model.vocab must be an object of tokens and their ids");

        foreach (var (text, id) in Json["model"]["vocab"].Members)
            yield return (text, Within(id.AsInteger, text, size));
    }

    /// <summary>The merges of BPE, each as two texts with a blank between; a blank inside a text becomes Ġ.</summary>
    public string[] Merges()
    {
        var merges = new List<string>();
        foreach (var merge in Json["model"]["merges"].Items)
        {
            if (merge.AsText is { } joined && joined.IndexOf(' ', StringComparison.Ordinal) > 0)
                merges.Add(joined);
            else if (merge.Items.Take(3).Select(part => part.AsText).ToArray() is [{ } first, { } second])
                merges.Add(first.Replace(' ', 'Ġ') + " " + second.Replace(' ', 'Ġ'));
            else
                throw new SafeTensorsException($"tokenizer.json: merge {merges.Count} is not two texts");
        }

        return [.. merges];
    }

    /// <summary>An id that a vocabulary of this size has; else an error that names the token.</summary>
    public static int Within(long? id, string text, int size) => id is { } number && number >= 0 && number < size
        ? (int)number
        : throw new SafeTensorsException(
            $"token '{text}' has the id {id?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"}, but the model has {size} tokens");

    private static AddedToken Token(PlainJson token, string file, long? id) =>
        token["content"].AsText is { Length: > 0 } text && id is >= 0 and <= int.MaxValue
            ? new AddedToken((int)id, text, token["special"].AsFlag == true)
            : throw new SafeTensorsException($"{file}: an added token needs an id and a content");

    private static PlainJson Nothing(string name) => new(default, name);
}
