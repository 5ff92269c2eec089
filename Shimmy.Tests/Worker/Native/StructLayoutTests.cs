using Shimmy.Worker.Native;

namespace Shimmy.Tests.Worker.Native;

/// <summary>Offsets and sizes as a C compiler printed them for llama.cpp v0.4.0 on 64 bits.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed unsafe class StructLayoutTests
{
    [TestMethod]
    public void llama_model_params_has_the_layout_of_the_header()
    {
        LlamaModelParams value;
        var start = (byte*)&value;
        Assert.AreEqual(80, sizeof(LlamaModelParams));
        Assert.AreEqual(0, (int)((byte*)&value.Devices - start), "devices");
        Assert.AreEqual(8, (int)((byte*)&value.TensorBuftOverrides - start), "tensor_buft_overrides");
        Assert.AreEqual(16, (int)((byte*)&value.GpuLayers - start), "n_gpu_layers");
        Assert.AreEqual(20, (int)((byte*)&value.SplitMode - start), "split_mode");
        Assert.AreEqual(24, (int)((byte*)&value.LoadMode - start), "load_mode");
        Assert.AreEqual(28, (int)((byte*)&value.LazyMode - start), "lazy_mode");
        Assert.AreEqual(32, (int)((byte*)&value.MainGpu - start), "main_gpu");
        Assert.AreEqual(40, (int)((byte*)&value.TensorSplit - start), "tensor_split");
        Assert.AreEqual(48, (int)((byte*)&value.ProgressCallback - start), "progress_callback");
        Assert.AreEqual(56, (int)((byte*)&value.ProgressCallbackUserData - start), "progress_callback_user_data");
        Assert.AreEqual(64, (int)((byte*)&value.KvOverrides - start), "kv_overrides");
        Assert.AreEqual(72, (int)((byte*)&value.VocabOnly - start), "vocab_only");
        Assert.AreEqual(73, (int)((byte*)&value.CheckTensors - start), "check_tensors");
        Assert.AreEqual(74, (int)((byte*)&value.UseExtraBufts - start), "use_extra_bufts");
        Assert.AreEqual(75, (int)((byte*)&value.NoHost - start), "no_host");
        Assert.AreEqual(76, (int)((byte*)&value.NoAlloc - start), "no_alloc");
        Assert.AreEqual(77, (int)((byte*)&value.LoadMtp - start), "load_mtp");
    }

    [TestMethod]
    public void llama_model_tensor_buft_override_has_the_layout_of_the_header()
    {
        LlamaTensorBuftOverride value;
        var start = (byte*)&value;
        Assert.AreEqual(16, sizeof(LlamaTensorBuftOverride));
        Assert.AreEqual(0, (int)((byte*)&value.Pattern - start), "pattern");
        Assert.AreEqual(8, (int)((byte*)&value.BufferType - start), "buft");
    }

    [TestMethod]
    public void llama_model_kv_override_has_the_layout_of_the_header()
    {
        LlamaModelKvOverride value;
        var start = (byte*)&value;
        Assert.AreEqual(264, sizeof(LlamaModelKvOverride));
        Assert.AreEqual(0, (int)((byte*)&value.Tag - start), "tag");
        Assert.AreEqual(4, (int)(value.Key - start), "key");
        Assert.AreEqual(136, (int)((byte*)&value.Integer - start), "val_i64");
        Assert.AreEqual(136, (int)((byte*)&value.Real - start), "val_f64");
        Assert.AreEqual(136, (int)(value.Text - start), "val_str");
    }

    [TestMethod]
    public void llama_context_params_has_the_layout_of_the_header()
    {
        LlamaContextParams value;
        var start = (byte*)&value;
        Assert.AreEqual(160, sizeof(LlamaContextParams));
        Assert.AreEqual(0, (int)((byte*)&value.ContextLength - start), "n_ctx");
        Assert.AreEqual(4, (int)((byte*)&value.BatchSize - start), "n_batch");
        Assert.AreEqual(8, (int)((byte*)&value.MicroBatchSize - start), "n_ubatch");
        Assert.AreEqual(12, (int)((byte*)&value.MaxSequences - start), "n_seq_max");
        Assert.AreEqual(16, (int)((byte*)&value.RecurrentSnapshots - start), "n_rs_seq");
        Assert.AreEqual(20, (int)((byte*)&value.MaxOutputs - start), "n_outputs_max");
        Assert.AreEqual(24, (int)((byte*)&value.MaxOutputsPerSequence - start), "n_outputs_max_per_seq");
        Assert.AreEqual(28, (int)((byte*)&value.Threads - start), "n_threads");
        Assert.AreEqual(32, (int)((byte*)&value.ThreadsBatch - start), "n_threads_batch");
        Assert.AreEqual(36, (int)((byte*)&value.ContextType - start), "ctx_type");
        Assert.AreEqual(40, (int)((byte*)&value.RopeScalingType - start), "rope_scaling_type");
        Assert.AreEqual(44, (int)((byte*)&value.PoolingType - start), "pooling_type");
        Assert.AreEqual(48, (int)((byte*)&value.AttentionType - start), "attention_type");
        Assert.AreEqual(52, (int)((byte*)&value.FlashAttentionType - start), "flash_attn_type");
        Assert.AreEqual(56, (int)((byte*)&value.RopeFrequencyBase - start), "rope_freq_base");
        Assert.AreEqual(60, (int)((byte*)&value.RopeFrequencyScale - start), "rope_freq_scale");
        Assert.AreEqual(64, (int)((byte*)&value.YarnExtFactor - start), "yarn_ext_factor");
        Assert.AreEqual(68, (int)((byte*)&value.YarnAttnFactor - start), "yarn_attn_factor");
        Assert.AreEqual(72, (int)((byte*)&value.YarnBetaFast - start), "yarn_beta_fast");
        Assert.AreEqual(76, (int)((byte*)&value.YarnBetaSlow - start), "yarn_beta_slow");
        Assert.AreEqual(80, (int)((byte*)&value.YarnOriginalContext - start), "yarn_orig_ctx");
        Assert.AreEqual(84, (int)((byte*)&value.DefragThreshold - start), "defrag_thold");
        Assert.AreEqual(88, (int)((byte*)&value.EvalCallback - start), "cb_eval");
        Assert.AreEqual(96, (int)((byte*)&value.EvalCallbackUserData - start), "cb_eval_user_data");
        Assert.AreEqual(104, (int)((byte*)&value.TypeK - start), "type_k");
        Assert.AreEqual(108, (int)((byte*)&value.TypeV - start), "type_v");
        Assert.AreEqual(112, (int)((byte*)&value.AbortCallback - start), "abort_callback");
        Assert.AreEqual(120, (int)((byte*)&value.AbortCallbackData - start), "abort_callback_data");
        Assert.AreEqual(128, (int)((byte*)&value.Embeddings - start), "embeddings");
        Assert.AreEqual(129, (int)((byte*)&value.OffloadKqv - start), "offload_kqv");
        Assert.AreEqual(130, (int)((byte*)&value.NoPerf - start), "no_perf");
        Assert.AreEqual(131, (int)((byte*)&value.OpOffload - start), "op_offload");
        Assert.AreEqual(132, (int)((byte*)&value.SwaFull - start), "swa_full");
        Assert.AreEqual(133, (int)((byte*)&value.KvUnified - start), "kv_unified");
        Assert.AreEqual(136, (int)((byte*)&value.Samplers - start), "samplers");
        Assert.AreEqual(144, (int)((byte*)&value.SamplerCount - start), "n_samplers");
        Assert.AreEqual(152, (int)((byte*)&value.OtherContext - start), "ctx_other");
    }

    [TestMethod]
    public void llama_batch_has_the_layout_of_the_header()
    {
        LlamaBatch value;
        var start = (byte*)&value;
        Assert.AreEqual(56, sizeof(LlamaBatch));
        Assert.AreEqual(0, (int)((byte*)&value.TokenCount - start), "n_tokens");
        Assert.AreEqual(8, (int)((byte*)&value.Tokens - start), "token");
        Assert.AreEqual(16, (int)((byte*)&value.Embeddings - start), "embd");
        Assert.AreEqual(24, (int)((byte*)&value.Positions - start), "pos");
        Assert.AreEqual(32, (int)((byte*)&value.SequenceIdCounts - start), "n_seq_id");
        Assert.AreEqual(40, (int)((byte*)&value.SequenceIds - start), "seq_id");
        Assert.AreEqual(48, (int)((byte*)&value.Logits - start), "logits");
    }

    [TestMethod]
    public void llama_token_data_has_the_layout_of_the_header()
    {
        LlamaTokenData value;
        var start = (byte*)&value;
        Assert.AreEqual(12, sizeof(LlamaTokenData));
        Assert.AreEqual(0, (int)((byte*)&value.Id - start), "id");
        Assert.AreEqual(4, (int)((byte*)&value.Logit - start), "logit");
        Assert.AreEqual(8, (int)((byte*)&value.Probability - start), "p");
    }

    [TestMethod]
    public void llama_token_data_array_has_the_layout_of_the_header()
    {
        LlamaTokenDataArray value;
        var start = (byte*)&value;
        Assert.AreEqual(32, sizeof(LlamaTokenDataArray));
        Assert.AreEqual(0, (int)((byte*)&value.Data - start), "data");
        Assert.AreEqual(8, (int)((byte*)&value.Size - start), "size");
        Assert.AreEqual(16, (int)((byte*)&value.Selected - start), "selected");
        Assert.AreEqual(24, (int)((byte*)&value.Sorted - start), "sorted");
    }

    [TestMethod]
    public void llama_sampler_chain_params_has_the_layout_of_the_header()
    {
        LlamaSamplerChainParams value;
        var start = (byte*)&value;
        Assert.AreEqual(1, sizeof(LlamaSamplerChainParams));
        Assert.AreEqual(0, (int)((byte*)&value.NoPerf - start), "no_perf");
    }

    [TestMethod]
    public void ggml_backend_dev_caps_has_the_layout_of_the_header()
    {
        GgmlDeviceCaps value;
        var start = (byte*)&value;
        Assert.AreEqual(5, sizeof(GgmlDeviceCaps));
        Assert.AreEqual(0, (int)((byte*)&value.Async - start), "async");
        Assert.AreEqual(1, (int)((byte*)&value.HostBuffer - start), "host_buffer");
        Assert.AreEqual(2, (int)((byte*)&value.BufferFromHostPointer - start), "buffer_from_host_ptr");
        Assert.AreEqual(3, (int)((byte*)&value.Events - start), "events");
        Assert.AreEqual(4, (int)((byte*)&value.MmapSupport - start), "mmap_support");
    }

    [TestMethod]
    public void ggml_backend_dev_props_has_the_layout_of_the_header()
    {
        GgmlDeviceProps value;
        var start = (byte*)&value;
        Assert.AreEqual(56, sizeof(GgmlDeviceProps));
        Assert.AreEqual(0, (int)((byte*)&value.Name - start), "name");
        Assert.AreEqual(8, (int)((byte*)&value.Description - start), "description");
        Assert.AreEqual(16, (int)((byte*)&value.MemoryFree - start), "memory_free");
        Assert.AreEqual(24, (int)((byte*)&value.MemoryTotal - start), "memory_total");
        Assert.AreEqual(32, (int)((byte*)&value.Type - start), "type");
        Assert.AreEqual(40, (int)((byte*)&value.DeviceId - start), "device_id");
        Assert.AreEqual(48, (int)((byte*)&value.Caps - start), "caps");
    }

    [TestMethod]
    public void ggml_threadpool_params_has_the_layout_of_the_header()
    {
        GgmlThreadpoolParams value;
        var start = (byte*)&value;
        Assert.AreEqual(528, sizeof(GgmlThreadpoolParams));
        Assert.AreEqual(0, (int)((byte*)&value.CpuMask[0] - start), "cpumask");
        Assert.AreEqual(512, (int)((byte*)&value.Threads - start), "n_threads");
        Assert.AreEqual(516, (int)((byte*)&value.Priority - start), "prio");
        Assert.AreEqual(520, (int)((byte*)&value.Poll - start), "poll");
        Assert.AreEqual(524, (int)((byte*)&value.StrictCpu - start), "strict_cpu");
        Assert.AreEqual(525, (int)((byte*)&value.Paused - start), "paused");
    }
}
