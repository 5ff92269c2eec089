using System.Runtime.InteropServices;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Native;

/// <summary>
/// The <c>llama_vocab</c> of a model. It belongs to the model and is constant once that is loaded, so any thread may ask. Token ids given
/// must be in range.
/// </summary>
internal sealed unsafe class NativeVocabulary(ModelHandle model)
{
    // enum llama_token_attr
    private const int Unknown = 1;
    private const int Control = 8;
    private const int Byte = 32;
    private const int StripLeft = 128;
    private const int StripRight = 256;

    /// <summary>The model, which must live as long as this is used.</summary>
    public ModelHandle Model { get; } = model;

    /// <summary>llama.cpp's pointer, for samplers.</summary>
    public nint Pointer { get; } = llama_model_get_vocab(model);

    /// <summary>Number of tokens.</summary>
    public int Size => llama_vocab_n_tokens(Pointer);

    /// <summary><c>enum llama_vocab_type</c>.</summary>
    public int Type => llama_vocab_type(Pointer);

    // Special tokens; negative where there is none

    public int Bos => llama_vocab_bos(Pointer);

    public int Eos => llama_vocab_eos(Pointer);

    public int Separator => llama_vocab_sep(Pointer);

    public (int Prefix, int Suffix, int Middle) FillInTheMiddle =>
        (llama_vocab_fim_pre(Pointer), llama_vocab_fim_suf(Pointer), llama_vocab_fim_mid(Pointer));

    /// <summary>
    /// The tokens before the names of a project and of its files, for filling in the middle; negative where there is none.
    /// </summary>
    public (int Repository, int File) ProjectTokens => (llama_vocab_fim_rep(Pointer), llama_vocab_fim_sep(Pointer));

    public bool AddsBos => llama_vocab_get_add_bos(Pointer);

    public bool AddsEos => llama_vocab_get_add_eos(Pointer);

    public bool AddsSeparator => llama_vocab_get_add_sep(Pointer);

    /// <summary>Tokens that the model's file asks never to sample.</summary>
    public int[] SuppressedTokens
    {
        get
        {
            int count;
            var tokens = llama_vocab_get_suppress_tokens(Pointer, &count);
            return tokens is null || count <= 0 ? [] : new ReadOnlySpan<int>(tokens, count).ToArray();
        }
    }

    // Facts of one token

    /// <summary>Whether it ends a generation (EOS, EOT, EOM and their like).</summary>
    public bool IsEnd(int token) => llama_vocab_is_eog(Pointer, token);

    /// <summary>Whether it is a control token or the unknown one.</summary>
    public bool IsControl(int token) => Has(token, Control | Unknown);

    /// <summary>Whether it stands for a byte that no other token spells.</summary>
    public bool IsByte(int token) => Has(token, Byte);

    /// <summary>Whether white space before it belongs to it.</summary>
    public bool StripsLeft(int token) => Has(token, StripLeft);

    /// <summary>Whether white space behind it belongs to it.</summary>
    public bool StripsRight(int token) => Has(token, StripRight);

    /// <summary>Its text as the vocabulary spells it; null for a token without one.</summary>
    public string? Text(int token) => Marshal.PtrToStringUTF8((nint)llama_vocab_get_text(Pointer, token));

    /// <summary>Its bytes in a text; those of a control token where <paramref name="special"/> is set, else none.</summary>
    public byte[] Piece(int token, bool special)
    {
        Span<byte> buffer = stackalloc byte[128];
        fixed (byte* pointer = buffer)
        {
            var length = llama_token_to_piece(Pointer, token, pointer, buffer.Length, 0, special);
            if (length >= 0)
                return buffer[..length].ToArray();
            var exact = new byte[-length];
            fixed (byte* exactPointer = exact)
                length = llama_token_to_piece(Pointer, token, exactPointer, exact.Length, 0, special);
            return length == exact.Length ? exact : [];
        }
    }

    /// <summary>
    /// Writes the tokens of a text. Returns their number; negative the number that there would be where <paramref name="tokens"/> is too
    /// short; <see cref="int.MinValue"/> where the number overflows.
    /// </summary>
    /// <param name="text">The text in UTF-8.</param>
    /// <param name="tokens">Buffer for them.</param>
    /// <param name="addSpecial">Whether BOS, EOS and their like are added as the vocabulary wants.</param>
    /// <param name="parseSpecial">Whether control tokens are recognised in the text.</param>
    public int Tokenize(ReadOnlySpan<byte> text, Span<int> tokens, bool addSpecial, bool parseSpecial)
    {
        fixed (byte* textPointer = text)
        fixed (int* tokenPointer = tokens)
            return llama_tokenize(Pointer, textPointer, text.Length, tokenPointer, tokens.Length, addSpecial, parseSpecial);
    }

    private bool Has(int token, int attribute) => (llama_vocab_get_attr(Pointer, token) & attribute) != 0;
}
