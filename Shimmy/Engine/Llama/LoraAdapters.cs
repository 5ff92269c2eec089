using Shimmy.Engine.Llama.Native;
using static Shimmy.Engine.Llama.Native.LlamaApi;

namespace Shimmy.Engine.Llama;

/// <summary>The LoRA adapters of a loaded model. llama.cpp frees them with the model.</summary>
internal sealed unsafe class LoraAdapters
{
    private readonly nint[] _adapters;
    private readonly float[] _scales;

    private LoraAdapters(nint[] adapters, float[] scales)
    {
        _adapters = adapters;
        _scales = scales;
    }

    /// <summary>
    /// Loads them, before any context is made of the model. Throws <see cref="EngineException"/> with
    /// <see cref="EngineFailure.LoadFailed"/>, naming the file, where one is no adapter for this model.
    /// </summary>
    public static LoraAdapters Load(ModelHandle model, IReadOnlyList<LoraSetting> settings)
    {
        var adapters = new nint[settings.Count];
        for (var i = 0; i < adapters.Length; i++)
        {
            NativeLog.TakeErrors();
            adapters[i] = llama_adapter_lora_init(model, settings[i].Path);
            if (adapters[i] == 0)
                throw Refusal(settings[i], NativeLog.TakeErrors() is { Length: > 0 } reason ? reason : "llama.cpp does not say why");
            // Such an adapter begins at a text of the prompt, which nobody watches for here.
            if (llama_adapter_get_alora_n_invocation_tokens(adapters[i]) > 0)
                throw Refusal(settings[i], "it is an activated LoRA (aLoRA), which is not supported");
        }
        return new LoraAdapters(adapters, [.. settings.Select(setting => setting.Scale)]);
    }

    /// <summary>Applies them to all that this context computes.</summary>
    public void ApplyTo(ContextHandle context)
    {
        if (_adapters.Length == 0)
            return;
        fixed (nint* adapters = _adapters)
        fixed (float* scales = _scales)
        {
            if (llama_set_adapters_lora(context, adapters, (nuint)_adapters.Length, scales) != 0)
                throw new EngineException(EngineFailure.LoadFailed, $"the LoRA adapters cannot be applied: {NativeLog.TakeErrors()}");
        }
    }

    private static EngineException Refusal(LoraSetting setting, string reason) =>
        new(EngineFailure.LoadFailed, $"cannot load the LoRA adapter {setting.Path}: {reason}");
}
