using System.Runtime.InteropServices;
using Shimmy.Engine;

namespace Shimmy.Worker.Native;

/// <summary>
/// libmtmd of LLamaSharp.Backend.Cpu 0.30.0, which encodes pictures and sounds: C names verbatim, only what Shimmy calls.
/// <see cref="ProjectorHandle.Load"/> checks the layout by the default values; nothing else distinguishes versions.
/// </summary>
internal static unsafe partial class MtmdApi
{
    /// <summary>The name that <see cref="RuntimeLibraries"/> resolves to the file of this platform.</summary>
    public const string Library = "mtmd";

    /// <summary>Into memory for the struct of any build: it is returned through a pointer.</summary>
    [LibraryImport(Library)] public static partial MtmdContextParamsProbe mtmd_context_params_default();

    [LibraryImport(Library)]
    public static partial void mtmd_helper_log_set(delegate* unmanaged[Cdecl]<int, byte*, void*, void> callback, void* userData);

    /// <summary>Null where the file is not a projector for the model; the reason is in the log only.</summary>
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint mtmd_init_from_file(string path, ModelHandle model, MtmdContextParams parameters);

    [LibraryImport(Library)] public static partial void mtmd_free(nint context);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool mtmd_support_vision(ProjectorHandle context);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool mtmd_support_audio(ProjectorHandle context);

    [LibraryImport(Library)] public static partial int mtmd_get_audio_sample_rate(ProjectorHandle context);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool mtmd_decode_use_mrope(ProjectorHandle context);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool mtmd_decode_use_non_causal(ProjectorHandle context, nint chunk);

    /// <summary>Copies the pixels.</summary>
    [LibraryImport(Library)] public static partial nint mtmd_bitmap_init(uint width, uint height, byte* rgb);

    /// <summary>Copies the samples.</summary>
    [LibraryImport(Library)] public static partial nint mtmd_bitmap_init_from_audio(nuint count, float* samples);

    [LibraryImport(Library)] public static partial void mtmd_bitmap_free(nint bitmap);

    // Chunks of a tokenized prompt: the list owns them

    [LibraryImport(Library)] public static partial nint mtmd_input_chunks_init();
    [LibraryImport(Library)] public static partial void mtmd_input_chunks_free(nint chunks);
    [LibraryImport(Library)] public static partial nuint mtmd_input_chunks_size(MediaChunksHandle chunks);
    [LibraryImport(Library)] public static partial nint mtmd_input_chunks_get(MediaChunksHandle chunks, nuint index);

    /// <summary>0 where done. Any thread may call it, several at once.</summary>
    [LibraryImport(Library)]
    public static partial int mtmd_tokenize(ProjectorHandle context, MediaChunksHandle chunks, MtmdInputText* text, nint* bitmaps,
        nuint count);

    [LibraryImport(Library)] public static partial int mtmd_input_chunk_get_type(nint chunk);
    [LibraryImport(Library)] public static partial int* mtmd_input_chunk_get_tokens_text(nint chunk, nuint* count);
    [LibraryImport(Library)] public static partial nuint mtmd_input_chunk_get_n_tokens(nint chunk);
    [LibraryImport(Library)] public static partial int mtmd_input_chunk_get_n_pos(nint chunk);
    [LibraryImport(Library)] public static partial nint mtmd_input_chunk_get_tokens_image(nint chunk);

    [LibraryImport(Library)]
    public static partial void mtmd_helper_image_get_decoder_pos(nint imageTokens, int first, MtmdPosition* positions);

    /// <summary>0 where done. Never twice at once on one context: that ends the process.</summary>
    [LibraryImport(Library)] public static partial int mtmd_encode_chunk(ProjectorHandle context, nint chunk);

    /// <summary>The embeddings that were encoded last; valid until the next.</summary>
    [LibraryImport(Library)] public static partial float* mtmd_get_output_embd(ProjectorHandle context);

    // Of libllama, for what libmtmd gives

    [LibraryImport(LlamaApi.Library)] public static partial int llama_model_n_embd_inp(ModelHandle model);

