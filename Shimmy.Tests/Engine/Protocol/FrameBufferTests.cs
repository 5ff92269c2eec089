using Shimmy.Engine;
using Shimmy.Engine.Protocol;

namespace Shimmy.Tests.Engine.Protocol;

[TestClass]
[TestCategory("Unit")]
public sealed class FrameBufferTests
{
    // A photo of 24 million pixels, as a frame begins: the number of media.
    private static readonly byte[] Photo = Payload(72 << 20, 1);
    private static readonly byte[] Text = Payload(40 << 20, 0);

    [TestMethod]
    public void Photos_of_several_requests_wait_and_refuse_no_text()
    {
        var frames = new FrameBuffer();
        for (var id = 1u; id <= 8; id++)
            frames.Add(new Frame(FrameKind.Generate, id, Photo));

        frames.Add(new Frame(FrameKind.Generate, 9, Text));
        frames.Add(new Frame(FrameKind.Generate, 10, Text));
        var refused = Assert.ThrowsExactly<EngineException>(() => frames.Add(new Frame(FrameKind.Tokenize, 11, Text)));
        frames.Add(new Frame(FrameKind.Cancel, 12, []));

        Assert.AreEqual(EngineFailure.QueueFull, refused.Failure);
        Assert.AreEqual("requests that the worker of this model has not read yet hold 80 MiB of the 64 MiB that are allowed; "
            + "try again when some of them have ended", refused.Message);
        Assert.IsTrue(frames.Remove(9));
        frames.Add(new Frame(FrameKind.Tokenize, 11, Text));
    }

    [TestMethod]
    public void Prompts_with_media_are_bounded_as_well()
    {
        var frames = new FrameBuffer();
        for (var id = 1u; id <= 15; id++)
            frames.Add(new Frame(FrameKind.Generate, id, Photo));

        Assert.ThrowsExactly<EngineException>(() => frames.Add(new Frame(FrameKind.Generate, 16, Photo)));
        Assert.AreEqual(1u, frames.Take()!.Value.Id);
        frames.Add(new Frame(FrameKind.Generate, 16, Photo));
    }

    private static byte[] Payload(int length, byte media)
    {
        var payload = new byte[length];
        payload[0] = media;
        return payload;
    }
}
