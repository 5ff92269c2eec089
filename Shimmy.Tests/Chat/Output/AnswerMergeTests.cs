using System.Runtime.CompilerServices;
using Shimmy.Chat.Output;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Chat.Output;

/// <summary>Several answers of one request as one stream.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class AnswerMergeTests
{
    [TestMethod]
    public async Task An_answer_does_not_wait_for_its_reader()
    {
        var generated = 0;

        await using var events = AnswerMerge.SideBySide(2, (_, end) => Count(100, end), CancellationToken.None).GetAsyncEnumerator();
        Assert.IsTrue(await events.MoveNextAsync());

        await Poll.UntilAsync(() => Volatile.Read(ref generated) == 200, "both answers are generated");

        async IAsyncEnumerable<OutputEvent> Count(int most, [EnumeratorCancellation] CancellationToken end)
        {
            for (var i = 0; i < most; i++)
            {
                await Task.Yield();
                end.ThrowIfCancellationRequested();
                Interlocked.Increment(ref generated);
                yield return OutputEvent.OfText($"{i}");
            }
        }
    }

    [TestMethod]
    public async Task One_that_fails_ends_the_others_and_is_reported()
    {
        var (ended, texts) = (false, new List<string>());

        var told = await Assert.ThrowsExactlyAsync<InvalidOperationException>(async () =>
        {
            await foreach (var outputEvent in AnswerMerge.SideBySide(2, (i, end) => i == 0 ? Endless(end) : Failing(), CancellationToken.None))
                texts.Add(outputEvent.Text);
        });

        Assert.AreEqual("no", told.Message);
        Assert.IsTrue(ended);
        CollectionAssert.Contains(texts, "first");

        async IAsyncEnumerable<OutputEvent> Endless([EnumeratorCancellation] CancellationToken end)
        {
            yield return OutputEvent.OfText("first");
            try
            {
                await Task.Delay(Timeout.Infinite, end);
            }
            finally
            {
                ended = true;
            }
        }

        static async IAsyncEnumerable<OutputEvent> Failing()
        {
            await Task.Yield();
            yield return OutputEvent.OfText("second");
            throw new InvalidOperationException("no");
        }
    }

    [TestMethod]
    public async Task Who_leaves_ends_all()
    {
        var ended = 0;
        using var left = new CancellationTokenSource();

        await Assert.ThrowsAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in AnswerMerge.OneAfterAnother(3, (_, end) => Endless(end), left.Token))
                await left.CancelAsync();
        });

        Assert.AreEqual(3, ended);

        async IAsyncEnumerable<OutputEvent> Endless([EnumeratorCancellation] CancellationToken end)
        {
            yield return OutputEvent.OfText("first");
            try
            {
                await Task.Delay(Timeout.Infinite, end);
            }
            finally
            {
                Interlocked.Increment(ref ended);
            }
        }
    }
}
