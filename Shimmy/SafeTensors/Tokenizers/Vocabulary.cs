using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>The kind of a token, with llama.cpp's numbers (llama_token_type).</summary>
internal enum TokenKind
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// <summary>
/// A tokenizer as GGUF keeps it: the tokens with their kinds, what merges or scores there are, and the keys of its kind. Which reader is
/// used follows from the model's class and the files of its folder, as with the model's own library.
/// </summary>
internal sealed class Vocabulary
{
    /// <summary>tokenizer.ggml.model: gpt2 (byte-level BPE), llama (SentencePiece-like), bert (WordPiece), t5 (Unigram).</summary>
    public required string Model { get; init; }

    /// <summary>tokenizer.ggml.pre: how text is split before it is tokenized; read for gpt2 alone.</summary>
    public string Pre { get; init; } = "default";

    /// <summary>The tokens by id; all differ.</summary>
    public required string[] Tokens { get; init; }

    /// <summary>The kind of each token.</summary>
    public required TokenKind[] Kinds { get; init; }

    /// <summary>Scores of the pieces; null for a kind without.</summary>
    public float[]? Scores { get; init; }

    /// <summary>Merges, the first to apply first; null for a kind without.</summary>
    public string[]? Merges { get; init; }

    /// <summary>Further keys of this kind.</summary>
    public List<(string Key, GgufValue Value)> Keys { get; } = [];

    /// <summary>Llama, Mistral, Mixtral, SmolLM3: tokenizer.model, else the kind that tokenizer.json has.</summary>
    public static Vocabulary OfLlama(ModelFolder folder, int size)
    {
        var files = TokenizerFiles.Read(folder);
        var vocabulary = files.SentencePieceModel is { } model ? SentencePieceModel.Read(files, model, size)
            : files.HasByteFallback ? MergedPieces.Read(files, size)
            : ByteLevel.Read(files, size);
        if (files.Config["add_prefix_space"].AsFlag is { } prefix)
            vocabulary.Set("add_space_prefix", prefix);

        return vocabulary.Finished(files, folder);
    }

    /// <summary>Qwen: tokenizer.model, else byte-level BPE.</summary>
    public static Vocabulary OfQwen(ModelFolder folder, int size)
    {
        var files = TokenizerFiles.Read(folder);
        var vocabulary = files.SentencePieceModel is { } model ? SentencePieceModel.Read(files, model, size) : ByteLevel.Read(files, size);
        return vocabulary.Finished(files, folder);
    }

    /// <summary>Gemma: tokenizer.model, else the pieces of tokenizer.json; no blank goes in front of a text.</summary>
    public static Vocabulary OfGemma(ModelFolder folder, int size)
    {
        var files = TokenizerFiles.Read(folder);
        var vocabulary = files.SentencePieceModel is { } model
            ? SentencePieceModel.Read(files, model, size)
            : MergedPieces.Read(files, size);
        vocabulary.Keys.RemoveAll(key => key.Key == "add_space_prefix");
        vocabulary.Set("add_space_prefix", false);
        return vocabulary.Finished(files, folder);
    }

    /// <summary>Phi 3: byte-level BPE where the tokenizer's class says GPT2 (Phi 4), else tokenizer.model.</summary>
    public static Vocabulary OfPhi3(ModelFolder folder, int size)
    {
        var files = TokenizerFiles.Read(folder);
        if (files.Config["tokenizer_class"].AsText?.StartsWith("GPT2Tokenizer", StringComparison.Ordinal) == true
            || !files.HasByteFallback && files.SentencePieceModel is null)
        {
            return ByteLevel.Read(files, size).Finished(files, folder);
        }

        var vocabulary = files.SentencePieceModel is { } model
            ? SentencePieceModel.Read(files, model, size, ofPhi3: true)
            : MergedPieces.Read(files, size);
        return vocabulary.Finished(files, folder);
    }

    /// <summary>BERT and XLM-RoBERTa: WordPiece or Unigram by tokenizer.json, or the SentencePiece file of XLM-RoBERTa.</summary>
    public static Vocabulary OfEncoder(ModelFolder folder, int size)
    {
        var files = TokenizerFiles.Read(folder);
        var vocabulary = folder.Bytes("sentencepiece.bpe.model") is { } model ? Unigram.Read(files, model, size)
            : files.Kind == "WordPiece" ? WordPiece.Read(files, size)
            : Unigram.Read(files, size);
        return vocabulary.Finished(files, folder);
    }

    /// <summary>Adds a boolean key of tokenizer.ggml.</summary>
    public void Set(string key, bool value) => Keys.Add((key, GgufValue.OfFlag(value)));

    /// <summary>Tokens of a size that all are unused padding, for a reader to put its own over.</summary>
    public static (string[] Tokens, TokenKind[] Kinds) Padding(int size)
    {
        var (tokens, kinds) = (new string[size], new TokenKind[size]);
        for (var id = 0; id < size; id++)
            (tokens[id], kinds[id]) = ($"[PAD{id}]", TokenKind.Unused);

        return (tokens, kinds);
    }

    /// <summary>All metadata of the tokenizer.</summary>
    public IEnumerable<(string Key, GgufValue Value)> Metadata()
    {
        yield return ("tokenizer.ggml.model", GgufValue.OfText(Model));
        yield return ("tokenizer.ggml.pre", GgufValue.OfText(Pre));
        yield return ("tokenizer.ggml.tokens", Array(GgufType.Text, Tokens, GgufValue.OfText));
        if (Scores is not null)
            yield return ("tokenizer.ggml.scores", Array(GgufType.Float32, Scores, score => GgufValue.OfNumber(GgufType.Float32, score)));

        yield return ("tokenizer.ggml.token_type", Array(GgufType.Int32, Kinds, kind => GgufValue.OfInteger(GgufType.Int32, (int)kind)));
        if (Merges is not null)
            yield return ("tokenizer.ggml.merges", Array(GgufType.Text, Merges, GgufValue.OfText));

        foreach (var (key, value) in Keys)
            yield return (key.StartsWith("tokenizer.", StringComparison.Ordinal) ? key : "tokenizer.ggml." + key, value);
    }

    private static GgufValue Array<T>(GgufType type, T[] items, Func<T, GgufValue> value) =>
        GgufValue.OfArray(new GgufArray(type, items.Length, [.. items.Select(value)]));

    private Vocabulary Finished(TokenizerFiles files, ModelFolder folder)
    {
        // llama.cpp ends its process on a text that two tokens have.
        var seen = new Dictionary<string, int>(Tokens.Length, StringComparer.Ordinal);
        for (var id = 0; id < Tokens.Length; id++)
        {
            if (!seen.TryAdd(Tokens[id], id))
                throw new SafeTensorsException($"the tokenizer has the text '{Tokens[id]}' twice, as tokens {seen[Tokens[id]]} and {id}");
        }

        SpecialTokens.Write(this, files, folder);
        ChatTemplates.Write(this, files, folder);
        return this;
    }
}
