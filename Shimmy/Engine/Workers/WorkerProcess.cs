using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Threading.Channels;
using Shimmy.Engine.Protocol;
using Shimmy.Engine.Runtimes;

namespace Shimmy.Engine.Workers;

/// <summary>
/// A worker process, seen from the parent: starts it, sends it frames, hands its answers to the requests that wait, and describes its exit.
/// The server never loads llama.cpp; a failed assertion or a corrupt file ends the child alone.
/// </summary>
internal sealed class WorkerProcess : IAsyncDisposable
{
    private const int KeptErrorLines = 6;
    private static readonly TimeSpan TimeToEnd = TimeSpan.FromSeconds(2);

    private readonly Process _process;
    private readonly FrameReader _incoming;
    private readonly FrameQueue _outgoing;
    private readonly ConcurrentDictionary<uint, TaskCompletionSource<byte[]>> _replies = new();
    private readonly ConcurrentDictionary<uint, ChannelWriter<GenerationEvent>> _generations = new();
    private readonly Queue<string> _errorLines = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action<int, string> _log;
    private readonly Action<float> _progress;
    private readonly Action<byte[]?> _holds;
    private uint _lastId;
    private long _sent;
    private volatile EngineException? _lost;
    private bool _disposing;

    private WorkerProcess(Process process, Action<int, string> log, Action<float> progress, Action<byte[]?> holds)
    {
        _holds = holds;
        _process = process;
        _log = log;
        _progress = progress;
        _incoming = new FrameReader(process.StandardOutput.BaseStream);
        _outgoing = new FrameQueue(process.StandardInput.BaseStream);
    }

    /// <summary>Process id of the worker.</summary>
    public int Id => _process.Id;

    /// <summary>Frames sent that may change what the worker's statistics say.</summary>
    public long Sent => Interlocked.Read(ref _sent);

    /// <summary>Whether its pipe has closed: it answers nothing any more.</summary>
    public bool IsLost => _lost is not null;

    /// <summary>Completes when the process has exited, for whatever reason. Never faults.</summary>
    public Task Completion => _ended.Task;

    /// <summary>
    /// Starts a worker that will load a runtime. <paramref name="log"/> gets llama.cpp's lines with their ggml level,
    /// <paramref name="progress"/> the share of the model that is loaded, <paramref name="holds"/> the changes of what it holds
    /// (<see cref="CellBlocks"/>), and null when that is nothing for ever. Throws <see cref="EngineException"/> where the process does not
    /// start.
    /// </summary>
    public static WorkerProcess Start(string executable, LlamaRuntime runtime, Action<int, string> log, Action<float> progress,
        Action<byte[]?>? holds = null)
    {
        var start = new ProcessStartInfo(executable, ["worker"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardErrorEncoding = Encoding.UTF8,
            UseShellExecute = false,
            CreateNoWindow = true,
        };
        // On a failed assertion ggml would start a debugger for a backtrace, whose lines would push the message itself out of the kept
        // lines.
        start.Environment["GGML_NO_BACKTRACE"] = "1";
        start.Environment[WorkerRecords.FormVariable] = WorkerRecords.Form;
        foreach (var (name, value) in runtime.Environment)
            start.Environment[name] = value;
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            throw new EngineException(EngineFailure.LoadFailed, $"cannot start a worker process ({executable}): {e.Message}", e);
        }
        var worker = new WorkerProcess(process, log, progress, holds ?? (_ => { }));
        process.ErrorDataReceived += (_, line) => worker.KeepErrorLine(line.Data);
        process.BeginErrorReadLine();
        new Thread(worker.ReadFrames) { IsBackground = true, Name = $"worker {process.Id}" }.Start();
        return worker;
    }

    /// <summary>Sends a request and waits for its answer; the payload must not change any more.</summary>
    public async Task<byte[]> AskAsync(FrameKind kind, byte[] payload, CancellationToken cancellation)
    {
        var id = Interlocked.Increment(ref _lastId);
        var reply = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        _replies[id] = reply;
        try
        {
            Send(kind, id, payload);
            return await reply.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_lost is null)
        {
            TryCancel(id);
            throw;
        }
        finally
        {
            _replies.TryRemove(id, out _);
        }
    }

    /// <summary>Sends a generation, whose payload must not change any more; its events, or its failure, come out of the channel.</summary>
    public (uint Id, ChannelReader<GenerationEvent> Events) Generate(byte[] request)
    {
        var id = Interlocked.Increment(ref _lastId);
        // Unbounded, so that one slow reader cannot block the scheduler; holds at most the events of one full context.
        var channel = Channel.CreateUnbounded<GenerationEvent>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
        _generations[id] = channel.Writer;
        try
        {
            Send(FrameKind.Generate, id, request);
        }
        catch (EngineException)
        {
            _generations.TryRemove(id, out _);
            throw;
        }
        return (id, channel.Reader);
    }

    /// <summary>Ends a generation whose events are not read any more: none is kept from now on.</summary>
    public void Cancel(uint id)
    {
        if (_generations.TryRemove(id, out _) && _lost is null)
            TryCancel(id);
    }

