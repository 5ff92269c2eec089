using Shimmy.Engine;

namespace Shimmy.Tests.House;

/// <summary>
/// What stands in for parts of .NET to keep the executable small does what those do: sequences, async methods, interpolated strings.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class SmallPiecesTests
{
    private static readonly (string Name, int Number)[] Pairs = [("b", 2), ("a", 2), ("c", 1), ("B", 2), ("d", 3)];
    private static readonly AsyncLocal<string?> Local = new();

    [TestMethod]
    public void Sequences_give_what_those_of_linq_give()
    {
        var numbers = Enumerable.Range(-3, 9);

        CollectionAssert.AreEqual(Enumerable.Select(numbers, n => n * 2).ToList(),
            LinqMethods.ToList(LinqMethods.Select(numbers, n => n * 2)));
        CollectionAssert.AreEqual(Enumerable.Select(numbers, (n, i) => n * i).ToList(),
            LinqMethods.ToList(LinqMethods.Select(numbers, (n, i) => n * i)));
        CollectionAssert.AreEqual(Enumerable.Where(numbers, n => n > 0).ToList(),
            LinqMethods.ToList(LinqMethods.Where(numbers, n => n > 0)));
        CollectionAssert.AreEqual(Enumerable.SelectMany(numbers, n => new[] { n, n }).ToList(),
            LinqMethods.ToList(LinqMethods.SelectMany(numbers, n => new[] { n, n })));
        CollectionAssert.AreEqual(Enumerable.Distinct([1, 2, 1, 3, 2]).ToList(), LinqMethods.ToList(LinqMethods.Distinct([1, 2, 1, 3, 2])));
        CollectionAssert.AreEqual(Enumerable.OfType<string>(new object[] { "a", 1, "b" }).ToList(),
            LinqMethods.ToList(LinqMethods.OfType<string>(new object[] { "a", 1, "b" })));
        CollectionAssert.AreEqual(Enumerable.ToList([0, .. numbers, 9]),
            LinqMethods.ToList(LinqMethods.Append(LinqMethods.Prepend(numbers, 0), 9)));
        CollectionAssert.AreEqual(Enumerable.ToArray(numbers), LinqMethods.ToArray(numbers));
        CollectionAssert.AreEqual(new[] { 1, 2 }, LinqMethods.ToArray(new List<int> { 1, 2 }));
        foreach (var count in new[] { -1, 0, 1, 9, 10 })
        {
            CollectionAssert.AreEqual(Enumerable.Take(numbers, count).ToList(), LinqMethods.ToList(LinqMethods.Take(numbers, count)));
            CollectionAssert.AreEqual(Enumerable.Skip(numbers, count).ToList(), LinqMethods.ToList(LinqMethods.Skip(numbers, count)));
        }
        Assert.AreEqual(Enumerable.Count(numbers, n => n < 0), LinqMethods.Count(numbers, n => n < 0));
        Assert.AreEqual(default, LinqMethods.FirstOrDefault<int>([]));
        Assert.AreEqual(2, LinqMethods.FirstOrDefault(numbers, n => n > 1));
        Assert.IsFalse(LinqMethods.Any<int>([]));
        Assert.IsTrue(LinqMethods.Any(numbers) && LinqMethods.Any(numbers, n => n == 5) && LinqMethods.All(numbers, n => n < 6));
        Assert.ThrowsExactly<ArgumentException>(() => LinqMethods.ToDictionary([1, 1], n => n));
    }

    [TestMethod]
    public void A_sequence_does_nothing_before_it_is_read_and_reads_no_more_than_it_needs()
    {
        var read = 0;
        IEnumerable<int> Source()
        {
            for (var i = 0; ; i++)
            {
                read++;
                yield return i;
            }
        }

        var three = LinqMethods.Take(LinqMethods.Select(LinqMethods.Where(Source(), n => n % 2 == 1), n => n * 10), 3);

        Assert.AreEqual(0, read);
        CollectionAssert.AreEqual(new[] { 10, 30, 50 }, LinqMethods.ToArray(three));
        Assert.AreEqual(6, read);
    }

    [TestMethod]
    public void A_sorted_sequence_keeps_equals_in_their_order_as_linq_does()
    {
        CollectionAssert.AreEqual(Enumerable.OrderBy(Pairs, pair => pair.Number).ToList(),
            LinqMethods.ToList(LinqMethods.OrderBy(Pairs, pair => pair.Number)));
        CollectionAssert.AreEqual(Enumerable.OrderByDescending(Pairs, pair => pair.Number).ToList(),
            LinqMethods.ToList(LinqMethods.OrderByDescending(Pairs, pair => pair.Number)));
        CollectionAssert.AreEqual(
            Enumerable.OrderByDescending(Pairs, pair => pair.Number).ThenBy(pair => pair.Name, StringComparer.OrdinalIgnoreCase).ToList(),
            LinqMethods.ToList(LinqMethods.OrderByDescending(Pairs, pair => pair.Number)
                .ThenBy(pair => pair.Name, StringComparer.OrdinalIgnoreCase)));
        CollectionAssert.AreEqual(Enumerable.Order(["b", "a", "B"], StringComparer.Ordinal).ToList(),
            LinqMethods.ToList(LinqMethods.Order(["b", "a", "B"], StringComparer.Ordinal)));
    }

    [TestMethod]
    public async Task An_async_method_fails_with_what_it_threw_before_and_after_a_wait()
    {
        var error = new InvalidOperationException("as it is");
        var atOnce = new BackendProbe(_ => throw error).GetAsync(CancellationToken.None);
        var later = new BackendProbe(async _ =>
        {
            await Task.Delay(1, CancellationToken.None);
            throw error;
        }).GetAsync(CancellationToken.None);

        Assert.IsTrue(atOnce.IsFaulted);
        Assert.AreSame(error, await Assert.ThrowsExactlyAsync<InvalidOperationException>(() => atOnce));
        Assert.AreSame(error, await Assert.ThrowsExactlyAsync<InvalidOperationException>(() => later));
    }

    [TestMethod]
    public async Task An_async_method_that_is_cancelled_ends_as_cancelled_with_the_same_exception()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        var error = new OperationCanceledException("as it is", cancelled.Token);

        var atOnce = new BackendProbe(_ => throw error).GetAsync(CancellationToken.None);
        var later = new BackendProbe(_ => new TaskCompletionSource<BackendReport>().Task).GetAsync(new CancellationTokenSource(10).Token);

        Assert.IsTrue(atOnce.IsCanceled);
        Assert.AreSame(error, await Assert.ThrowsExactlyAsync<OperationCanceledException>(() => atOnce));
        await Assert.ThrowsExactlyAsync<TaskCanceledException>(() => later);
        Assert.IsTrue(later.IsCanceled);
    }

    [TestMethod]
    public async Task What_an_async_method_sets_for_itself_does_not_reach_its_caller_and_stays_over_a_wait()
    {
        Local.Value = "caller";
        string? seen = null;
        var running = new BackendProbe(async _ =>
        {
            await Task.Yield();
            seen = Local.Value;
            return null!;
        });
        var task = running.GetAsync(CancellationToken.None);
        Local.Value = "changed";
        await task;

        Assert.AreEqual("caller", seen);
        var sets = new BackendProbe(_ =>
        {
            Local.Value = "inside";
            return Task.FromResult<BackendReport>(null!);
        });
        await sets.GetAsync(CancellationToken.None);
        Assert.AreEqual("changed", Local.Value);
    }
}
