using System.Runtime.CompilerServices;

namespace Shimmy.Chat.Output;

/// <summary>The events of several answers as one stream, each under the number of its answer.</summary>
internal static class AnswerMerge
{
    /// <summary>The answers are generated at once, and their events follow each other as they come.</summary>
    /// <param name="count">The number of answers.</param>
    /// <param name="begin">Begins one of them. What one cannot do ends all.</param>
    /// <param name="cancellation">Ends all.</param>
    public static async IAsyncEnumerable<OutputEvent> SideBySide(int count,
        Func<int, CancellationToken, IAsyncEnumerable<OutputEvent>> begin, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var answers = Enumerable.Range(0, count).Select(i => begin(i, end.Token).GetAsyncEnumerator(end.Token)).ToArray();
        var next = Array.ConvertAll(answers, answer => answer.MoveNextAsync().AsTask());
        try
        {
            for (var running = count; running > 0;)
            {
                var done = await Task.WhenAny(next.Where(task => task is not null)).ConfigureAwait(false);
                var i = Array.IndexOf(next, done);
                if (!await done.ConfigureAwait(false))
                {
                    next[i] = null!;
                    running--;
                    continue;
                }
                yield return answers[i].Current with { Choice = i };
                next[i] = answers[i].MoveNextAsync().AsTask();
            }
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            foreach (var (answer, task) in answers.Zip(next))
            {
                if (task is not null)
                    await ((Task)task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await answer.DisposeAsync().ConfigureAwait(false);
            }
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
