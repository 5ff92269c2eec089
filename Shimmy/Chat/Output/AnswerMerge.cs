using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Shimmy.Chat.Output;

/// <summary>The events of several answers as one stream, each under the number of its answer.</summary>
internal static class AnswerMerge
{
    /// <summary>
    /// The answers are generated at once, and their events follow each other as they come. None waits for the reader: an answer is stopped
    /// where its text ends, however slow the client is.
    /// </summary>
    /// <param name="count">The number of answers.</param>
    /// <param name="begin">Begins one of them. What one cannot do ends all.</param>
    /// <param name="cancellation">Ends all.</param>
    public static async IAsyncEnumerable<OutputEvent> SideBySide(int count,
        Func<int, CancellationToken, IAsyncEnumerable<OutputEvent>> begin, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        // Of objects: the channels of the program share their code, and one of structs would add 20 KB.
        var channel = Channel.CreateUnbounded<object>();
        var running = count;
        var all = Task.WhenAll(Enumerable.Range(0, count).Select(PumpAsync));
        try
        {
            while (await channel.Reader.WaitToReadAsync(cancellation).ConfigureAwait(false))
            {
                while (channel.Reader.TryRead(out var outputEvent))
                    yield return (OutputEvent)outputEvent;
            }
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            await all.ConfigureAwait(false);
        }

        async Task PumpAsync(int i)
        {
            try
            {
                await foreach (var outputEvent in begin(i, end.Token).ConfigureAwait(false))
                    channel.Writer.TryWrite(outputEvent with { Choice = i });
            }
            catch (Exception e)
            {
                // The first one is reported; the others end by it.
                channel.Writer.TryComplete(e);
                await end.CancelAsync().ConfigureAwait(false);
            }
            if (Interlocked.Decrement(ref running) == 0)
                channel.Writer.TryComplete();
        }
    }

    /// <summary>
    /// The same in the order of the answers: what comes early waits. They are generated at once all the same, since each on its own would
    /// stand in the queue anew behind all others.
    /// </summary>
    public static async IAsyncEnumerable<OutputEvent> OneAfterAnother(int count,
        Func<int, CancellationToken, IAsyncEnumerable<OutputEvent>> begin, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var waiting = new Queue<OutputEvent>[count];
        for (var i = 0; i < count; i++)
            waiting[i] = new Queue<OutputEvent>();
        var first = 0;
        await foreach (var outputEvent in SideBySide(count, begin, cancellation).ConfigureAwait(false))
        {
            waiting[outputEvent.Choice].Enqueue(outputEvent);
            while (first < count && waiting[first].TryDequeue(out var earliest))
            {
                yield return earliest;
                if (earliest.End is not null)
                    first++;
            }
        }
    }
}
