using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Shimmy.Models.Pull;

/// <summary>
/// A file that is not complete yet, beside the one that it will be. Behind the data it notes what it is to become, and how far each piece
/// of it has come: so a pull that was cut off, or killed, goes on where it was. Who has it open has it alone, in all processes; the system
/// takes that away from one that dies.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    /// <summary>The ending of its name: no tool takes a file of this name for a model.</summary>
    public const string Ending = ".shimmy-partial";

    /// <summary>Bytes of a piece, which is fetched by one connection, where nothing else is said.</summary>
    public const long DefaultPiece = 32L << 20;

    // Of bytes that came between two notes.
    private const long NoteEvery = 2L << 20;

    private const int MostNoted = 1 << 20;
    private const int HeadBytes = 8 + 8 + 8 + SHA256.HashSizeInBytes;
    private static readonly byte[] Magic = "SHIMPRT1"u8.ToArray();
    private static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(100);

    private readonly long _piece;
    private readonly SafeFileHandle _handle;
    private readonly string _path;
    private readonly long[] _done;
    private readonly long[] _noted;
    private readonly byte[] _head;

    private PartialFile(SafeFileHandle handle, string path, long size, long piece, string identity)
    {
        _handle = handle;
        _piece = piece;
        _path = path;
        Size = size;
        _done = new long[PiecesOf(size, piece)];
        _noted = new long[_done.Length];
        _head = new byte[HeadBytes];
        Magic.CopyTo(_head, 0);
        BinaryPrimitives.WriteInt64LittleEndian(_head.AsSpan(8), size);
        BinaryPrimitives.WriteInt64LittleEndian(_head.AsSpan(16), piece);
        SHA256.HashData(Encoding.UTF8.GetBytes(identity), _head.AsSpan(24));
        WasBegun = Resume();
        if (!WasBegun)
            Clear();
    }

    /// <summary>Bytes of the complete file.</summary>
    public long Size { get; }

    /// <summary>Whether a pull before this one has left something of it.</summary>
    public bool WasBegun { get; private set; }

    /// <summary>Number of pieces.</summary>
    public int Pieces => _done.Length;

    /// <summary>Bytes that are there.</summary>
    public long Done
    {
        get
        {
            long sum = 0;
            for (var i = 0; i < _done.Length; i++)
                sum += Volatile.Read(ref _done[i]);
            return sum;
        }
    }

    /// <summary>
    /// Opens it, waiting for whoever has it open. <paramref name="waiting"/> is called once where that is somebody.
    /// </summary>
    /// <param name="path">Its path.</param>
    /// <param name="size">Bytes of the complete file.</param>
    /// <param name="piece">Bytes of a piece.</param>
    /// <param name="identity">What distinguishes one content from another: a digest, or what the server calls this version.</param>
    /// <param name="waiting">Is called before a wait.</param>
    /// <param name="isDone">Ends the wait: somebody else has finished the file.</param>
    /// <param name="cancellation">Ends it as well.</param>
    /// <returns>The file, or null where <paramref name="isDone"/>.</returns>
    public static async Task<PartialFile?> OpenAsync(
        string path, long size, long piece, string identity, Action waiting, Func<bool> isDone, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        for (var reported = false; ;)
        {
            cancellation.ThrowIfCancellationRequested();
            if (isDone())
                return null;
            SafeFileHandle? handle = null;
            try
            {
                // A file that is open cannot be renamed on Windows unless it was opened so.
                handle = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite,
                    OperatingSystem.IsWindows() ? FileShare.Delete : FileShare.None);
            }
            catch (IOException) when (File.Exists(path))
            {
                if (!reported)
                    waiting();
                reported = true;
                await Task.Delay(LockPause, cancellation).ConfigureAwait(false);
                continue;
            }
            if (!IsAt(handle, path))
            {
                handle.Dispose();
                continue;
            }
            if (!isDone())
                return new PartialFile(handle, path, size, piece, identity);
            File.Delete(path);
            handle.Dispose();
            return null;
        }
    }

    // What was opened may have got another name, or have lost its own, before it was locked.
    private static bool IsAt(SafeFileHandle handle, string path)
    {
        File.SetLastWriteTimeUtc(handle, DateTime.UtcNow.AddTicks(-Random.Shared.NextInt64(TimeSpan.TicksPerDay)));
        return File.Exists(path) && File.GetLastWriteTimeUtc(path) == File.GetLastWriteTimeUtc(handle);
    }

    /// <summary>Bytes that a partial file of this size has taken from its disk already; 0 where there is none that can be read.</summary>
    public static long DoneAt(string path, long size)
    {
        try
        {
            if (new FileInfo(path) is not { Exists: true } file || file.Length <= size + HeadBytes)
                return 0;
            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var noted = new byte[(int)Math.Min(file.Length - size - HeadBytes, MostNoted)];
            var sum = 0L;
            for (var i = RandomAccess.Read(handle, noted, size + HeadBytes) - 8; i >= 0; i -= 8)
                sum += Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(noted.AsSpan(i)), 0, size);
            return Math.Min(sum, size);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Somebody else fetches it: the space is theirs to have.
            return size;
        }
    }

    /// <summary>Bytes of a piece.</summary>
    public long LengthOf(int piece) => Math.Min(_piece, Size - (piece * _piece));

    /// <summary>The offset of a piece.</summary>
    public long StartOf(int piece) => piece * _piece;

    /// <summary>Bytes of a piece that are there, from its beginning.</summary>
    public long DoneOf(int piece) => Volatile.Read(ref _done[piece]);

    /// <summary>Bytes that are there without a gap from the beginning.</summary>
    public long Contiguous(long from)
    {
        for (var piece = (int)(from / _piece); piece < _done.Length; piece++)
        {
            var done = DoneOf(piece);
            if (done < LengthOf(piece))
                return Math.Max(from, (piece * _piece) + done);
        }
        return Size;
    }

    /// <summary>Writes what comes next in a piece.</summary>
    public void Append(int piece, ReadOnlySpan<byte> bytes)
    {
        var done = _done[piece];
        RandomAccess.Write(_handle, bytes, (piece * _piece) + done);
        Volatile.Write(ref _done[piece], done + bytes.Length);
        if (done + bytes.Length - _noted[piece] >= NoteEvery)
            Note(piece);
    }

    /// <summary>Notes how far a piece has come; to be called where a connection ends.</summary>
    public void Note(int piece)
    {
        Span<byte> bytes = stackalloc byte[8];
        var done = _done[piece];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, done);
        RandomAccess.Write(_handle, bytes, Size + HeadBytes + (8L * piece));
        _noted[piece] = done;
    }

    /// <summary>Reads what is there.</summary>
    public int Read(Span<byte> buffer, long from) => RandomAccess.Read(_handle, buffer, from);

    /// <summary>Forgets all that came.</summary>
    public void Clear()
    {
        Array.Clear(_done);
        Array.Clear(_noted);
        // Without the note first: what is left of the old one would count.
        RandomAccess.SetLength(_handle, 0);
        RandomAccess.SetLength(_handle, Size + HeadBytes + (8L * _done.Length));
        RandomAccess.Write(_handle, _head, Size);
        WasBegun = false;
    }

    /// <summary>Makes it the complete file, in one step that others see whole or not at all.</summary>
    public void Complete(string path)
    {
        RandomAccess.SetLength(_handle, Size);
        File.Move(_path, path, overwrite: true);
    }

    /// <summary>Closes it; what came stays for the next pull.</summary>
    public void Dispose()
    {
        if (_handle.IsClosed)
            return;
        try
        {
            for (var piece = 0; piece < _done.Length && RandomAccess.GetLength(_handle) > Size; piece++)
            {
                if (_noted[piece] != _done[piece])
                    Note(piece);
            }
        }
        catch (IOException)
        {
            // A full disk: the last bytes are fetched again.
        }
        _handle.Dispose();
    }

    /// <summary>Throws away what came.</summary>
    public void Discard()
    {
        File.Delete(_path);
        _handle.Dispose();
    }

    private static int PiecesOf(long size, long piece) => (int)((size + piece - 1) / piece);

    private bool Resume()
    {
        var length = RandomAccess.GetLength(_handle);
        if (length != Size + HeadBytes + (8L * _done.Length) || Size == 0)
            return false;
        var noted = new byte[HeadBytes + (8 * _done.Length)];
        if (RandomAccess.Read(_handle, noted, Size) != noted.Length || !noted.AsSpan(0, HeadBytes).SequenceEqual(_head))
            return false;
        for (var piece = 0; piece < _done.Length; piece++)
        {
            var done = BinaryPrimitives.ReadInt64LittleEndian(noted.AsSpan(HeadBytes + (8 * piece)));
            if (done < 0 || done > LengthOf(piece))
                return false;
            _done[piece] = _noted[piece] = done;
        }
        return Done > 0;
    }
}
