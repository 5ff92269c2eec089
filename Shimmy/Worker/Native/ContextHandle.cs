using System.Runtime.InteropServices;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Native;

/// <summary>
/// Owns a <c>llama_context</c> with its KV cells, and keeps its model alive: freeing a model under its context is undefined. Used by one
/// thread at a time.
/// </summary>
internal sealed unsafe class ContextHandle : SafeHandle
{
    private readonly ModelHandle _model;
    private readonly nint _memory;

    public ContextHandle(nint context, ModelHandle model) : base(0, ownsHandle: true)
    {
        var added = false;
        model.DangerousAddRef(ref added);
        _model = model;
        SetHandle(context);
        _memory = llama_get_memory(this);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>llama.cpp's default parameters, to be changed and given to <see cref="Create"/>.</summary>
    public static LlamaContextParams DefaultParams => RuntimeLayout.Loaded.DefaultContextParams();

    /// <summary>KV cells of all sequences together.</summary>
    public int Cells => (int)llama_n_ctx(this);

    /// <summary>Most tokens in one decode.</summary>
    public int BatchSize => (int)llama_n_batch(this);

    /// <summary>Most tokens that are computed in one step of a decode.</summary>
    public int MicroBatchSize => (int)llama_n_ubatch(this);

    /// <summary>Makes a context; null where llama.cpp cannot, for want of memory most of the time.</summary>
    public static ContextHandle? Create(ModelHandle model, LlamaContextParams parameters) =>
        RuntimeLayout.Loaded.CreateContext(model, parameters) is not 0 and var context ? new ContextHandle(context, model) : null;

    // Compute

    /// <summary>Waits until what was decoded is computed.</summary>
    public void Synchronize() => llama_synchronize(this);

    /// <summary>Whether tokens decoded from now on see only those before them, which is the default, or all of their batch.</summary>
    public void UseCausalAttention(bool causal) => MtmdApi.llama_set_causal_attn(this, causal);

    /// <summary>
    /// Logits behind the batch's token at this index; empty where it asked for none. Valid until the next decode, and free to be changed.
    /// </summary>
    /// <param name="index">What <see cref="DecodeBatch.Add"/> returned.</param>
    /// <param name="vocabularySize">Number of logits.</param>
    public Span<float> Logits(int index, int vocabularySize)
    {
        var logits = llama_get_logits_ith(this, index);
        return logits is null ? [] : new Span<float>(logits, vocabularySize);
    }

    /// <summary>The pooled embedding of a sequence of the last decode; empty where there is none.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="length">Its width.</param>
    public ReadOnlySpan<float> Embedding(int sequence, int length)
    {
        var values = llama_get_embeddings_seq(this, sequence);
        return values is null ? [] : new ReadOnlySpan<float>(values, length);
    }

    /// <summary>Sets the threads of decodes of one token and of several, and the pools that they come from where both are there.</summary>
    public void UseThreads(int one, Threadpool? poolOfOne, int several, Threadpool? poolOfSeveral)
    {
        llama_set_n_threads(this, one, several);
        if (poolOfOne is not null && poolOfSeveral is not null)
            llama_attach_threadpool(this, poolOfOne.Pointer, poolOfSeveral.Pointer);
    }

    /// <summary>
    /// Replaces the LoRA adapters that act on what is decoded from now on; false where llama.cpp refuses, which its log explains.
    /// </summary>
    /// <param name="adapters">What <see cref="ModelHandle.LoadAdapter"/> returned.</param>
    /// <param name="scales">The strength of each.</param>
    public bool UseAdapters(ReadOnlySpan<nint> adapters, ReadOnlySpan<float> scales)
    {
        fixed (nint* handles = adapters)
        fixed (float* strengths = scales)
            return llama_set_adapters_lora(this, handles, (nuint)adapters.Length, strengths) == 0;
    }

    // KV cells of sequences

    /// <summary>Frees a sequence's cells from a position on; false where part of a sequence cannot be removed (recurrent state).</summary>
    public bool RemoveCells(int sequence, int from) => llama_memory_seq_rm(_memory, sequence, from, -1);

    /// <summary>Frees all cells of a sequence.</summary>
    public void RemoveCells(int sequence) => llama_memory_seq_rm(_memory, sequence, -1, -1);

    /// <summary>Marks the first cells of a sequence as another's too.</summary>
    public void ShareCells(int source, int target, int length) => llama_memory_seq_cp(_memory, source, target, 0, length);

    /// <summary>Marks all cells of a sequence as another's too, or copies its recurrent state.</summary>
    public void ShareCells(int source, int target) => llama_memory_seq_cp(_memory, source, target, -1, -1);

    /// <summary>The earliest position of a sequence that all layers still hold; negative where it has no cells.</summary>
    public int FirstPosition(int sequence) => llama_memory_seq_pos_min(_memory, sequence);

    /// <summary>Frees all cells of all sequences; what is in them stays unread.</summary>
    public void ClearCells() => llama_memory_clear(_memory, data: false);

    protected override bool ReleaseHandle()
    {
        llama_free(handle);
        _model.DangerousRelease();
        return true;
    }
}
