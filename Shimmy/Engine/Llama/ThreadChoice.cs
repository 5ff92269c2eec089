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
    private Threadpool? _decodePool;
    private Threadpool? _batchPool;

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

    /// <inheritdoc/>
    public void Dispose()
    {
        LlamaApi.llama_detach_threadpool(_model.Context);
        if (_batchPool != _decodePool)
            _batchPool?.Dispose();
        _decodePool?.Dispose();
        _decodePool = _batchPool = null;
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
        Dispose();
        Decode = decode;
        Batch = batch;
        _decodePool = Threadpool.Create(decode, Poll);
        _batchPool = batch == decode ? _decodePool : Threadpool.Create(batch, Poll);
        LlamaApi.llama_set_n_threads(_model.Context, decode, batch);
        if (_decodePool is not null && _batchPool is not null)
            LlamaApi.llama_attach_threadpool(_model.Context, _decodePool.Pointer, _batchPool.Pointer);
    }
}