    [LibraryImport(LlamaApi.Library)]
    public static partial void llama_set_causal_attn(ContextHandle context, [MarshalAs(UnmanagedType.U1)] bool causal);
}

/// <summary><c>struct mtmd_context_params</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MtmdContextParams
{
    public byte UseGpu;
    public byte PrintTimings;
    public int Threads;
    public byte* ImageMarker;
    public byte* MediaMarker;
    public int FlashAttentionType;
    public byte WarmUp;
    public int ImageMinTokens;
    public int ImageMaxTokens;
    public nint EvalCallback;
    public nint EvalCallbackData;
    public int BatchMaxTokens;
    public nint ProgressCallback;
    public nint ProgressCallbackData;
}

/// <summary>The same with padding for the fields that other versions have behind it.</summary>
[StructLayout(LayoutKind.Sequential, Size = 1024)]
internal struct MtmdContextParamsProbe
{
    public MtmdContextParams Known;
}

/// <summary><c>struct mtmd_input_text</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MtmdInputText
{
    public byte* Text;
    public nuint Length;
    public byte AddSpecial;
    public byte ParseSpecial;
}

/// <summary><c>struct mtmd_decoder_pos</c>: M-RoPE's place of one token of a picture.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MtmdPosition
{
    public int Time;
    public int Column;
    public int Row;
    public int Fourth;
}

/// <summary>One chunk of a tokenized medium: text tokens, or tokens that are encoded.</summary>
/// <param name="Handle">libmtmd's chunk; valid as long as its list.</param>
/// <param name="Text">The tokens of text; null for what is encoded.</param>
/// <param name="Tokens">Number of tokens.</param>
/// <param name="Positions">Positions that they take.</param>
/// <param name="NonCausal">Whether its tokens see each other: they are decoded in one batch, alone.</param>
/// <param name="Places">M-RoPE's places of its tokens behind position 0 and behind position 1; empty for one position a token.</param>
internal sealed record NativeChunk(
    nint Handle, int[]? Text, int Tokens, int Positions, bool NonCausal, (MtmdPosition AtZero, MtmdPosition AtOne)[] Places);

/// <summary>Owns a list of chunks, with the pixels that are still to be encoded.</summary>
internal sealed class MediaChunksHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    /// <summary>An empty list.</summary>
    public static MediaChunksHandle Create()
    {
        var list = new MediaChunksHandle();
        list.SetHandle(MtmdApi.mtmd_input_chunks_init());
        return list;
    }

    protected override bool ReleaseHandle()
    {
        MtmdApi.mtmd_input_chunks_free(handle);
        return true;
    }
}

/// <summary>
/// Owns an <c>mtmd_context</c>: a loaded projector. It uses the vocabulary of its model, which it keeps alive. Tokenizing is for any
/// thread; encoding is for one at a time.
/// </summary>
internal sealed unsafe class ProjectorHandle() : SafeHandle(0, ownsHandle: true)
{
    private static readonly byte[] Marker = "<__media__>"u8.ToArray();

    private ModelHandle _model = null!;

    public override bool IsInvalid => handle == 0;

    /// <summary>Whether it takes pictures.</summary>
    public bool CanSee => MtmdApi.mtmd_support_vision(this);

    /// <summary>Samples a second of the sounds that it takes; 0 where it takes none.</summary>
    public int SampleRate => MtmdApi.mtmd_support_audio(this) ? Math.Max(0, MtmdApi.mtmd_get_audio_sample_rate(this)) : 0;

    /// <summary>Seconds of sound that encoders as Whisper's hear at once.</summary>
    public const int SoundSeconds = 30;

    /// <summary>Numbers of one token's embedding.</summary>
    public int EmbeddingLength => MtmdApi.llama_model_n_embd_inp(_model);

