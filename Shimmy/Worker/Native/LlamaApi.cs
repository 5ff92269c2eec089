using System.Runtime.InteropServices;

namespace Shimmy.Worker.Native;

/// <summary>
/// libllama: C names verbatim, only what Shimmy calls, and only what is the same in every build that it knows. What differs is in
/// <see cref="RuntimeLayout"/>.
/// </summary>
internal static unsafe partial class LlamaApi
{
    /// <summary>The name that <see cref="RuntimeLibraries"/> resolves to the file of this platform.</summary>
    public const string Library = "llama";

    // Lifecycle

    /// <summary>Which release the library is; builds from before v0.4.0 do not have it.</summary>
    [LibraryImport(Library)] public static partial byte* llama_version();
    [LibraryImport(Library)] public static partial void llama_backend_init();
    [LibraryImport(Library)] public static partial void llama_numa_init(int strategy);
    [LibraryImport(Library)] public static partial nuint llama_max_devices();
    [LibraryImport(Library)]
    public static partial void llama_log_set(
        delegate* unmanaged[Cdecl]<int, byte*, void*, void> callback, void* userData);

    [LibraryImport(Library)] public static partial void llama_model_free(nint model);

    [LibraryImport(Library)] public static partial void llama_free(nint context);
    [LibraryImport(Library)] public static partial void llama_attach_threadpool(ContextHandle context, nint decode, nint batch);
    [LibraryImport(Library)] public static partial void llama_set_n_threads(ContextHandle context, int threads, int threadsBatch);

    // LoRA

    /// <summary>Null when the file is no adapter for the model; belongs to the model, which frees it.</summary>
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint llama_adapter_lora_init(ModelHandle model, string path);

    [LibraryImport(Library)] public static partial ulong llama_adapter_get_alora_n_invocation_tokens(nint adapter);

    /// <summary>Replaces the adapters of the context; zero when done.</summary>
    [LibraryImport(Library)]
    public static partial int llama_set_adapters_lora(ContextHandle context,
        nint* adapters, nuint count, float* scales);

    // Model facts

