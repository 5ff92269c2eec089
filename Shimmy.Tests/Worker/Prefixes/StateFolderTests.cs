using Shimmy.Tests.Fixtures;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Prefixes;
using Shimmy.Worker.Sequences;

namespace Shimmy.Tests.Worker.Prefixes;

/// <summary>When states are written, tried again, replaced and deleted.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class StateFolderTests : IDisposable
{
    private const int Tokens = 200;
    private const long Large = 1L << 40;
    private static readonly string Identity = new('a', 32);
    private static readonly PrefixKey None = new(new AdapterSet([]), "");

    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _warnings = [];

    private string States => _folder["states"];

    public void Dispose() => _folder.Dispose();

    [TestMethod]
    public async Task A_shorter_state_stays_until_the_longer_one_is_there()
    {
        var folder = await OpenAsync();
        using var shorter = Of(1);
        Assert.IsTrue(folder.Keep(shorter));
        await IdleAsync(folder);
        var file = Files.Single();

        // One that is not written takes the place of none.
        using var tooLarge = Of(1, 2 * Tokens, 3000);
        Assert.IsTrue((await OpenAsync(bound: 3000)).Keep(tooLarge));
        using var checkpoint = Of(1, 2 * Tokens, isCheckpoint: true);
        folder.Keep(checkpoint);
        await IdleAsync(folder);
        Assert.IsTrue(File.Exists(file));

        using var longer = Of(1, 2 * Tokens);
        folder.Keep(longer);
        await IdleAsync(folder);

        Assert.IsFalse(File.Exists(file));
        Assert.HasCount(2, Files);
        Assert.AreEqual(longer.Bytes + checkpoint.Bytes, folder.Bytes);
    }

    [TestMethod]
    public async Task What_could_not_be_written_is_tried_again()
    {
        var folder = await OpenAsync();
        using var state = Of(1);
        using var other = Of(2);
        Directory.Delete(States);
        folder.Keep(state);
        await IdleAsync(folder);
        Assert.HasCount(1, _warnings);
        Assert.IsFalse(folder.Keep(state), "there is a pause");

        await Poll.UntilAsync(() => folder.Pause == TimeSpan.Zero, "the pause is over");
        Assert.IsTrue(folder.Keep(state));
        await IdleAsync(folder);
        Assert.HasCount(1, _warnings, "the same reason is not told twice");
        Directory.CreateDirectory(States);
        await Poll.UntilAsync(() => folder.Pause == TimeSpan.Zero, "the pause is over");
        Assert.IsTrue(folder.Keep(state));
        Assert.IsTrue(folder.Keep(other));
        await IdleAsync(folder);

        Assert.HasCount(2, Files);
    }

    [TestMethod]
    public async Task A_state_that_is_computed_again_has_one_entry()
    {
        using var state = Of(1);
        var folder = await OpenAsync();
        folder.Keep(state);
        await IdleAsync(folder);
        var written = File.GetLastWriteTimeUtc(Files.Single());
        using var again = Of(1);
        var next = await OpenAsync();

        Assert.IsTrue(next.Keep(again));
        await IdleAsync(next);

        Assert.AreEqual(state.Bytes, next.Bytes);
        Assert.AreEqual(written, File.GetLastWriteTimeUtc(Files.Single()));
        Assert.IsEmpty(next.Read([.. Words(1, Tokens), 1, 2], None, Large), "it is in memory");
    }

    [TestMethod]
    public async Task What_a_dead_process_left_unfinished_is_deleted_whatever_its_id()
    {
        Directory.CreateDirectory(States);
        var name = Path.Join(States, Identity[..16] + "-" + new string('b', 32) + StateFile.Ending);
        var (own, parents) = ($"{name}.{Environment.ProcessId}.part", $"{name}.1.part");
        await File.WriteAllTextAsync(own, "x");
        await File.WriteAllTextAsync(parents, "x");
        var alive = $"{name}.{Guid.NewGuid():N}.part";
        await using var writing = new FileStream(alive, FileMode.Create, FileAccess.Write, FileShare.None);

        await OpenAsync();

        Assert.IsFalse(File.Exists(own));
        Assert.IsFalse(File.Exists(parents));
        Assert.IsTrue(File.Exists(alive), "somebody writes it");
    }

    [TestMethod]
    public async Task A_smaller_bound_holds_from_the_start()
    {
        var folder = await OpenAsync();
        for (var i = 1; i <= 4; i++)
        {
            using var state = Of(i);
            folder.Keep(state);
        }
        await IdleAsync(folder);
        var bytes = new FileInfo(Files[0]).Length;

        var next = await OpenAsync(bound: (2 * bytes) + 1);

        Assert.HasCount(2, Files);
        Assert.AreEqual(2L * (1000 + (sizeof(int) * Tokens)), next.Bytes);
    }

    [TestMethod]
    public async Task What_waits_to_be_written_is_bounded_and_does_not_leave_memory()
    {
        const int Size = 8 << 20;
        var folder = await OpenAsync(mostWaiting: Size);
        var store = new PrefixStore(2 * Size + 10_000);
        var (one, two) = (Of(1, bytes: Size), Of(2, bytes: Size));
        folder.Hurries = false;
        store.Add(one, replacesShorter: false);
        Assert.IsTrue(folder.Keep(one));

        store.Add(two, replacesShorter: false);
        Assert.IsFalse(folder.Keep(two), "one waits already");
        store.Add(Of(3, bytes: Size), replacesShorter: false);

        Assert.AreEqual(1000, store.States.Min(state => state.Tokens[0]), "the second left, which was used later");
        folder.Hurries = true;
        await IdleAsync(folder);
        Assert.HasCount(1, Files);
    }

    private string[] Files => Directory.GetFiles(States, "*" + StateFile.Ending);

    private async Task<StateFolder> OpenAsync(long bound = Large, long mostWaiting = Large)
    {
        var folder = new StateFolder(States, bound, Identity, needsCheckpoints: false, mostWaiting, warning =>
        {
            lock (_warnings)
                _warnings.Add(warning);
        })
        {
            PauseAfterFailure = TimeSpan.FromMilliseconds(300),
        };
        await IdleAsync(folder);
        return folder;
    }

    private static Task IdleAsync(StateFolder folder) => Poll.UntilAsync(() => folder.IsIdle, "all is written");

    private static SavedState Of(int first, int tokens = Tokens, int bytes = 1000, bool isCheckpoint = false) =>
        new(Words(first, tokens), [], None, StateBuffer.Create(bytes)!) { IsCheckpoint = isCheckpoint };

    private static int[] Words(int first, int count) => [.. Enumerable.Range(first * 1000, count)];
}