    /// <summary>
    /// Loads a projector file for a model. Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>) where there is no
    /// libmtmd, where it is another version, or where it refuses the file.
    /// </summary>
    /// <param name="path">Full path of the file.</param>
    /// <param name="model">The model that is to read what it encodes.</param>
    /// <param name="threads">Threads that encode.</param>
    /// <param name="tokens">Least and most tokens of a picture, where its kind lets them be chosen; null leaves the kind's own.</param>
    /// <param name="usesGpu">Whether a GPU may encode.</param>
    public static ProjectorHandle Load(string path, ModelHandle model, int threads, (int? Least, int? Most) tokens, bool usesGpu)
    {
        try
        {
            if (!RuntimeLayout.Loaded.HasMedia)
            {
                throw new EngineException(EngineFailure.LoadFailed, $"the runtime in {RuntimeLibraries.Directory} is "
                    + $"{RuntimeLayout.Loaded.Builds}, and pictures and sounds are read with the libmtmd of LLamaSharp 0.30 alone");
            }
            var parameters = MtmdApi.mtmd_context_params_default().Known;
            if (!IsKnown(parameters))
            {
                throw new EngineException(EngineFailure.LoadFailed,
                    $"the libmtmd in {RuntimeLibraries.Directory} has other default values than the version that Shimmy is bound to");
            }
            NativeLog.AttachMedia();
            parameters.UseGpu = usesGpu ? (byte)1 : (byte)0;
            parameters.PrintTimings = 0;
            parameters.Threads = threads;
            parameters.WarmUp = 0;
            parameters.ImageMinTokens = tokens.Least ?? parameters.ImageMinTokens;
            parameters.ImageMaxTokens = tokens.Most ?? parameters.ImageMaxTokens;
            NativeLog.TakeErrors();
            var handle = MtmdApi.mtmd_init_from_file(path, model, parameters);
            if (handle == 0)
            {
                var reason = NativeLog.TakeErrors();
                throw new EngineException(EngineFailure.LoadFailed,
                    $"cannot load the projector {path}: {(reason.Length > 0 ? reason : "libmtmd refuses it")}");
            }
            var added = false;
            model.DangerousAddRef(ref added);
            var projector = new ProjectorHandle { _model = model };
            projector.SetHandle(handle);
            return projector;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            // What .NET says of a missing library is a line for each place where it looked.
            var reason = e is DllNotFoundException ? "" : $": {e.Message}";
            throw new EngineException(EngineFailure.LoadFailed,
                $"the runtime in {RuntimeLibraries.Directory} has no libmtmd that loads, which the projector {path} needs{reason}", e);
        }
    }

    /// <summary>
    /// The chunks of a medium, which live as long as the list. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.InvalidRequest"/>) where libmtmd refuses it.
    /// </summary>
    /// <param name="medium">The medium; without data, zeros stand for it.</param>
    /// <param name="list">Gets the chunks.</param>
    public List<NativeChunk> Tokenize(Medium medium, MediaChunksHandle list)
    {
        var bitmap = Bitmap(medium);
        try
        {
            fixed (byte* marker = Marker)
            {
                // The marker alone: no text that a user wrote ever stands beside it.
                var text = new MtmdInputText { Text = marker, Length = (nuint)Marker.Length, AddSpecial = 0, ParseSpecial = 1 };
                if (bitmap == 0 || MtmdApi.mtmd_tokenize(this, list, &text, &bitmap, 1) != 0)
                {
                    throw new EngineException(EngineFailure.InvalidRequest,
                        $"a {(medium.Kind == MediumKind.Picture ? $"picture of {medium.Width} x {medium.Height} pixels" : "sound")} " +
                        $"cannot be read by the projector of this model: {NativeLog.TakeErrors()}")
                    { Option = "messages" };
                }
            }
        }
        finally
        {
            if (bitmap != 0)
                MtmdApi.mtmd_bitmap_free(bitmap);
        }
        var chunks = Enumerable.Range(0, (int)MtmdApi.mtmd_input_chunks_size(list)).Select(i => ChunkAt(list, i)).ToList();
        if (medium.Kind == MediumKind.Sound)
            DropSilentChunks(chunks, medium.Width);
        return chunks;
    }

