using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Tests.Http;

[TestClass]
[TestCategory("Unit")]
public sealed class SseResponseTests
{
    [TestMethod]
    public async Task A_stream_that_is_silent_for_long_says_that_it_lives_and_one_that_is_not_does_not()
    {
        var silent = await SendAsync(TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(400));
        Assert.StartsWith("start;ping;", silent);
        Assert.IsGreaterThan(2, silent.Split("ping;").Length - 1);
        Assert.EndsWith("text;", silent);

        Assert.AreEqual("start;text;", await SendAsync(TimeSpan.FromSeconds(15), TimeSpan.FromMilliseconds(50)));
        Assert.AreEqual("start;text;", await SendAsync(null, TimeSpan.FromMilliseconds(50)));
    }

    private static async Task<string> SendAsync(TimeSpan? pingAfter, TimeSpan silence)
    {
        var body = new MemoryStream();
        var context = new DefaultHttpContext();
        context.Response.Body = body;
        await SseResponse.SendAsync(context, EventsAsync(silence), new Writer(pingAfter));
        return Encoding.ASCII.GetString(body.ToArray());
    }

    private static async IAsyncEnumerable<OutputEvent> EventsAsync(TimeSpan silence, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        yield return OutputEvent.OfStart(new GenerationStart(1, 0, 1));
        await Task.Delay(silence, cancellation);
        yield return OutputEvent.OfText("x");
    }

    private sealed class Writer(TimeSpan? pingAfter) : IStreamWriter
    {
        public TimeSpan? PingAfter => pingAfter;

        public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent) => output.Write(outputEvent.Start is null ? "text;"u8 : "start;"u8);

        public void WritePing(IBufferWriter<byte> output) => output.Write("ping;"u8);

        public void WriteError(IBufferWriter<byte> output, ApiError error) => output.Write("error;"u8);
    }
}
