using System.IO.Hashing;
using System.Threading.Channels;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// States of prompts in a folder, which survive the worker. A thread of its own writes them; they are read on the thread that tokenizes, so
/// never in the way of a running stream. A file that is not what it should be is deleted with a warning, and the prompt computed.
/// </summary>
internal sealed class StateFolder
{
    private const int MostWaiting = 64;

    // While streams run, the thread rests so many times as long as it works.
    private const int RestsByWork = 19;

    // A prefix that is computed in no time needs no file.
    private const int ShortestKept = 128;

    private static readonly TimeSpan LongestScan = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestRest = TimeSpan.FromSeconds(0.2);

    private readonly string _folder;
    private readonly long _bound;
    private readonly long _mostWaiting;
    private readonly string _identity;
    private readonly string _prefix;
    private readonly bool _needsCheckpoints;
    private readonly Action<string> _warn;
    private readonly Lock _lock = new();
    private readonly List<StateEntry> _entries = [];
    private readonly TaskCompletionSource _scanned = new();
    private readonly List<StateEntry> _waiting = [];
    private readonly Channel<(SavedState State, StateEntry Entry)> _queue = Channel.CreateUnbounded<(SavedState, StateEntry)>();
    private long _resumesAt;
    private string? _failure;
    private volatile bool _hurries = true;

    /// <param name="folder">Full path; made where it is missing.</param>
    /// <param name="bound">Most bytes of all states in the folder, those of other models included.</param>
    /// <param name="identity">What a state must belong to: <see cref="StateIdentity"/>.</param>
    /// <param name="needsCheckpoints">Whether a prefix cannot always be cut out of a longer one.</param>
    /// <param name="mostWaiting">Bytes of states that may wait to be written, but for a single larger one.</param>
    /// <param name="warn">Receives warnings of files that cannot be used or written.</param>
    public StateFolder(string folder, long bound, string identity, bool needsCheckpoints, long mostWaiting, Action<string> warn)
    {
        (_folder, _bound, _identity, _warn) = (folder, bound, identity, warn);
        (_needsCheckpoints, _mostWaiting) = (needsCheckpoints, mostWaiting);
        _prefix = identity[..16] + "-";
        new Thread(Work) { IsBackground = true, Name = "states" }.Start();
    }

