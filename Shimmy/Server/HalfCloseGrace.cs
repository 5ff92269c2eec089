using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace Shimmy.Server;

/// <summary>
/// Grace for half-closed connections. Clients that send all they have and close their side at once (<c>printf … | nc -N</c>) still read.
/// Kestrel drops them: it resets a connection that has ended its input, even where the whole request is there. Whether such a client waits
/// is not known: one that is gone looks the same until something is written. So what it sent is read to its end, and what
/// it asked for goes on for a little while. To a client that is gone, the first writes fail and end a stream earlier than that.
/// </summary>
internal static class HalfCloseGrace
{
    /// <summary>Time for which a request goes on after the client has closed its side.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(500);

    /// <summary>Wraps a connection so that its end shows later by <see cref="Grace"/>, and not before all its input was read.</summary>
    public static ConnectionDelegate Around(ConnectionDelegate next) => async connection =>
    {
        using var gone = new CancellationTokenSource();
        using var _ = connection.ConnectionClosed.UnsafeRegister(static gone => ((CancellationTokenSource)gone!).CancelAfter(Grace), gone);
        connection.ConnectionClosed = gone.Token;
        var transport = connection.Transport;
        connection.Transport = new WrappedTransport(new Input(transport.Input), transport.Output);
        await next(connection).ConfigureAwait(false);
    };

    // Shows the end only to a read that finds nothing new before it.
    private sealed class Input(PipeReader inner) : PipeReader
    {
        private ReadResult _last;
        private long _seen;

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            var reading = inner.ReadAsync(cancellationToken);
            return reading.IsCompletedSuccessfully ? new(Shown(reading.Result)) : WaitAsync(reading);
        }

        public override bool TryRead(out ReadResult result)
        {
            var read = inner.TryRead(out result);
            result = Shown(result);
            return read;
        }

        public override void AdvanceTo(SequencePosition consumed)
        {
            _seen = 0;
            inner.AdvanceTo(consumed);
        }

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            _seen = _last.Buffer.Slice(consumed, examined).Length;
            inner.AdvanceTo(consumed, examined);
        }

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);

        private async ValueTask<ReadResult> WaitAsync(ValueTask<ReadResult> reading) => Shown(await reading.ConfigureAwait(false));

        private ReadResult Shown(ReadResult result)
        {
            _last = result;
            return result.IsCompleted && result.Buffer.Length > _seen
                ? new ReadResult(result.Buffer, result.IsCanceled, isCompleted: false)
                : result;
        }
    }
}

/// <summary>A connection's transport with one or both of its pipes replaced.</summary>
internal sealed class WrappedTransport(PipeReader input, PipeWriter output) : IDuplexPipe
{
    /// <inheritdoc/>
    public PipeReader Input => input;

    /// <inheritdoc/>
    public PipeWriter Output => output;
}
