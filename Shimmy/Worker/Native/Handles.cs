using System.Runtime.InteropServices;

namespace Shimmy.Worker.Native;

/// <summary>Owns a <c>llama_model</c>.</summary>
internal sealed class ModelHandle() : SafeHandle(0, ownsHandle: true)
{
    public ModelHandle(nint model) : this() => SetHandle(model);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        LlamaApi.llama_model_free(handle);
        return true;
    }
}

/// <summary>Owns a <c>llama_context</c> and keeps its model alive: freeing a model under its context is undefined.</summary>
internal sealed class ContextHandle : SafeHandle
{
    private readonly ModelHandle _model;

    public ContextHandle(nint context, ModelHandle model) : base(0, ownsHandle: true)
    {
        var added = false;
        model.DangerousAddRef(ref added);
        _model = model;
        SetHandle(context);
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        LlamaApi.llama_free(handle);
        _model.DangerousRelease();
        return true;
    }
}

/// <summary>Owns a sampler or a chain of them, and keeps the model alive whose vocabulary it may point into.</summary>
internal sealed class SamplerHandle : SafeHandle
{
    private readonly ModelHandle _model;

    public SamplerHandle(nint sampler, ModelHandle model) : base(0, ownsHandle: true)
    {
        var added = false;
        model.DangerousAddRef(ref added);
        _model = model;
        SetHandle(sampler);
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        LlamaApi.llama_sampler_free(handle);
        _model.DangerousRelease();
        return true;
    }
}