    /// <summary>Bytes of this model's states.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _entries.Sum(entry => entry.Bytes);
        }
    }

    /// <summary>Whether its thread has found all files and written all states that it was given.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock)
                return _scanned.Task.IsCompleted && _waiting.Count == 0;
        }
    }

    /// <summary>Whether it writes as fast as it can, because no stream runs.</summary>
    public bool Hurries
    {
        get => _hurries;
        set => _hurries = value;
    }

    /// <summary>How long nothing is written any more, after a failure; zero where there was none.</summary>
    public TimeSpan Pause => TimeSpan.FromMilliseconds(Math.Max(0, Volatile.Read(ref _resumesAt) - Environment.TickCount64));

    /// <summary>How long that is.</summary>
    public TimeSpan PauseAfterFailure { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Writes a state, on a thread of its own; the scheduler's thread calls it. False where it cannot be written now and is to be given
    /// again: too much waits, or writing has failed not long ago.
    /// </summary>
    public bool Keep(SavedState state)
    {
        if (state.File is { HasFailed: false } || state.Media.Count > 0 || state.Length < ShortestKept || state.Bytes > _bound / 4 * 3)
            return true;
        if (Pause > TimeSpan.Zero)
            return false;
        var path = Path.Join(_folder, NameOf(state));
        lock (_lock)
        {
            // It was found in the folder, and computed again all the same.
            if (_entries.Find(one => one.Path == path) is { } known && File.Exists(path))
            {
                (state.File, known.InMemory) = (known, true);
                return true;
            }
            if (_waiting.Count >= MostWaiting || (_waiting.Count > 0 && _waiting.Sum(one => one.Bytes) + state.Bytes > _mostWaiting))
                return false;
            var entry = new StateEntry(path, state.Tokens.ToArray(), state.Key, state.IsCheckpoint, state.FirstPosition, state.Bytes)
            {
                InMemory = true,
                IsWaiting = true,
            };
            foreach (var shorter in _waiting.Where(shorter => !shorter.HasBegun && IsReplaced(shorter, entry)))
                shorter.Dropped = true;
            _waiting.Add(entry);
            state.File = entry;
            var held = false;
            state.Buffer.DangerousAddRef(ref held);
            return _queue.Writer.TryWrite((state, entry));
        }
    }

    /// <summary>Deletes the file of a state that is of no use.</summary>
    public void Drop(SavedState state)
    {
        if (state.File is not { } entry)
            return;
        lock (_lock)
            _entries.Remove(entry);
        entry.Dropped = true;
        StateFile.TryDelete(entry.Path);
    }

    // Of a whole state shorter ones of its tokens can be made.
    private static bool IsReplaced(StateEntry shorter, StateEntry entry) => !entry.IsCheckpoint && !shorter.IsCheckpoint
        && shorter.Tokens.Length < entry.Tokens.Length && shorter.Key.Equals(entry.Key) && entry.Tokens.AsSpan().StartsWith(shorter.Tokens);

    /// <summary>
    /// Reads the states that spare a prompt most, where none in memory spares as much; from any thread but the scheduler's. What is read is
    /// the caller's.
    /// </summary>
    /// <param name="tokens">The prompt.</param>
    /// <param name="key">The request's key.</param>
    /// <param name="most">Most bytes of one state.</param>
    public List<SavedState> Read(ReadOnlySpan<int> tokens, PrefixKey key, long most)
    {
        var read = new List<SavedState>();
        if (!_scanned.Task.Wait(LongestScan))
            return read;
        foreach (var entry in Best(tokens[..^1], key, most))
        {
            if (entry.InMemory)
                continue;
            try
            {
                var state = StateFile.Read(entry.Path, _identity);
                (state.File, state.IsFromDisk, entry.InMemory) = (entry, true, true);
                read.Add(state);
                File.SetLastWriteTimeUtc(entry.Path, DateTime.UtcNow);
            }
            catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Refuse(entry.Path, e);
                lock (_lock)
                    _entries.Remove(entry);
            }
        }
        return read;
    }

    // A whole state and the checkpoint at which it is cut, or what of them is needed.
    private List<StateEntry> Best(ReadOnlySpan<int> tokens, PrefixKey key, long most)
    {
        var (best, length) = (new List<StateEntry>(), 0);
        lock (_lock)
        {
            var checkpoints = new List<StateEntry>();
            foreach (var entry in _entries)
            {
                if (entry.IsCheckpoint && entry.Bytes <= most && entry.Key.Serves(key) && tokens.StartsWith(entry.Tokens))
                    checkpoints.Add(entry);
            }
            // Of a memory that is recurrent alone there are no others.
            if (checkpoints.MaxBy(entry => entry.Tokens.Length) is { } alone)
                (best, length) = ([alone], _entries.TrueForAll(entry => entry.IsCheckpoint) ? alone.Tokens.Length : 0);
            foreach (var entry in _entries)
            {
                if (entry.IsCheckpoint || entry.Bytes > most || !entry.Key.Serves(key))
                    continue;
                var common = entry.Tokens.AsSpan().CommonPrefixLength(tokens);
                var cut = _needsCheckpoints && common < entry.Tokens.Length
                    ? checkpoints.Where(one => one.Tokens.Length <= common).MaxBy(one => one.Tokens.Length)
                    : null;
                var reach = cut?.Tokens.Length ?? (_needsCheckpoints && common < entry.Tokens.Length ? 0 : common);
                if (reach > length || (reach == length && reach > 0 && entry.InMemory))
                    (best, length) = (cut is null ? [entry] : [entry, cut], reach);
            }
        }
        return length < CheckpointPlan.ShortestStep ? [] : best;
    }

    // The thread

    private void Work()
    {
        Posix.LowerThreadPriority();
        try
        {
            // States tell what was asked.
            if (OperatingSystem.IsWindows())
                Directory.CreateDirectory(_folder);
            else
                Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Scan();
            DeleteOldest(0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _warn($"states of prompts cannot be kept in {_folder}: {e.Message}");
        }
        _scanned.SetResult();
        while (_queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (_queue.Reader.TryRead(out var next))
                Write(next.State, next.Entry);
        }
    }

    // Of whatever model: 16 digits of its identity, 32 of the tokens, the ending. A folder may hold other files, which are left alone.
    private static bool IsOurs(string name) => name.Length >= 49 + StateFile.Ending.Length && name[16] == '-'
        && name[..16].All(char.IsAsciiHexDigitLower) && name[17..49].All(char.IsAsciiHexDigitLower)
        && name.AsSpan(49).StartsWith(StateFile.Ending, StringComparison.Ordinal);

    private void Scan()
    {
        foreach (var path in Directory.EnumerateFiles(_folder).Where(path => IsOurs(Path.GetFileName(path))))
        {
            if (path.EndsWith(StateFile.Unfinished, StringComparison.Ordinal))
            {
                if (!StateFile.IsBeingWritten(path))
                    StateFile.TryDelete(path);
                continue;
            }
            // Those of other models are not ours to judge.
            if (!Path.GetFileName(path).StartsWith(_prefix, StringComparison.Ordinal) || Path.GetExtension(path) != StateFile.Ending)
                continue;
            try
            {
                var head = StateFile.ReadHead(path);
                if (head.Identity != _identity)
                    throw new InvalidDataException("it belongs to another model, runtime or setting");
                lock (_lock)
                {
                    _entries.Add(new StateEntry(path, head.Tokens, head.Key, head.IsCheckpoint, head.FirstPosition,
                        SavedState.BytesOf(head.Bytes, head.Tokens.Length)));
                }
            }
            catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Refuse(path, e);
            }
        }
    }

    private void Write(SavedState state, StateEntry entry)
    {
        var isWritten = false;
        try
        {
            lock (_lock)
                entry.HasBegun = true;
            if (entry.Dropped || Pause > TimeSpan.Zero)
                return;
            DeleteOldest(entry.Bytes);
            StateFile.Write(entry.Path, _identity, state, took =>
            {
                if (!_hurries)
                    Thread.Sleep(took * RestsByWork < LongestRest ? took * RestsByWork : LongestRest);
            });
            (isWritten, _failure) = (true, null);
            TakeIn(entry);
            if (entry.Dropped)
                Drop(state);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // One warning is enough while it fails for the same reason.
            if (_failure != e.Message)
                _warn($"a state of a prompt cannot be written to {_folder}: {e.Message}");
            _failure = e.Message;
            Volatile.Write(ref _resumesAt, Environment.TickCount64 + (long)PauseAfterFailure.TotalMilliseconds);
        }
        finally
        {
            state.Buffer.DangerousRelease();
            (entry.HasFailed, entry.IsWaiting) = (!isWritten && !entry.Dropped, false);
            lock (_lock)
                _waiting.Remove(entry);
        }
    }

    // Shorter ones leave only now that the longer one is there.
    private void TakeIn(StateEntry entry)
    {
        List<StateEntry> replaced;
        lock (_lock)
        {
            replaced = _entries.FindAll(other => IsReplaced(other, entry));
            _entries.RemoveAll(other => other.Path == entry.Path || replaced.Contains(other));
            _entries.Add(entry);
        }
        foreach (var shorter in replaced)
            StateFile.TryDelete(shorter.Path);
    }

    // The states of all models share the bound; those that were not used for the longest time leave.
    private void DeleteOldest(long bytes)
    {
        var files = new DirectoryInfo(_folder).EnumerateFiles()
            // Other workers delete here, too; this also keeps the length and the time for what follows.
            .Where(file => file.Exists && IsOurs(file.Name)
                && (file.Extension == StateFile.Ending
                    || (file.Extension == StateFile.Unfinished && !StateFile.IsBeingWritten(file.FullName))))
            .Select(file => (file.FullName, file.Length, file.LastWriteTimeUtc)).OrderBy(file => file.LastWriteTimeUtc).ToList();
        var total = files.Sum(file => file.Length) + bytes;
        foreach (var file in files)
        {
            if (total <= _bound)
                break;
            StateFile.TryDelete(file.FullName);
            total -= file.Length;
            lock (_lock)
                _entries.RemoveAll(entry => entry.Path == file.FullName);
        }
    }

    private void Refuse(string path, Exception why)
    {
        if (!File.Exists(path))
            return;
        _warn($"the state {path} is not used and was deleted: {why.Message}");
        StateFile.TryDelete(path);
    }

    private string NameOf(SavedState state)
    {
        var hash = new XxHash128();
        hash.Append([state.IsCheckpoint ? (byte)1 : (byte)0]);
        hash.Append(System.Runtime.InteropServices.MemoryMarshal.AsBytes(state.Key.Adapters.Scales));
        hash.Append(System.Text.Encoding.UTF8.GetBytes(state.Key.Client));
        hash.Append(System.Runtime.InteropServices.MemoryMarshal.AsBytes(state.Tokens));
        return _prefix + Convert.ToHexStringLower(hash.GetCurrentHash()) + StateFile.Ending;
    }
}

