using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>
/// The number of threads that compute, given or measured. On small models threads wait for each other longer than they work; how much
/// longer depends on the machine and its other load, so no rule by size is right. Measured once at load, then adjusted
/// (<see cref="ThreadTuner"/>).
/// </summary>
internal sealed class ThreadChoice : IDisposable
{
    // Idle threads sleep at once: spinning would take the cores that the server and other workers need, and costs the wake-up of a
    // sleeping thread only once a decode. Inside a decode ggml's barriers spin anyway.
    private const uint Poll = 0;

    // In tokens: from this size on, the time a token of different batches can be compared.
    private const int ComparableBatch = 32;

    private static readonly TimeSpan TimeEach = TimeSpan.FromMilliseconds(15);
    private static readonly TimeSpan LongestTimeEach = TimeSpan.FromMilliseconds(60);

    // A model whose token takes this long has work for every processor in a prompt; measuring that would delay the load.
    private static readonly TimeSpan BigModel = TimeSpan.FromMilliseconds(25);

    private readonly LlamaModel _model;

    // A pool for each number that may be used; idle ones sleep. None is freed while the context lives: its backend keeps pointing at
    // the pool of its last decode.
    private readonly Dictionary<int, Threadpool?> _pools = [];
    private readonly int[] _candidates;
    private readonly ThreadTuner _decodeTuner;
    private readonly ThreadTuner _batchTuner;

    // For decodes of several tokens, by their number: with each more, further threads pay sooner, and their times cannot be compared.
    private readonly ThreadTuner?[] _severalTuners = new ThreadTuner?[ComparableBatch];
    private readonly double _loneSeconds;
    private readonly double _secondsPerToken;
    private (int One, int Several) _used;
    private int _spared;

    /// <summary>Decides and sets the context up; <paramref name="given"/> 0 measures.</summary>
    public ThreadChoice(LlamaModel model, int given)
    {
        _model = model;
        if (given > 0 || !model.CanGenerate)
        {
            var threads = given > 0 ? given : Environment.ProcessorCount;
            _candidates = [threads];
            _decodeTuner = _batchTuner = new ThreadTuner(_candidates, threads);
            Use(threads, threads);
            return;
        }
        _candidates = [.. FromAllDown().Reverse()];
        var (decode, time) = Fastest(tokens: 1);
        var several = Math.Min(ComparableBatch, model.BatchSize);
        (int Threads, TimeSpan? Time) batch = time > BigModel ? (Environment.ProcessorCount, null) : Fastest(several);
        _loneSeconds = time.TotalSeconds;
        _secondsPerToken = batch.Time?.TotalSeconds / several ?? _loneSeconds / 8;
        _decodeTuner = new ThreadTuner(_candidates, decode, _loneSeconds);
        _batchTuner = new ThreadTuner(_candidates, batch.Threads, batch.Time?.TotalSeconds / several);
        Use(decode, batch.Threads);
    }

    /// <summary>Threads for one token at a time.</summary>
    public int Decode => _decodeTuner.Threads;

    /// <summary>Threads for prompts.</summary>
    public int Batch => _batchTuner.Threads;

    // Tokens of a decode for one sequence.
    private int Lone => _model.PairsLoneTokens ? 2 : 1;

    /// <summary>
    /// Sets the threads for a decode of so many tokens: llama.cpp takes those of one token for one alone, the others for all else.
    /// </summary>
    public void Prepare(int tokens) =>
        Use(Decode, tokens >= ComparableBatch ? Batch : tokens <= Lone ? Decode : TunerOf(tokens).Threads);

    /// <summary>Leaves so many processors to other work from now on, at least one being kept.</summary>
    public void Spare(int threads)
    {
        if (threads == _spared)
            return;
        _spared = threads;
        Attach();
    }

    /// <summary>Records the time of a decode, and changes the number of threads where another seems better.</summary>
    public void Observe(int tokens, TimeSpan elapsed)
    {
        var tuner = tokens >= ComparableBatch ? _batchTuner : tokens <= Lone ? _decodeTuner : TunerOf(tokens);
        tuner.Observe(tuner == _batchTuner ? elapsed.TotalSeconds / tokens : elapsed.TotalSeconds);
        // A processor that is taken away is missing for all.
        if (!tuner.TakeReduced())
            return;
        foreach (var other in (ThreadTuner?[])[_decodeTuner, _batchTuner, .. _severalTuners])
            other?.Follow(tuner);
    }

    /// <summary>Lets another context of the model compute with the threads of prompts.</summary>
    public void UseFor(ContextHandle context)
    {
        if (context == _model.Context)
            return;
        context.UseThreads(Batch, Pool(Batch), Batch, Pool(Batch));
    }

    /// <summary>Frees the threads; the context must be freed before.</summary>
    public void Dispose()
    {
        foreach (var pool in _pools.Values)
            pool?.Dispose();
        _pools.Clear();
    }

    // A decode reads the weights once, and computes each token: about so long.
    private ThreadTuner TunerOf(int tokens) => _severalTuners[tokens]
        ??= new ThreadTuner(_candidates, Batch, _candidates.Length > 1 ? _loneSeconds + (tokens * _secondsPerToken) : null);

    private (int Threads, TimeSpan Time) Fastest(int tokens)
    {
        var best = (Threads: 1, Time: TimeSpan.MaxValue);
        foreach (var threads in FromAllDown())
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
    private static IEnumerable<int> FromAllDown()
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

    /// <summary>Decodes so many arbitrary tokens, and frees their cells.</summary>
    public void RunOnce(int tokens)
    {
        using var batch = new DecodeBatch(tokens);
        for (var i = 0; i < tokens; i++)
            batch.Add(Math.Max(0, _model.Vocabulary.Bos), i, 0, logits: i == tokens - 1);
        if (batch.Decode(_model.Context) != 0)
            throw new EngineException(EngineFailure.LoadFailed, "the model loads but cannot decode a token: " + NativeLog.TakeErrors());
        _model.Context.Synchronize();
        _model.Context.ClearCells();
    }

    private void Use(int one, int several)
    {
        if ((one, several) == _used)
            return;
        _used = (one, several);
        Attach();
    }

    private void Attach()
    {
        var most = Math.Max(1, Environment.ProcessorCount - _spared);
        var (one, several) = (Math.Min(_used.One, most), Math.Min(_used.Several, most));
        _model.Context.UseThreads(one, Pool(one), several, Pool(several));
    }

    private Threadpool? Pool(int threads)
    {
        if (!_pools.TryGetValue(threads, out var pool))
            _pools[threads] = pool = Threadpool.Create(threads, Poll);
        return pool;
    }
}
