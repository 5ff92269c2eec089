using System.Net;
using System.Text;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Server;

/// <summary>Bodies that end in the middle or are no HTTP are the client's fault, in the answer and in the log.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class BrokenBodyTests
{
    [TestMethod]
    [DataRow("/v1/chat/completions", "FFFFFFFF")]
    [DataRow("/v1/messages", "FFFFFFFFFFFFFFFFF")]
    [DataRow("/api/generate", "zz")]
    public Task A_chunk_of_an_impossible_size_is_400(string path, string size) => BreaksAsync(path, size, new ServerOptions());

    [TestMethod]
    public async Task So_it_is_where_bodies_are_recorded_or_replayed()
    {
        using var folder = new TemporaryFolder();
        await BreaksAsync("/v1/messages", "FFFFFFFFFFFFFFFF1", new ServerOptions { RecordFile = folder["r.jsonl"] });
        await BreaksAsync("/v1/messages", "FFFFFFFFFFFFFFFF1", new ServerOptions { ReplayFile = folder["r.jsonl"] });
    }

    [TestMethod]
    public async Task A_header_that_is_none_is_refused_and_not_quoted_in_the_log()
    {
        var log = new CapturedLog { LeastOfOthers = Microsoft.Extensions.Logging.LogLevel.Trace };
        await using var server = await ServerFixture.StartAsync(loggers: log);

        Assert.StartsWith("HTTP/1.1 400 ",
            await server.RawAsync("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer SECRETKEY1\r\n\r\n"));

        Assert.Contains("ConnectionBadRequest on connection ", await log.WaitForAsync("Server.Kestrel.BadRequests "));
        Assert.Contains("answered with 400", await log.WaitForAsync("Server.Kestrel.BadRequests "));
        Assert.IsFalse(log.Lines.Any(line => line.Contains("SECRET", StringComparison.Ordinal)), string.Join('\n', log.Lines));
    }

    private static async Task BreaksAsync(string path, string size, ServerOptions options)
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(options: options, loggers: log);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var wire = await Wire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, server.Server.Address.Port), limit.Token);

        await wire.TrySendAsync(
            Encoding.ASCII.GetBytes(
                $"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n"), limit.Token);
        var answer = await wire.ReadAsync(limit.Token);

        Assert.AreEqual(400, answer!.Status);
        Assert.IsTrue(Ending.IsError(path, answer.Text), answer.Text);
        await log.WaitForAsync(" 400: ");
        Assert.IsFalse(log.Lines.Any(line => line.StartsWith("Error", StringComparison.Ordinal)), string.Join('\n', log.Lines));
    }
}
