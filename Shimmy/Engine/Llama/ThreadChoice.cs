using System.Diagnostics;
using Shimmy.Engine.Llama.Native;

namespace Shimmy.Engine.Llama;

/// <summary>
/// How many threads compute. Given, or measured at load: on small models threads wait for each other longer than they work, and
/// how much longer depends on the machine, so no rule by size is right.
/// </summary>
internal sealed class ThreadChoice : IDisposable
{
    // Idle threads sleep at once: spinning would take the cores that the server and other workers need, and costs the wake-up of a
    // sleeping thread only once a decode. Inside a decode ggml's barriers spin anyway.
    private const uint Poll = 0;

    private const int BatchProbe = 16;
    private static readonly TimeSpan TimeEach = TimeSpan.FromMilliseconds(15);
    private static readonly TimeSpan LongestTimeEach = TimeSpan.FromMilliseconds(60);

    // A token that takes this long has work enough for every processor in a prompt, and measuring that would delay the load.
    private static readonly TimeSpan BigModel = TimeSpan.FromMilliseconds(25);

    private readonly LlamaModel _model;
    private readonly List<Threadpool> _pools = [];

    private ThreadChoice(LlamaModel model) => _model = model;

    /// <summary>Threads for one token at a time.</summary>
    public int Decode { get; private set; }

    /// <summary>Threads for prompts and for several sequences at once.</summary>
    public int Batch { get; private set; }

    /// <summary>Decides and sets the context up; <paramref name="given"/> 0 measures.</summary>
    public static ThreadChoice Make(LlamaModel model, int given)
    {
        var choice = new ThreadChoice(model);
        if (given > 0 || !model.CanGenerate)
        {
            choice.Use(given > 0 ? given : Environment.ProcessorCount, given > 0 ? given : Environment.ProcessorCount);
            return choice;
        }
        var (decode, time) = choice.Fastest(tokens: 1);
        var batch = time > BigModel ? Environment.ProcessorCount : choice.Fastest(Math.Min(BatchProbe, model.BatchSize)).Threads;
        choice.Use(decode, batch);
        return choice;
    }

    /// <summary>Frees the threads; the context must be freed before.</summary>
    public void Dispose()
    {
        foreach (var pool in _pools)
            pool.Dispose();
        _pools.Clear();
    }

    private (int Threads, TimeSpan Time) Fastest(int tokens)
    {
        var best = (Threads: 1, Time: TimeSpan.MaxValue);
        foreach (var threads in Candidates())
        {
            Use(threads, threads);
            var time = MedianTime(tokens);
            if (time < best.Time)
                best = (threads, time);
            else if (time > 1.5 * best.Time)
                break;
        }
        return best;
    }

    // From all processors down by halves; where fewer are clearly slower, still fewer are not tried.
    private static IEnumerable<int> Candidates()
    {
        for (var threads = Environment.ProcessorCount; threads >= 1; threads /= 2)
            yield return threads;
    }

    private TimeSpan MedianTime(int tokens)
    {
        RunOnce(tokens);
        var times = new List<TimeSpan>();
        var start = Stopwatch.GetTimestamp();
        do
        {
            var before = Stopwatch.GetTimestamp();
            RunOnce(tokens);
            times.Add(Stopwatch.GetElapsedTime(before));
        }
        while (Stopwatch.GetElapsedTime(start) < (times.Count < 3 ? LongestTimeEach : TimeEach));
        times.Sort();
        return times[times.Count / 2];
    }

    private void RunOnce(int tokens)
    {
        using var batch = new DecodeBatch(tokens);
        for (var i = 0; i < tokens; i++)
            batch.Add(Math.Max(0, _model.Vocabulary.Bos), i, 0, logits: i == tokens - 1);
        if (batch.Decode(_model.Context) != 0)
            throw new EngineException(EngineFailure.LoadFailed, "the model loads but cannot decode a token: " + NativeLog.TakeErrors());
        LlamaApi.llama_synchronize(_model.Context);
        LlamaApi.llama_memory_clear(LlamaApi.llama_get_memory(_model.Context), data: false);
    }

    private void Use(int decode, int batch)
    {
        Decode = decode;
        Batch = batch;
        var old = _pools.ToArray();
        var decodePool = Add(decode);
        var batchPool = batch == decode ? decodePool : Add(batch);
        LlamaApi.llama_set_n_threads(_model.Context, decode, batch);
        if (decodePool is null || batchPool is null)
            return;
        LlamaApi.llama_attach_threadpool(_model.Context, decodePool.Pointer, batchPool.Pointer);
        if (old.Length == 0)
            return;
        // The backend still points at the pool of its last decode and touches it once more when it changes over.
        RunOnce(1);
        foreach (var pool in old)
        {
            pool.Dispose();
            _pools.Remove(pool);
        }
    }

    private Threadpool? Add(int threads)
    {
        var pool = Threadpool.Create(threads, Poll);
        if (pool is not null)
            _pools.Add(pool);
        return pool;
    }
}
