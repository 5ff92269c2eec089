using System.Globalization;
using System.IO.Hashing;
using System.Threading.Channels;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// States of prompts in a folder, which survive the worker. A thread of its own writes them; they are read on the thread that tokenizes, so
/// never in the way of a running stream. A file that is not what it should be is deleted with a warning, and the prompt computed.
/// </summary>
internal sealed class StateFolder
{
    // Written bytes hold their memory until they are written.
    private const int MostWaiting = 64;

    // A prefix that is computed in no time needs no file.
    private const int ShortestKept = 128;

    private static readonly TimeSpan LongestScan = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMinutes(1);

    private readonly string _folder;
    private readonly long _bound;
    private readonly string _identity;
    private readonly string _prefix;
    private readonly bool _needsCheckpoints;
    private readonly Action<string> _warn;
    private readonly Lock _lock = new();
    private readonly List<StateEntry> _entries = [];
    private readonly TaskCompletionSource _scanned = new();
    private readonly Channel<(SavedState State, StateEntry Entry)> _waiting =
        Channel.CreateBounded<(SavedState, StateEntry)>(MostWaiting);
    private long _resumesAt;
    private int _unwritten;

    /// <param name="folder">Full path; made where it is missing.</param>
    /// <param name="bound">Most bytes of all states in the folder, those of other models included.</param>
    /// <param name="identity">What a state must belong to: <see cref="StateIdentity"/>.</param>
    /// <param name="needsCheckpoints">Whether a prefix cannot always be cut out of a longer one.</param>
    /// <param name="warn">Receives warnings of files that cannot be used or written.</param>
    public StateFolder(string folder, long bound, string identity, bool needsCheckpoints, Action<string> warn)
    {
        (_folder, _bound, _identity, _needsCheckpoints, _warn) = (folder, bound, identity, needsCheckpoints, warn);
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
    public bool IsIdle => _scanned.Task.IsCompleted && Volatile.Read(ref _unwritten) == 0;

    /// <summary>Writes a state, on a thread of its own; the scheduler's thread calls it. Nothing where it cannot be written now.</summary>
    public void Keep(SavedState state)
    {
        if (state.File is not null || state.Media.Count > 0 || state.Length < ShortestKept || state.Bytes > _bound / 4
            || Environment.TickCount64 < Volatile.Read(ref _resumesAt))
        {
            return;
        }
        var entry = new StateEntry(Path.Join(_folder, NameOf(state)), state.Tokens.ToArray(), state.Key, state.IsCheckpoint,
            state.FirstPosition, state.Bytes)
        {
            InMemory = true,
        };
        var held = false;
        state.Buffer.DangerousAddRef(ref held);
        // Before it is handed over: it may be written at once.
        Interlocked.Increment(ref _unwritten);
        if (_waiting.Writer.TryWrite((state, entry)))
        {
            state.File = entry;
            return;
        }
        Interlocked.Decrement(ref _unwritten);
        state.Buffer.DangerousRelease();
    }

    /// <summary>Deletes the file of a state in whose place a longer one is.</summary>
    public void Drop(SavedState state)
    {
        if (state.File is not { } entry)
            return;
        lock (_lock)
            _entries.Remove(entry);
        entry.Dropped = true;
        StateFile.TryDelete(entry.Path);
    }

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
        try
        {
            // States tell what was asked.
            if (OperatingSystem.IsWindows())
                Directory.CreateDirectory(_folder);
            else
                Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Scan();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _warn($"states of prompts cannot be kept in {_folder}: {e.Message}");
        }
        _scanned.SetResult();
        while (_waiting.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (_waiting.Reader.TryRead(out var next))
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
                if (!IsBeingWritten(path))
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
                    _entries.Add(
                        new StateEntry(path, head.Tokens, head.Key, head.IsCheckpoint, head.FirstPosition, head.Bytes));
                }
            }
            catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
            {
                Refuse(path, e);
            }
        }
    }

    // Its name ends in the id of the process.
    private static bool IsBeingWritten(string path)
    {
        try
        {
            var id = Path.GetExtension(path[..^StateFile.Unfinished.Length]).TrimStart('.');
            using var process = System.Diagnostics.Process.GetProcessById(int.Parse(id, CultureInfo.InvariantCulture));
            return true;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException)
        {
            return false;
        }
    }

    private void Write(SavedState state, StateEntry entry)
    {
        try
        {
            // After a failure one warning is enough.
            if (entry.Dropped || Environment.TickCount64 < Volatile.Read(ref _resumesAt))
                return;
            MakeRoom(entry.Bytes);
            StateFile.Write(entry.Path, _identity, state);
            lock (_lock)
                _entries.Add(entry);
            if (entry.Dropped)
                Drop(state);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _warn($"a state of a prompt cannot be written to {_folder}: {e.Message}");
            Volatile.Write(ref _resumesAt, Environment.TickCount64 + (long)PauseAfterFailure.TotalMilliseconds);
        }
        finally
        {
            state.Buffer.DangerousRelease();
            Interlocked.Decrement(ref _unwritten);
        }
    }

    // The states of all models share the bound; those that were not used for the longest time leave.
    private void MakeRoom(long bytes)
    {
        var files = new DirectoryInfo(_folder).EnumerateFiles()
            .Where(file => IsOurs(file.Name)
                && (file.Extension == StateFile.Ending || (file.Extension == StateFile.Unfinished && !IsBeingWritten(file.FullName))))
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

    /// <summary>Whether a longer one took its place before it was written.</summary>
    public bool Dropped
    {
        get => _dropped;
        set => _dropped = value;
    }
}
