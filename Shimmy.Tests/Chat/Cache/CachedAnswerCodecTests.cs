using System.Text;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Engine;

namespace Shimmy.Tests.Chat.Cache;

/// <summary>Answers come out of the cache as they went in.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class CachedAnswerCodecTests
{
    [TestMethod]
    public void Every_kind_of_event_comes_back_as_it_was()
    {
        var random = new Random(1);
        for (var round = 0; round < 200; round++)
        {
            var events = Enumerable.Range(0, random.Next(1, 40)).Select(_ => Any(random)).ToArray();
            using var writer = new CachedAnswerCodec.Writer();
            foreach (var outputEvent in events)
                writer.Write(outputEvent);
            var bytes = writer.ToArray();

            Assert.AreEqual(bytes.Length, writer.Length);
            CollectionAssert.AreEqual(events.Select(Told).ToArray(), CachedAnswerCodec.Read(bytes).Select(Told).ToArray());
        }
    }

    [TestMethod]
    public void What_stands_behind_the_answer_in_its_array_is_not_read()
    {
        using var writer = new CachedAnswerCodec.Writer();
        writer.Write(OutputEvent.OfText("a"));
        var bytes = writer.ToArray();

        Assert.AreEqual("a", CachedAnswerCodec.Read(new byte[] { 9 }.Concat(bytes).Append((byte)1).ToArray().AsMemory(1, bytes.Length))
            .Single().Text);
    }

    private static OutputEvent Any(Random random)
    {
        var outputEvent = random.Next(6) switch
        {
            0 => OutputEvent.OfStart(new GenerationStart(random.Next(), random.Next(), uint.MaxValue - (uint)random.Next(9))),
            1 => OutputEvent.OfText(Text(random)),
            2 => OutputEvent.OfReasoning("r" + Text(random)),
            3 => OutputEvent.OfCall(new ToolCallDelta(random.Next(3), random.Next(2) == 0 ? null : Text(random), Text(random))),
            4 => OutputEvent.OfText("") with { PromptToken = Token(random) },
            _ => OutputEvent.OfEnd(new OutputEnd((FinishReason)random.Next(2), random.Next(2) == 0 ? null : Text(random),
                new Usage(random.Next(), random.Next(), random.Next()), new GenerationTimings(random.NextDouble(), 1e-9, 1e9))
            { CalledTools = random.Next(2) == 0 }),
        };
        return random.Next(2) == 0
            ? outputEvent
            : outputEvent with { Tokens = [.. Enumerable.Range(0, random.Next(4)).Select(_ => Token(random))] };
    }

    private static GeneratedToken Token(Random random) =>
        new(random.Next(), Bytes(random), random.Next(3) == 0 ? null : new TokenLogProbability(
        random.Next(4) == 0 ? float.NegativeInfinity : -random.NextSingle(),
            [.. Enumerable.Range(0, random.Next(21)).Select(_ => new TopToken(random.Next(), Bytes(random), -random.NextSingle()))]));

    private static byte[] Bytes(Random random)
    {
        var bytes = new byte[random.Next(300)];
        random.NextBytes(bytes);
        return bytes;
    }

    // Halves of surrogate pairs as well.
    private static string Text(Random random)
    {
        var text = new StringBuilder();
        for (var length = random.Next(200); length > 0; length--)
            text.Append(random.Next(10) == 0 ? (char)random.Next(0xD800, 0xE000) : (char)random.Next(1, 0x2FFF));
        return text.ToString();
    }

    private static string Told(OutputEvent outputEvent) =>
        $"{outputEvent.Text}|{outputEvent.Reasoning}|{outputEvent.Call}|{outputEvent.Start}|{outputEvent.End}|{(outputEvent.PromptToken is { } read ? Told(read) : "-")}|"
        + (outputEvent.Tokens is null ? "-" : string.Join(' ', outputEvent.Tokens.Select(Told)));

    private static string Told(GeneratedToken token) =>
        $"{token.Token} {Convert.ToHexString(token.Piece.Span)} {token.LogProbability?.LogProbability:R} "
        + string.Join(',',
            token.LogProbability?.Top.Select(top => $"{top.Token} {Convert.ToHexString(top.Piece.Span)} {top.LogProbability:R}") ?? ["-"]);
}
