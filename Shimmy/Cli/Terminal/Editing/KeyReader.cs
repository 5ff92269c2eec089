using System.Threading.Channels;

namespace Shimmy.Cli.Terminal.Editing;

/// <summary>The keys that are typed, also those that nobody waits for yet: they stay until somebody does.</summary>
internal sealed class KeyReader
{
    // An escape that begins a sequence is followed by the rest of it at once, also over a network.
    private static readonly TimeSpan SequencePause = TimeSpan.FromMilliseconds(50);

    private readonly Channel<byte[]> _bytes = Channel.CreateUnbounded<byte[]>();
    private readonly KeyParser _parser = new();
    private readonly Queue<Key> _held = new();

    /// <summary>Reads a terminal's bytes from now on, on a thread of its own: nothing interrupts a read of a terminal.</summary>
    public KeyReader(Stream input)
    {
        new Thread(() =>
        {
            var buffer = new byte[4096];
            try
            {
                for (int count; (count = input.Read(buffer)) > 0;)
                    _bytes.Writer.TryWrite(buffer[..count]);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // The terminal is gone.
            }
            _bytes.Writer.TryComplete();
        })
        { IsBackground = true, Name = "keys" }.Start();
    }

    /// <summary>Keeps a key for <see cref="TryTakeHeld"/>.</summary>
    public void Hold(Key key) => _held.Enqueue(key);

    /// <summary>The next key that was kept; false where there is none.</summary>
    public bool TryTakeHeld(out Key key) => _held.TryDequeue(out key);

    /// <summary>The next key that is typed.</summary>
    public async ValueTask<Key> ReadAsync(CancellationToken cancellation)
    {
        while (true)
        {
            while (_bytes.Reader.TryRead(out var bytes))
                _parser.Feed(bytes);
            if (_parser.TryNext(out var key))
                return key;
            if (_parser is { IsWaiting: true, IsPasting: false } && !await MoreAsync(cancellation)
                && _parser.TryNext(out key, isLate: true))
            {
                return key;
            }
            if (!await _bytes.Reader.WaitToReadAsync(cancellation))
                return new Key(KeyCode.Closed);
        }
    }

    private async Task<bool> MoreAsync(CancellationToken cancellation)
    {
        using var pause = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        pause.CancelAfter(SequencePause);
        try
        {
            return await _bytes.Reader.WaitToReadAsync(pause.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }
}