    [LibraryImport(Library)] public static partial nint llama_model_get_vocab(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_ctx_train(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_embd(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_embd_out(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_layer(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_head(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_head_kv(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_n_swa(ModelHandle model);
    [LibraryImport(Library)] public static partial ulong llama_model_size(ModelHandle model);
    [LibraryImport(Library)] public static partial ulong llama_model_n_params(ModelHandle model);
    [LibraryImport(Library)] public static partial int llama_model_desc(ModelHandle model, byte* buffer, nuint size);
    [LibraryImport(Library)] public static partial int llama_model_meta_count(ModelHandle model);

    /// <summary>Length of the key, or negative where there is none at this index.</summary>
    [LibraryImport(Library)]
    public static partial int llama_model_meta_key_by_index(ModelHandle model,
        int index, byte* buffer, nuint size);

    /// <summary>Length of the value, which may exceed <paramref name="size"/>; negative where there is none.</summary>
    [LibraryImport(Library)]
    public static partial int llama_model_meta_val_str_by_index(ModelHandle model,
        int index, byte* buffer, nuint size);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_model_has_encoder(ModelHandle model);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_model_has_decoder(ModelHandle model);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_model_is_recurrent(ModelHandle model);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_model_is_hybrid(ModelHandle model);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_model_is_diffusion(ModelHandle model);

    // Vocabulary: constant once loaded, so any thread may ask. The pointer lives as long as the model.

    [LibraryImport(Library)] public static partial int llama_vocab_n_tokens(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_type(nint vocab);
    [LibraryImport(Library)] public static partial byte* llama_vocab_get_text(nint vocab, int token);
    [LibraryImport(Library)] public static partial int llama_vocab_get_attr(nint vocab, int token);
    [LibraryImport(Library)] public static partial int llama_vocab_bos(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_fim_pre(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_fim_suf(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_fim_mid(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_fim_rep(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_fim_sep(nint vocab);
    [LibraryImport(Library)] public static partial int llama_vocab_eos(nint vocab);
    [LibraryImport(Library)] public static partial int* llama_vocab_get_suppress_tokens(nint vocab, int* count);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_vocab_is_eog(nint vocab, int token);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_vocab_get_add_bos(nint vocab);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_vocab_get_add_eos(nint vocab);

    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_vocab_get_add_sep(nint vocab);

    [LibraryImport(Library)] public static partial int llama_vocab_sep(nint vocab);

    [LibraryImport(Library)] public static partial uint llama_model_n_cls_out(ModelHandle model);

    /// <summary>The pooled embedding of a sequence of the last decode; null where there is none.</summary>
    [LibraryImport(Library)] public static partial float* llama_get_embeddings_seq(ContextHandle context, int sequence);
    [LibraryImport(Library)] public static partial float* llama_get_embeddings_ith(ContextHandle context, int index);

    /// <summary>Number of tokens; negative its size where <paramref name="capacity"/> is too small; INT32_MIN on overflow.</summary>
    [LibraryImport(Library)]
    public static partial int llama_tokenize(nint vocab, byte* text, int textLength, int* tokens, int capacity,
        [MarshalAs(UnmanagedType.U1)] bool addSpecial, [MarshalAs(UnmanagedType.U1)] bool parseSpecial);

    /// <summary>Bytes written; negative the bytes needed where <paramref name="length"/> is too small.</summary>
    [LibraryImport(Library)]
    public static partial int llama_token_to_piece(nint vocab, int token, byte* buffer, int length, int leftStrip,
        [MarshalAs(UnmanagedType.U1)] bool special);

    // Context

    [LibraryImport(Library)] public static partial uint llama_n_ctx(ContextHandle context);
    [LibraryImport(Library)] public static partial uint llama_n_batch(ContextHandle context);
    [LibraryImport(Library)] public static partial uint llama_n_ubatch(ContextHandle context);
    [LibraryImport(Library)] public static partial nint llama_get_memory(ContextHandle context);

    /// <summary>
    /// 0 done; 1 no cells free for the batch (memory as before); 2 aborted; -1 invalid batch (memory as before); below -1 fatal.
    /// </summary>
    [LibraryImport(Library)] public static partial int llama_decode(ContextHandle context, LlamaBatch batch);

    /// <summary>Logits of the batch's token at this index; null where it asked for none.</summary>
    [LibraryImport(Library)] public static partial float* llama_get_logits_ith(ContextHandle context, int index);

    [LibraryImport(Library)] public static partial void llama_synchronize(ContextHandle context);

    // Memory of sequences; p0 and p1 negative mean from the start and to the end

    [LibraryImport(Library)]
    public static partial void llama_memory_clear(nint memory, [MarshalAs(UnmanagedType.U1)] bool data);

    /// <summary>False where part of a sequence cannot be removed (recurrent state); a whole one always can.</summary>
    [return: MarshalAs(UnmanagedType.U1)]
    [LibraryImport(Library)] public static partial bool llama_memory_seq_rm(nint memory, int sequence, int p0, int p1);

    [LibraryImport(Library)] public static partial void llama_memory_seq_cp(nint memory, int source, int target, int p0, int p1);
    [LibraryImport(Library)] public static partial int llama_memory_seq_pos_min(nint memory, int sequence);
    [LibraryImport(Library)] public static partial int llama_memory_seq_pos_max(nint memory, int sequence);

    // States of sequences, as bytes; RuntimeLibraries.HasStates says whether the library has these

    /// <summary>Bytes of a sequence's state; flags are <see cref="StateParts"/>.</summary>
    [LibraryImport(Library)] public static partial nuint llama_state_seq_get_size_ext(ContextHandle context, int sequence, uint flags);

    /// <summary>Bytes written; 0 where that failed.</summary>
    [LibraryImport(Library)]
    public static partial nuint llama_state_seq_get_data_ext(ContextHandle context, byte* data, nuint size, int sequence, uint flags);

    /// <summary>Bytes read; 0 where they were refused, which leaves the sequence's memory in doubt.</summary>
    [LibraryImport(Library)]
    public static partial nuint llama_state_seq_set_data_ext(ContextHandle context, byte* data, nuint size, int sequence, uint flags);

    // State of a sequence in a file, behind the tokens that the caller gives

    /// <summary>Bytes written; 0 where the file cannot be written, which the log explains.</summary>
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nuint llama_state_seq_save_file(ContextHandle context, string path, int sequence, int* tokens, nuint count);

    /// <summary>Bytes read; 0 where the file is no state of this model or finds no free cells, which the log explains.</summary>
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nuint llama_state_seq_load_file(ContextHandle context,
        string path, int sequence, int* tokens, nuint capacity, nuint* count);

    // Samplers: a chain owns what is added to it

    [LibraryImport(Library)] public static partial nint llama_sampler_chain_init(LlamaSamplerChainParams parameters);
    [LibraryImport(Library)] public static partial void llama_sampler_chain_add(SamplerHandle chain, nint sampler);
    [LibraryImport(Library)] public static partial void llama_sampler_apply(SamplerHandle sampler, LlamaTokenDataArray* candidates);
    [LibraryImport(Library)] public static partial void llama_sampler_accept(SamplerHandle sampler, int token);
    [LibraryImport(Library)] public static partial void llama_sampler_free(nint sampler);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_infill(nint vocab);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_greedy();
    [LibraryImport(Library)] public static partial nint llama_sampler_init_dist(uint seed);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_top_k(int k);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_top_p(float p, nuint minKeep);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_min_p(float p, nuint minKeep);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_typical(float p, nuint minKeep);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_temp(float temperature);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_temp_ext(float temperature, float range, float exponent);
    [LibraryImport(Library)]
    public static partial nint llama_sampler_init_xtc(float probability,
        float threshold, nuint minKeep, uint seed);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_top_n_sigma(float n);
    [LibraryImport(Library)]
    public static partial nint llama_sampler_init_mirostat(int vocabularySize,
        uint seed, float tau, float eta, int m);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_mirostat_v2(uint seed, float tau, float eta);
    [LibraryImport(Library)] public static partial nint llama_sampler_init_adaptive_p(float target, float decay, uint seed);

    /// <summary>Null where the grammar does not parse; the reason is in the log only.</summary>
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint llama_sampler_init_grammar(nint vocab, string grammar, string root);
}
