using System.Runtime.InteropServices;

namespace Shimmy.Worker.Native;

/// <summary>The tokens of one <c>llama_decode</c> call, each of one sequence.</summary>
internal sealed unsafe class DecodeBatch : IDisposable
{
    private readonly int _capacity;
    private LlamaBatch _batch;
    private int* _sequences;

    public DecodeBatch(int capacity)
    {
        _capacity = capacity;
        _sequences = Allocate<int>(capacity);
        _batch = new LlamaBatch
        {
            Tokens = Allocate<int>(capacity),
            Positions = Allocate<int>(capacity),
            SequenceIdCounts = Allocate<int>(capacity),
            SequenceIds = (int**)NativeMemory.Alloc((nuint)capacity, (nuint)sizeof(int*)),
            Logits = Allocate<sbyte>(capacity),
        };
        for (var i = 0; i < capacity; i++)
        {
            _batch.SequenceIdCounts[i] = 1;
            _batch.SequenceIds[i] = _sequences + i;
        }
    }

    /// <summary>Tokens added since <see cref="Clear"/>.</summary>
    public int Count => _batch.TokenCount;

    /// <summary>Tokens that can still be added.</summary>
    public int Free => _capacity - _batch.TokenCount;

    public void Clear() => _batch.TokenCount = 0;

    /// <summary>Adds a token and returns its index in the batch, by which its logits are found.</summary>
    public int Add(int token, int position, int sequence, bool logits)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(_batch.TokenCount, _capacity);
        var index = _batch.TokenCount++;
        _batch.Tokens[index] = token;
        _batch.Positions[index] = position;
        _sequences[index] = sequence;
        _batch.Logits[index] = logits ? (sbyte)1 : (sbyte)0;
        return index;
    }

    /// <summary>Runs the batch; the codes are <see cref="LlamaApi.llama_decode"/>'s.</summary>
    public int Decode(ContextHandle context) => LlamaApi.llama_decode(context, _batch);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_sequences is null)
            return;
        NativeMemory.Free(_sequences);
        NativeMemory.Free(_batch.Tokens);
        NativeMemory.Free(_batch.Positions);
        NativeMemory.Free(_batch.SequenceIdCounts);
        NativeMemory.Free(_batch.SequenceIds);
        NativeMemory.Free(_batch.Logits);
        _sequences = null;
        _batch = default;
    }

    private static T* Allocate<T>(int count) where T : unmanaged => (T*)NativeMemory.Alloc((nuint)count, (nuint)sizeof(T));
}

/// <summary>Consecutive tokens of a medium in one <c>llama_decode</c> call, given by their embeddings, all of one sequence.</summary>
internal static unsafe class EmbeddingBatch
{
    /// <summary>Runs the tokens; the codes are <see cref="LlamaApi.llama_decode"/>'s. The last token has the batch's last index.</summary>
    /// <param name="context">The context.</param>
    /// <param name="embeddings">The embeddings, one token after the other.</param>
    /// <param name="count">Number of tokens.</param>
    /// <param name="positions">One position a token, or M-RoPE's four, in four lists as long as there are tokens.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="outputs">Of how many tokens at the end the logits, or the states, are needed.</param>
    public static int Decode(
        ContextHandle context, ReadOnlySpan<float> embeddings, int count, ReadOnlySpan<int> positions, int sequence, int outputs)
    {
        var counts = new int[count];
        var wanted = new sbyte[count];
        var ids = new nint[count];
        Array.Fill(counts, 1);
        Array.Fill(wanted, (sbyte)1, count - outputs, outputs);
        fixed (float* values = embeddings)
        fixed (int* places = positions)
        fixed (int* idCounts = counts)
        fixed (sbyte* marks = wanted)
        fixed (nint* idPointers = ids)
        {
            Array.Fill(ids, (nint)(&sequence));
            return LlamaApi.llama_decode(context, new LlamaBatch
            {
                TokenCount = count,
                Embeddings = values,
                Positions = places,
                SequenceIdCounts = idCounts,
                SequenceIds = (int**)idPointers,
                Logits = marks,
            });
        }
    }
}
