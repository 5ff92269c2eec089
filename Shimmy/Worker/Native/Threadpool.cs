namespace Shimmy.Worker.Native;

/// <summary>
/// A <c>ggml_threadpool</c>: threads that live across decodes. Without one, ggml starts and joins threads for every graph.
/// </summary>
internal sealed unsafe class Threadpool : IDisposable
{
    private readonly delegate* unmanaged[Cdecl]<nint, void> _free;

    private Threadpool(nint pool, delegate* unmanaged[Cdecl]<nint, void> free)
    {
        Pointer = pool;
        _free = free;
    }

    /// <summary>The pool, for <c>llama_attach_threadpool</c>.</summary>
    public nint Pointer { get; private set; }

    /// <summary>
    /// Makes a pool; null where the CPU plug-in cannot. <paramref name="poll"/>, 0 to 100, is how long idle threads spin before
    /// they sleep.
    /// </summary>
    public static Threadpool? Create(int threads, uint poll)
    {
        const int cpu = 0;
        var device = GgmlApi.ggml_backend_dev_by_type(cpu);
        if (device == 0)
            return null;
        var registration = GgmlApi.ggml_backend_dev_backend_reg(device);
        var create = (delegate* unmanaged[Cdecl]<GgmlThreadpoolParams*, nint>)
            GgmlApi.ggml_backend_reg_get_proc_address(registration, "ggml_threadpool_new");
        var free = (delegate* unmanaged[Cdecl]<nint, void>)
            GgmlApi.ggml_backend_reg_get_proc_address(registration, "ggml_threadpool_free");
        if (create is null || free is null)
            return null;
        GgmlThreadpoolParams parameters;
        GgmlApi.ggml_threadpool_params_init(&parameters, threads);
        parameters.Poll = poll;
        var pool = create(&parameters);
        return pool == 0 ? null : new Threadpool(pool, free);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Pointer == 0)
            return;
        _free(Pointer);
        Pointer = 0;
    }
}
