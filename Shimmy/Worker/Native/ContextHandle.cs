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

    /// <summary>The state behind the batch's token at this index, where nothing is pooled; empty where it asked for none.</summary>
    /// <param name="index">What <see cref="DecodeBatch.Add"/> returned.</param>
    /// <param name="length">Its width.</param>
    public ReadOnlySpan<float> TokenEmbedding(int index, int length)
    {
        var values = llama_get_embeddings_ith(this, index);
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

    /// <summary>The last position of a sequence that all layers hold; negative where it has no cells.</summary>
    public int LastPosition(int sequence) => llama_memory_seq_pos_max(_memory, sequence);

    // States of sequences as bytes

    /// <summary>Bytes that a sequence's state takes; 0 where it cannot be had.</summary>
    public long StateSize(int sequence, StateParts parts) =>
        RuntimeLibraries.HasStates ? (long)llama_state_seq_get_size_ext(this, sequence, (uint)parts) : 0;

    /// <summary>A copy of a sequence's state; null where it cannot be had, for want of memory most of the time.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="parts">Which memory.</param>
    /// <param name="size">What <see cref="StateSize"/> says.</param>
    public StateBuffer? SaveState(int sequence, StateParts parts, long size)
    {
        if (size <= 0 || StateBuffer.Create(size) is not { } buffer)
            return null;
        if ((long)llama_state_seq_get_data_ext(this, buffer.Pointer, (nuint)size, sequence, (uint)parts) == size)
            return buffer;
        buffer.Dispose();
        return null;
    }

    /// <summary>
    /// Replaces a sequence's state by a copy; false where llama.cpp refuses it, which leaves the sequence's memory in doubt: it must be
    /// removed then.
    /// </summary>
    public bool RestoreState(int sequence, StateParts parts, StateBuffer state) =>
        (long)llama_state_seq_set_data_ext(this, state.Pointer, (nuint)state.Length, sequence, (uint)parts) == state.Length;

    /// <summary>Writes the cells of a sequence, with these numbers before them, to a file; the bytes written, 0 where that fails.</summary>
    public long Save(int sequence, string path, ReadOnlySpan<int> head)
    {
        fixed (int* numbers = head)
            return (long)llama_state_seq_save_file(this, path, sequence, numbers, (nuint)head.Length);
    }

    /// <summary>Reads what <see cref="Save"/> has written; the bytes read, 0 where the file is not that or finds no cells.</summary>
    public long Load(int sequence, string path, Span<int> head)
    {
        nuint count;
        fixed (int* numbers = head)
            return (long)llama_state_seq_load_file(this, path, sequence, numbers, (nuint)head.Length, &count);
    }

    /// <summary>Frees all cells of all sequences; what is in them stays unread, or is overwritten with zeros.</summary>
    public void ClearCells(bool data = false) => llama_memory_clear(_memory, data);

    protected override bool ReleaseHandle()
    {
        llama_free(handle);
        _model.DangerousRelease();
        return true;
    }
}

/// <summary>
/// The state of a sequence as llama.cpp wrote it, outside the managed heap: it may be gigabytes, and is given back the moment that it is
/// disposed.
/// </summary>
internal sealed unsafe class StateBuffer : SafeHandle
{
    private StateBuffer(byte* bytes, long length) : base(0, ownsHandle: true)
    {
        SetHandle((nint)bytes);
        Length = length;
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>The first byte; for this folder.</summary>
    public byte* Pointer => (byte*)handle;

    /// <summary>Memory for so many bytes; null where there is none.</summary>
    public static StateBuffer? Create(long length)
    {
        try
        {
            return new StateBuffer((byte*)NativeMemory.Alloc((nuint)length), length);
        }
        catch (OutOfMemoryException)
        {
            return null;
        }
    }

    /// <summary>The bytes as a stream; the buffer must outlive it.</summary>
    public Stream AsStream() => new UnmanagedMemoryStream(Pointer, Length, Length, FileAccess.ReadWrite);

    protected override bool ReleaseHandle()
    {
        NativeMemory.Free((void*)handle);
        return true;
    }
}

/// <summary>Which memory of a sequence a state holds (<c>llama_state_seq_flags</c>).</summary>
internal enum StateParts : uint
{
    /// <summary>All of it.</summary>
    Whole = 0,

    /// <summary>Only what cannot be cut: the recurrent state, the cells of sliding windows (PARTIAL_ONLY).</summary>
    Uncuttable = 1,
}