    /// <summary>
    /// Encodes a chunk: its embeddings, one token after the other; null where libmtmd cannot, which its log explains. One thread at a time.
    /// </summary>
    public float[]? Encode(NativeChunk chunk)
    {
        if (MtmdApi.mtmd_encode_chunk(this, chunk.Handle) != 0)
            return null;
        var values = MtmdApi.mtmd_get_output_embd(this);
        return values is null ? null : new ReadOnlySpan<float>(values, checked(chunk.Tokens * EmbeddingLength)).ToArray();
    }

    // libmtmd puts silence behind every sound and encodes that too: to models it is something else that they are to answer to. One chunk
    // for each thirty seconds that begin is the sound's own.
    private void DropSilentChunks(List<NativeChunk> chunks, int samples)
    {
        var most = (long)SoundSeconds * SampleRate;
        var own = (samples + most - 1) / most;
        chunks.RemoveAll(chunk => chunk.Text is null && --own < 0);
    }

    private static nint Bitmap(Medium medium)
    {
        var data = medium.Data.IsEmpty ? new ReadOnlySpan<byte>(new byte[medium.DataLength]) : medium.Data.Span;
        fixed (byte* bytes = data)
        {
            return medium.Kind == MediumKind.Picture
                ? MtmdApi.mtmd_bitmap_init((uint)medium.Width, (uint)medium.Height, bytes)
                : MtmdApi.mtmd_bitmap_init_from_audio((nuint)medium.Width, (float*)bytes);
        }
    }

    private NativeChunk ChunkAt(MediaChunksHandle list, int index)
    {
        const int textType = 0; // MTMD_INPUT_CHUNK_TYPE_TEXT
        var chunk = MtmdApi.mtmd_input_chunks_get(list, (nuint)index);
        var tokens = (int)MtmdApi.mtmd_input_chunk_get_n_tokens(chunk);
        if (MtmdApi.mtmd_input_chunk_get_type(chunk) == textType)
        {
            nuint count;
            var text = MtmdApi.mtmd_input_chunk_get_tokens_text(chunk, &count);
            return new NativeChunk(chunk, new ReadOnlySpan<int>(text, (int)count).ToArray(), (int)count, (int)count, false, []);
        }
        var places = new (MtmdPosition, MtmdPosition)[MtmdApi.mtmd_decode_use_mrope(this) ? tokens : 0];
        if (places.Length > 0 && MtmdApi.mtmd_input_chunk_get_tokens_image(chunk) is not 0 and var image)
        {
            var (atZero, atOne) = (new MtmdPosition[tokens], new MtmdPosition[tokens]);
            fixed (MtmdPosition* zero = atZero)
            fixed (MtmdPosition* one = atOne)
            {
                MtmdApi.mtmd_helper_image_get_decoder_pos(image, 0, zero);
                MtmdApi.mtmd_helper_image_get_decoder_pos(image, 1, one);
            }
            for (var i = 0; i < tokens; i++)
                places[i] = (atZero[i], atOne[i]);
        }
        else
        {
            // A sound: all four count up.
            for (var i = 0; i < places.Length; i++)
                places[i] = (Even(i), Even(i + 1));
        }
        return new NativeChunk(chunk, null, tokens, MtmdApi.mtmd_input_chunk_get_n_pos(chunk),
            MtmdApi.mtmd_decode_use_non_causal(this, chunk), places);

        static MtmdPosition Even(int at) => new() { Time = at, Column = at, Row = at, Fourth = at };
    }

    // The default values of the bound version, which a shifted layout would hardly reproduce.
    private static bool IsKnown(MtmdContextParams parameters) =>
        (parameters.UseGpu, parameters.Threads, parameters.FlashAttentionType, parameters.WarmUp) == (1, 4, -1, 1)
        && (parameters.ImageMinTokens, parameters.ImageMaxTokens, parameters.BatchMaxTokens) == (-1, -1, 1024)
        && parameters.ImageMarker is null && parameters.MediaMarker is not null
        && Marker.AsSpan().SequenceEqual(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(parameters.MediaMarker));

    protected override bool ReleaseHandle()
    {
        MtmdApi.mtmd_free(handle);
        _model.DangerousRelease();
        return true;
    }
}
