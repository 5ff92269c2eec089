using System.Runtime.InteropServices;
using System.Text;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Native;

/// <summary>Owns a <c>llama_model</c>, with its facts. They are constant once it is loaded, so any thread may read them.</summary>
internal sealed unsafe class ModelHandle() : SafeHandle(0, ownsHandle: true)
{
    private const int LongestDescription = 128;

    public ModelHandle(nint model) : this() => SetHandle(model);

    public override bool IsInvalid => handle == 0;

    /// <summary>The context that the model was trained with, in tokens; 0 where the file does not say.</summary>
    public int TrainedContext => llama_model_n_ctx_train(this);

    /// <summary>Width of the embeddings inside the model.</summary>
    public int EmbeddingLength => llama_model_n_embd(this);

    /// <summary>Width of the embeddings that it gives out.</summary>
    public int OutputEmbeddingLength => llama_model_n_embd_out(this);

    /// <summary>Layers, the output layer not counted.</summary>
    public int Layers => llama_model_n_layer(this);

    /// <summary>Query heads of a layer.</summary>
    public int Heads => llama_model_n_head(this);

    /// <summary>Heads of a layer's keys and values.</summary>
    public int KeyValueHeads => llama_model_n_head_kv(this);

    /// <summary>Tokens that a layer with a sliding window looks back; 0 where none has one.</summary>
    public int SlidingWindow => llama_model_n_swa(this);

    /// <summary>Scores that a classifier gives out; 1 for most rerankers.</summary>
    public int ClassifierOutputs => (int)llama_model_n_cls_out(this);

    /// <summary>Bytes of all tensors.</summary>
    public long SizeBytes => (long)llama_model_size(this);

    /// <summary>Parameters of all tensors.</summary>
    public long ParameterCount => (long)llama_model_n_params(this);

    /// <summary>Whether it has an encoder, as T5 has.</summary>
    public bool HasEncoder => llama_model_has_encoder(this);

    /// <summary>Whether it has a decoder; llama.cpp counts BERT and its like in.</summary>
    public bool HasDecoder => llama_model_has_decoder(this);

    /// <summary>Whether it denoises a whole answer at once.</summary>
    public bool IsDiffusion => llama_model_is_diffusion(this);

    /// <summary>
    /// Whether some layers keep a recurrent state (Mamba, RWKV, hybrids). Such a state exists at the end of a sequence only: no token can
    /// be taken back, and no part of a prefix reused.
    /// </summary>
    public bool HasRecurrentState => llama_model_is_recurrent(this) || llama_model_is_hybrid(this);

    /// <summary>Whether all of its memory is recurrent state (Mamba, RWKV), so that a sequence has no cells beside it.</summary>
    public bool IsRecurrentOnly => llama_model_is_recurrent(this) && !llama_model_is_hybrid(this);

    /// <summary>llama.cpp's own line, for example <c>llama 8B Q8_0</c>.</summary>
    public string Description()
    {
        Span<byte> text = stackalloc byte[LongestDescription];
        fixed (byte* pointer = text)
            llama_model_desc(this, pointer, (nuint)text.Length);
        return Encoding.UTF8.GetString(text[..Math.Max(0, text.IndexOf((byte)0))]);
    }

    /// <summary>The metadata of the file by key, values as text; arrays and values that are no UTF-8 as llama.cpp prints them.</summary>
    public Dictionary<string, string> ReadMetadata()
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < llama_model_meta_count(this); i++)
        {
            if (ReadText(i, &llama_model_meta_key_by_index) is { } key && ReadText(i, &llama_model_meta_val_str_by_index) is { } value)
                metadata[key] = value;
        }
        return metadata;
    }

    /// <summary>
    /// Loads a LoRA adapter, which llama.cpp frees with the model; 0 where the file is none for this model, which its log explains. Before
    /// any context is made of the model.
    /// </summary>
    public nint LoadAdapter(string path) => llama_adapter_lora_init(this, path);

    /// <summary>Whether an adapter acts only behind a certain text of the prompt (activated LoRA, aLoRA).</summary>
    public static bool IsActivatedByText(nint adapter) => llama_adapter_get_alora_n_invocation_tokens(adapter) > 0;

    protected override bool ReleaseHandle()
    {
        llama_model_free(handle);
        return true;
    }

    // The functions behave like snprintf: they return the length that the whole text has.
    private string? ReadText(int index, delegate*<ModelHandle, int, byte*, nuint, int> read)
    {
        var buffer = new byte[256];
        for (var attempt = 0; attempt < 2; attempt++)
        {
            int length;
            fixed (byte* pointer = buffer)
                length = read(this, index, pointer, (nuint)buffer.Length);
            if (length < 0)
                return null;
            if (length < buffer.Length)
                return Encoding.UTF8.GetString(buffer, 0, length);
            buffer = new byte[length + 1];
        }
        return null;
    }
}