    /// <summary>Ends a generation whose events are read on: the last is its end.</summary>
    public void Finish(uint id)
    {
        if (!_generations.ContainsKey(id) || _lost is not null)
            return;
        // A request that the worker never saw is ended here.
        if (TryCancel(id) && _generations.TryRemove(id, out var channel))
        {
            channel.TryWrite(GenerationEvent.OfEnd(new GenerationEnd(FinishReason.Cancelled, 0, new GenerationTimings(0, 0, 0))));
            channel.TryComplete();
        }
    }

    // Whether the request was still unwritten.
    private bool TryCancel(uint id)
    {
        try
        {
            return _outgoing.Cancel(id);
        }
        catch (IOException)
        {
            // The worker is gone, and the generation with it.
            return false;
        }
    }

    /// <summary>
    /// Closes the pipe, upon which a healthy worker exits at once, and kills the process where it has not exited after 2 s.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        _disposing = true;
        _outgoing.Close();
        using var timeout = new CancellationTokenSource(TimeToEnd);
        try
        {
            await _process.WaitForExitAsync(timeout.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _process.Kill();
        }
        await _ended.Task.ConfigureAwait(false);
        // Process.Dispose leaves a redirected stream open once it was read from.
        _process.StandardOutput.Dispose();
        _process.Dispose();
    }

    private void Send(FrameKind kind, uint id, byte[] payload)
    {
        if (_lost is { } lost)
            throw new EngineException(lost.Failure, lost.Message, lost);
        try
        {
            _outgoing.Send(kind, id, payload);
            // Behind the sending: who reads the number and then asks for statistics is answered after all that it counts.
            if (kind != FrameKind.Statistics)
                Interlocked.Increment(ref _sent);
        }
        catch (IOException e)
        {
            throw new EngineException(EngineFailure.WorkerLost, "the worker process of this model has ended", e);
        }
    }

    private void ReadFrames()
    {
        try
        {
            while (_incoming.Read() is { } frame)
                Dispatch(frame);
        }
        catch (Exception e) when (e is InvalidDataException or ArgumentException or IndexOutOfRangeException)
        {
            KeepErrorLine(e.Message);
            _process.Kill();
        }
        _holds(null);
        Lose();
    }

    private void Dispatch(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.Events:
                EventCodec.Read(frame.Payload, TakeEvent);
                break;
            case FrameKind.Reply:
                if (_replies.TryGetValue(frame.Id, out var reply))
                    reply.TrySetResult(frame.Payload);
                break;
            case FrameKind.Failed:
                var error = Wire.Read(frame.Payload, WorkerRecords.NoError, WorkerRecords.Error).ToException();
                if (_replies.TryGetValue(frame.Id, out var waiting))
                    waiting.TrySetException(error);
                else if (_generations.TryRemove(frame.Id, out var failed))
                    failed.TryComplete(error);
                break;
            case FrameKind.Progress:
                _progress(BitConverter.ToSingle(frame.Payload));
                break;
            case FrameKind.Holds:
                _holds(frame.Payload);
                break;
            case FrameKind.Log:
                _log(frame.Payload[0], Encoding.UTF8.GetString(frame.Payload.AsSpan(1)));
                break;
            default:
                throw new InvalidDataException($"a frame of unknown kind {(byte)frame.Kind} on the worker pipe");
        }
    }

    // The channel of a cancelled generation is gone; its late events are dropped.
    private void TakeEvent(uint id, GenerationEvent engineEvent, EngineException? failure)
    {
        if (failure is not null)
        {
            if (_generations.TryRemove(id, out var failed))
                failed.TryComplete(failure);
            return;
        }
        if (!_generations.TryGetValue(id, out var channel))
            return;
        channel.TryWrite(engineEvent);
        if (engineEvent.End is not null && _generations.TryRemove(id, out _))
            channel.TryComplete();
    }

    private void Lose()
    {
        _lost = new EngineException(EngineFailure.WorkerLost, _disposing ? "the model was unloaded" : DescribeExit());
        _outgoing.Close();
        foreach (var id in _generations.Keys)
        {
            if (_generations.TryRemove(id, out var channel))
                channel.TryComplete(_lost);
        }
        foreach (var reply in _replies.Values)
            reply.TrySetException(_lost);
        _ended.TrySetResult();
    }

    private string DescribeExit()
    {
        // The pipe breaks a moment before the exit code is known and before the last lines of stderr are read.
        if (!_process.WaitForExit(TimeToEnd))
            _process.Kill();
        _process.WaitForExit();
        var message = $"the worker process of this model ended unexpectedly ({ExitText(_process.ExitCode)})";
        lock (_errorLines)
            return _errorLines.Count == 0 ? message : $"{message}; last lines of its stderr: {string.Join(" | ", _errorLines)}";
    }

    // .NET reports a process that was ended by a signal as 128 plus the signal's number.
    private static string ExitText(int code) => code switch
    {
        134 => "aborted",
        135 => "bus error, as where the model's file was shortened while it was mapped",
        137 => "killed",
        139 => "segmentation fault",
        _ => $"exit code {code}",
    };

    private void KeepErrorLine(string? line)
    {
        if (string.IsNullOrWhiteSpace(line))
            return;
        lock (_errorLines)
        {
            _errorLines.Enqueue(line.Trim());
            if (_errorLines.Count > KeptErrorLines)
                _errorLines.Dequeue();
        }
    }
}