/// <summary>A state that has, or gets, a file.</summary>
/// <param name="path">The file.</param>
/// <param name="tokens">Its tokens.</param>
/// <param name="key">Who may take it over.</param>
/// <param name="isCheckpoint">Whether it is a checkpoint.</param>
/// <param name="firstPosition">The first position that all layers hold.</param>
/// <param name="bytes">Bytes of the state.</param>
internal sealed class StateEntry(string path, int[] tokens, PrefixKey key, bool isCheckpoint, int firstPosition, long bytes)
{
    private volatile bool _inMemory;
    private volatile bool _dropped;
    private volatile bool _waiting;
    private volatile bool _failed;

    public string Path => path;

    public int[] Tokens => tokens;

    public PrefixKey Key => key;

    public bool IsCheckpoint => isCheckpoint;

    public int FirstPosition => firstPosition;

    public long Bytes => bytes;

    /// <summary>Whether the store in memory has it.</summary>
    public bool InMemory
    {
        get => _inMemory;
        set => _inMemory = value;
    }

    /// <summary>Whether it is not to be written any more, or was of no use: a longer one took its place.</summary>
    public bool Dropped
    {
        get => _dropped;
        set => _dropped = value;
    }

    /// <summary>Whether it waits to be written, or is being written.</summary>
    public bool IsWaiting
    {
        get => _waiting;
        set => _waiting = value;
    }

    /// <summary>Whether its writing has begun; the folder's.</summary>
    public bool HasBegun { get; set; }

    /// <summary>Whether it was not written, and may be tried again.</summary>
    public bool HasFailed
    {
        get => _failed;
        set => _failed = value;
    }
}
