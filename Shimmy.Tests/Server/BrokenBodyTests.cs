using System.Net;
using System.Text;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Server;

/// <summary>Bodies that end in the middle or are no HTTP are the client's fault, in the answer and in the log.</summary>
[TestClass]
public sealed class BrokenBodyTests
{
    [TestMethod]
    [DataRow("/v1/chat/completions", "FFFFFFFF")]
    [DataRow("/v1/messages", "FFFFFFFFFFFFFFFFF")]
    [DataRow("/api/generate", "zz")]
    public async Task A_chunk_of_an_impossible_size_is_400(string path, string size)
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var wire = await Wire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, server.Server.Address.Port), limit.Token);

        await wire.TrySendAsync(Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n"), limit.Token);
        var answer = await wire.ReadAsync(limit.Token);

        Assert.AreEqual(400, answer!.Status);
        Assert.IsTrue(Ending.IsError(path, answer.Text), answer.Text);
        await log.WaitForAsync(" 400: ");
        Assert.IsFalse(log.Lines.Any(line => line.StartsWith("Error", StringComparison.Ordinal)), string.Join('\n', log.Lines));
    }
}
