using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Native;

namespace Shimmy.Tests.Worker.Media;

[TestClass]
[TestCategory("Unit")]
public sealed class MediaEncoderTests
{
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_picture_does_not_wait_for_all_of_a_long_sound()
    {
        var both = new TaskCompletionSource();
        var (order, left) = (new List<string>(), new Dictionary<string, int> { ["sound"] = 4, ["picture"] = 1, ["unwanted"] = 9 });
        var ended = new TaskCompletionSource();
        var encoder = new MediaEncoder(medium =>
        {
            both.Task.Wait(TestContext.CancellationToken);
            order.Add(medium.Hash);
            return --left[medium.Hash] > 0;
        }, 2, () => { });

        encoder.Request(Of("sound"), () => true, ended.SetResult);
        encoder.Request(Of("picture"), () => true, () => order.Add("picture is there"));
        encoder.Request(Of("unwanted"), () => false, () => order.Add("nobody waits"));
        Assert.AreEqual(2, encoder.BusyThreads);
        both.SetResult();
        await ended.Task.WaitAsync(TestContext.CancellationToken);

        CollectionAssert.AreEqual(
            new[] { "sound", "picture", "picture is there", "nobody waits", "sound", "sound", "sound" }, order);
    }

    // Slots and states of prompts outlive the cache of what was encoded.
    [TestMethod]
    public void What_holds_computed_tokens_holds_none_of_their_embeddings()
    {
        var medium = new TokenizedMedium(new Medium(MediumKind.Picture, 1, 1, "h"), null!, [new NativeChunk(1, null, 4, 3, true, [default])]);
        medium.NumberFrom(-7);
        medium.Chunks[0].Embeddings = [1];
        var span = new MediaSpan(2, medium.Chunks[0]);

        var computed = span.Computed();

        Assert.AreEqual((2, 6, -7, null), (computed.Start, computed.End, computed.Chunk.Number, computed.Chunk.Embeddings));
        Assert.IsEmpty(computed.Chunk.Medium.Chunks);
        Assert.AreEqual(MediaSpan.PositionAt(9, [span]), MediaSpan.PositionAt(9, [computed]));
    }

    private static TokenizedMedium Of(string name) => new(new Medium(MediumKind.Sound, 1, 1, name), null!, []);
}
