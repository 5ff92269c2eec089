using Shimmy.Chat.Media;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Media;

[TestClass]
[TestCategory("Unit")]
public sealed class MediaLoaderTests : IDisposable
{
    private const int Side = 20;
    private const int Decoded = Side * Side * 3;

    private readonly ModelLease _lease = new(
        new FixedTokensModel([]) { Facts = new() { Architecture = "a", Description = "a", CanSee = true } });

    /// <inheritdoc/>
    public void Dispose() => _lease.Dispose();

    [TestMethod]
    public async Task What_memory_allows_goes_to_the_newest_turn_and_then_back_in_time()
    {
        var loader = Loader(2 * Decoded);

        var request = await loader.DecodeAsync(_lease, Talk("user", "assistant", "user", "assistant", "user"), null, CancellationToken.None);

        CollectionAssert.AreEqual(new[] { "[image omitted: it cannot be read]", "", "picture", "", "picture" }, Seen(request));
    }

    [TestMethod]
    public async Task More_than_memory_allows_is_refused_where_the_newest_turn_asks_alone()
    {
        var loader = Loader(Decoded);

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            loader.DecodeAsync(_lease, Talk("user", "assistant", "user", "user"), null, CancellationToken.None));
        var request = await loader.DecodeAsync(_lease, Talk("user", "assistant", "tool", "user"), null, CancellationToken.None);

        Assert.AreEqual("messages[3]", refused.Option);
        const string omitted = "[image omitted: it cannot be read]";
        CollectionAssert.AreEqual(new[] { omitted, "", omitted, "picture" }, Seen(request));
    }

    [TestMethod]
    public async Task What_running_requests_hold_of_the_process_is_bounded()
    {
        var loader = new MediaLoader(PictureDecoder.DefaultMostPixels, new MediaFetch([])) { MostHeld = 2 * Decoded };
        using var other = new ModelLease(_lease.Model);
        await loader.DecodeAsync(_lease, Talk("user"), null, CancellationToken.None);
        await loader.DecodeAsync(_lease, Talk("user"), null, CancellationToken.None);

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            loader.DecodeAsync(other, Talk("user"), null, CancellationToken.None));
        await loader.MeasureAsync(other.Model, Talk("user"), null, CancellationToken.None);
        _lease.Dispose();
        await loader.DecodeAsync(other, Talk("user", "assistant", "user"), null, CancellationToken.None);

        Assert.AreEqual(EngineFailure.QueueFull, refused.Failure);
        Assert.IsGreaterThan(0, refused.RetryAfterSeconds);
        Assert.StartsWith("decoded pictures and sounds of running requests hold ", refused.Message);
    }

    [TestMethod]
    public async Task What_is_measured_is_refused_and_replaced_as_what_is_decoded_and_holds_nothing()
    {
        var loader = new MediaLoader(PictureDecoder.DefaultMostPixels, new MediaFetch([])) { MostHeld = 0 };
        // Its header is whole.
        var damaged = Pictures.PngOf(9, 9, 8, 2, 0, [1]);

        var measured = await loader.MeasureAsync(_lease.Model, Talk("user"), null, CancellationToken.None);
        var replaced = await loader.MeasureAsync(_lease.Model, Talk(damaged, "user", "assistant", "tool"), null, CancellationToken.None);
        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            loader.MeasureAsync(_lease.Model, Talk(damaged, "user"), null, CancellationToken.None));

        var medium = measured.Messages[0].Content[0].Medium!;
        Assert.AreEqual((Side, Side, true), (medium.Width, medium.Height, medium.Data.IsEmpty));
        const string omitted = "[image omitted: it cannot be read]";
        CollectionAssert.AreEqual(new[] { omitted, "", omitted }, Seen(replaced));
        Assert.AreEqual((EngineFailure.InvalidRequest, "messages[0]"), (refused.Failure, refused.Option));
    }

    private static MediaLoader Loader(long most) => new(PictureDecoder.DefaultMostPixels, new MediaFetch([])) { MostBytes = most };

    // A conversation in which all but the model show a picture.
    private static ChatRequest Talk(params string[] roles) => Talk(Pictures.Square(Side, 255, 0, 0), roles);

    private static ChatRequest Talk(byte[] picture, params string[] roles) => new()
    {
        Messages = [.. roles.Select((role, index) => new ChatMessage
        {
            Role = role,
            Content = role == "assistant" ? [] : [new ContentPart("")
            {
                Source = new MediaSource(MediumKind.Picture, $"messages[{index}]", picture),
            }],
        })],
    };

    private static string[] Seen(ChatRequest request) =>
        [.. request.Messages.Select(message => string.Concat(message.Content.Select(part => part.Medium is null ? part.Text : "picture")))];
}
