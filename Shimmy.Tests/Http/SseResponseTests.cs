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
        // The silence of all three lasts until the first has said three times that it lives.
        var writer = new Writer(TimeSpan.FromMilliseconds(20));
        var seldom = SendAsync(new Writer(TimeSpan.FromSeconds(15)), writer.ThreePings);
        var never = SendAsync(new Writer(null), writer.ThreePings);
        var silent = await SendAsync(writer, writer.ThreePings);
        Assert.StartsWith("start;ping;ping;ping;", silent);
        Assert.EndsWith("text;", silent);

        Assert.AreEqual("start;text;", await seldom);
        Assert.AreEqual("start;text;", await never);
    }

    private static async Task<string> SendAsync(Writer writer, Task silence)
    {
        var body = new MemoryStream();
        var context = new DefaultHttpContext();
        context.Response.Body = body;
        await SseResponse.SendAsync(context, EventsAsync(silence), writer);
        return Encoding.ASCII.GetString(body.ToArray());
    }

    private static async IAsyncEnumerable<OutputEvent> EventsAsync(Task silence,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        yield return OutputEvent.OfStart(new GenerationStart(1, 0, 1));
        await silence.WaitAsync(cancellation);
        yield return OutputEvent.OfText("x");
    }

    private sealed class Writer(TimeSpan? pingAfter) : IStreamWriter
    {
        private readonly TaskCompletionSource _threePings = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _pings;

        public TimeSpan? PingAfter => pingAfter;

        public Task ThreePings => _threePings.Task;

        public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent) =>
            output.Write(outputEvent.Start is null ? "text;"u8 : "start;"u8);

        public void WritePing(IBufferWriter<byte> output)
        {
            output.Write("ping;"u8);
            if (++_pings == 3)
                _threePings.SetResult();
        }

        public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect) => output.Write("error;"u8);
    }
}
