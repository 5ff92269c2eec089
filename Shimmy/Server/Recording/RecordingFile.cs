using System.Text;
using Microsoft.Extensions.Logging;

namespace Shimmy.Server.Recording;

/// <summary>
/// The file that exchanges are appended to, a line at a time and each with one write, so that a crash leaves at most the last one broken. A
/// disk that is full stops no answer: what cannot be written is missing in the file, which the log says once, and once more when it goes
/// on.
/// </summary>
internal sealed partial class RecordingFile : IDisposable
{
    /// <summary>The first line of every recording.</summary>
    public static ReadOnlySpan<byte> Head => "{\"shimmy\":\"recording\",\"format\":1}"u8;

    /// <summary>Whether a line is <see cref="Head"/>.</summary>
    public static bool IsHead(ReadOnlySpan<byte> line) => line.TrimEnd((byte)'\r').SequenceEqual(Head);

    /// <summary>Why a file whose first line is another is refused, as the end of a sentence.</summary>
    public static string WhyNone =>
        $"it is not a recording that this version can read: its first line is not {Encoding.UTF8.GetString(Head)}";

    private readonly Lock _lock = new();
    private readonly Stream _file;
    private readonly ILogger _logger;
    private int _lost;

    /// <summary>
    /// Opens the file or makes it. Throws <see cref="IOException"/> where that cannot be, or where it holds something else.
    /// </summary>
    public RecordingFile(string path, ILogger logger)
        : this(Open(path), path, logger)
    {
    }

    /// <summary>Appends to a stream that can be read as well.</summary>
    public RecordingFile(Stream file, string path, ILogger logger)
    {
        _file = file;
        _logger = logger;
        Path = path;
    }

    /// <summary>Path of the file.</summary>
    public string Path { get; }

    /// <summary>Exchanges that could not be written since the last that could.</summary>
    public int Lost
    {
        get
        {
            lock (_lock)
                return _lost;
        }
    }

    /// <summary>Appends a line, its end included. Never throws for what the disk does.</summary>
    public void Append(byte[] line)
    {
        lock (_lock)
        {
            long? end = null;
            try
            {
                end = _file.CanSeek ? _file.Seek(0, SeekOrigin.End) : 0;
                _file.Write([.. Before(end.Value), .. line]);
            }
            catch (IOException e)
            {
                if (_lost++ == 0)
                    LogFailed(_logger, Path, e.Message);
                if (end is { } whole)
                    CutBack(whole);
                return;
            }
            if (_lost > 0)
                LogGoesOn(_logger, Path, _lost);
            _lost = 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static FileStream Open(string path)
    {
        try
        {
            // Without a buffer of its own: what was written is in the system's hands, and what failed is not tried again in part.
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
            if (IsEmptyOrRecording(file))
                return file;
            file.Dispose();
            throw new IOException($"{WhyNone}; nothing was written to it");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"cannot record to '{path}': {e.Message}", e);
        }
    }

    // A device or a pipe has no length, and nothing in it to be spoiled.
    private static bool IsEmptyOrRecording(FileStream file)
    {
        if (!file.CanSeek || file.Length == 0)
            return true;
        var first = new byte[Head.Length + 2];
        var read = file.ReadAtLeast(first, first.Length, throwOnEndOfStream: false);
        var end = first.AsSpan(0, read).IndexOf((byte)'\n');
        return IsHead(first.AsSpan(0, end < 0 ? read : end));
    }

    // The head of a new file; behind a line that a crash broke, the end of that line.
    private byte[] Before(long end)
    {
        if (end == 0)
            return [.. Head, (byte)'\n'];
        _file.Seek(-1, SeekOrigin.End);
        return _file.ReadByte() is '\n' or -1 ? [] : "\n"u8.ToArray();
    }

    // Half a line makes the next a part of it; where it cannot be taken back, the next begins with the end of a line.
    private void CutBack(long end)
    {
        try
        {
            _file.SetLength(end);
        }
        catch (Exception e) when (e is IOException or NotSupportedException)
        {
            // Said already.
        }
    }

    [LoggerMessage(LogLevel.Error, "recording to {Path} failed: {Reason}; requests are answered, but what is answered until it can be written again will be missing there")]
    private static partial void LogFailed(ILogger logger, string path, string reason);

    [LoggerMessage(LogLevel.Warning, "recording to {Path} goes on; {Lost} exchanges are missing there")]
    private static partial void LogGoesOn(ILogger logger, string path, int lost);
}
