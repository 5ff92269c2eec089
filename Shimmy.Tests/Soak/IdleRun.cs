using System.Diagnostics;
using System.Text;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Clients that do nothing, or next to nothing: thousands of idle connections, readers of a byte a second, sockets that are closed in one
/// direction. The server answers others as before, takes little for each, and has nothing left of them when they are gone.
/// </summary>
internal static class IdleRun
{
    private const int HalfClosed = 100;
    private const int SlowReaders = 2;
    private const long MostPerConnection = 24 * 1024;
    private const long MostForSlowReaders = 48L << 20;

    // On a machine that is busy with other things as well.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    // Kestrel gives a head of a request 30 s.
    private static readonly TimeSpan HeadTime = TimeSpan.FromSeconds(40);

    /// <summary>Runs it; the wait for the end of what never finishes its head is left out where there is a time limit.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        await using var server = await SoakServer.StartAsync(options, "--threads", "1");
        await AskAsync(server, 10);
        var atStart = await server.RestAsync();
        verdict.Say($"idle: {options.Connections} connections, seed {options.Seed}; at the start {atStart}");
        await IdleAsync(server, options, verdict, atStart);
        await SlowReadersAsync(server, TimeSpan.FromSeconds(options.Duration is null ? 12 : 6), verdict);
        await HalfClosedAsync(server, options, verdict);
        await server.JudgeTheEndAsync(verdict, atStart);
    }

    private static async Task IdleAsync(SoakServer server, SoakOptions options, Verdict verdict, ProcessState atStart)
    {
        using var limit = new CancellationTokenSource(Limit);
        var wires = new Wire[options.Connections];
        var silent = new List<Wire>();
        var health = Encoding.ASCII.GetBytes("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        try
        {
            await Parallel.ForAsync(0, wires.Length, new ParallelOptions { MaxDegreeOfParallelism = 32, CancellationToken = limit.Token },
                async (i, token) =>
            {
                wires[i] = await Wire.ConnectAsync(server.Address, token);
                // A third has asked once, a third has begun to ask, a third has said nothing yet.
                if (i % 3 == 0)
                {
                    await wires[i].TrySendAsync(health, token);
                    await wires[i].ReadAsync(token);
                }
                else if (i % 3 == 1)
                {
                    await wires[i].TrySendAsync(health.AsMemory(0, health.Length - 4), token);
                    lock (silent)
                        silent.Add(wires[i]);
                }
            });
            var open = server.State;
            var each = (open.ResidentBytes - atStart.ResidentBytes) / wires.Length;
            verdict.Say($"{wires.Length} connections are open: {open}");
            verdict.Require(open.Files >= wires.Length, $"the server holds them all ({open.Files} open files)");
            verdict.Require(each < MostPerConnection, $"each takes {each / 1024.0:F1} KB (at most {MostPerConnection / 1024})");
            var (answers, longest) = await AskAsync(server, 100);
            verdict.Require(longest < Soon,
                $"another client is answered {answers} times, the longest took {longest.TotalMilliseconds:F0} ms");
            if (options.Duration is null)
            {
                using var patience = new CancellationTokenSource(HeadTime);
                var ended = 0;
                foreach (var wire in silent)
                    ended += await EndsAsync(wire, patience.Token) ? 1 : 0;
                verdict.Require(ended == silent.Count,
                    $"those that never ended the head of their request were let go ({ended} of {silent.Count})");
            }
        }
        finally
        {
            foreach (var wire in wires)
                wire?.Dispose();
        }
        var after = await server.RestAsync();
        verdict.Require(after.Files <= atStart.Files + 16, $"when they are gone, the server has none left ({after})");
    }

    private static async Task SlowReadersAsync(SoakServer server, TimeSpan time, Verdict verdict)
    {
        var before = server.State;
        var alone = await StreamAsync(server);
        // With what is told of each token, some megabytes: more than fits between the ends.
        var asked = Post("/v1/chat/completions", $$"""
            {"model":"{{Exchange.Model}}","messages":[{"role":"user","content":"on and on"}],"max_tokens":1900,"ignore_eos":true,"stream":true,"logprobs":true,"top_logprobs":20}
            """);
        using var over = new CancellationTokenSource();
        var readers = Enumerable.Range(0, SlowReaders).Select(_ => ReadSlowlyAsync(server, asked, over.Token)).ToArray();
        var (most, longest, streams) = (0L, TimeSpan.Zero, 0);
        for (var begun = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begun) < time;)
        {
            var took = await StreamAsync(server);
            streams++;
            longest = took > longest ? took : longest;
            most = Math.Max(most, server.State.ResidentBytes);
            await Task.Delay(100, CancellationToken.None);
        }
        await over.CancelAsync();
        var read = await Task.WhenAll(readers);
        verdict.Say(
            $"{SlowReaders} readers took {string.Join(" and ", read)} bytes in {time.TotalSeconds:F0} s; meanwhile {streams} other streams, alone one took {alone.TotalMilliseconds:F0} ms");
        verdict.Require(longest < alone * 6 + Soon,
            $"no other stream waited for them (the longest took {longest.TotalMilliseconds:F0} ms)");
        verdict.Require(most - before.ResidentBytes < MostForSlowReaders, $"they took {(most - before.ResidentBytes) / 1e6:F1} MB at most");
        verdict.Require(await server.IsQuietAsync(TimeSpan.FromSeconds(20)), "their slots are free again");
    }

    private static async Task HalfClosedAsync(SoakServer server, SoakOptions options, Verdict verdict)
    {
        var random = new Random(options.Seed);
        using var limit = new CancellationTokenSource(Limit);
        var ended = 0;
        await Task.WhenAll(Enumerable.Range(0, HalfClosed).Select(async i =>
        {
            var route = (i % 4) switch { 0 => Route.Chat, 1 => Route.Messages, 2 => Route.Generate, _ => Route.Response };
            Exchange asked;
            lock (random)
                asked = Exchanges.Of(route, random);
            using var wire = await Wire.ConnectAsync(server.Address, limit.Token);
            await wire.TrySendAsync(asked.Bytes, limit.Token);
            wire.HalfClose();
            if (await EndsAsync(wire, limit.Token))
                Interlocked.Increment(ref ended);
        }));
        verdict.Require(ended == HalfClosed,
            $"a connection whose client closed its direction is answered or ended ({ended} of {HalfClosed})");
        verdict.Require(await server.IsQuietAsync(TimeSpan.FromSeconds(20)), "and its request holds no slot");
    }

    private static async Task<int> ReadSlowlyAsync(SoakServer server, byte[] asked, CancellationToken over)
    {
        using var wire = await Wire.ConnectAsync(server.Address, over, receiveBuffer: 2048);
        await wire.TrySendAsync(asked, over);
        var (bytes, one) = (0, new byte[1]);
        try
        {
            while (await wire.Socket.ReceiveAsync(one, over) > 0)
            {
                bytes++;
                await Task.Delay(1000, over);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or System.Net.Sockets.SocketException)
        {
            // The time is up, or the server has had enough.
        }
        return bytes;
    }

    // How long a stream of a few tokens takes.
    private static async Task<TimeSpan> StreamAsync(SoakServer server)
    {
        using var limit = new CancellationTokenSource(Limit);
        using var wire = await Wire.ConnectAsync(server.Address, limit.Token);
        var begun = Stopwatch.GetTimestamp();
        await wire.TrySendAsync(
            Post("/api/generate",
                $$"""{"model":"{{Exchange.Model}}","prompt":"a bear","max_tokens":24,"ignore_eos":true,"stream":true}"""), limit.Token);
        if (await wire.ReadAsync(limit.Token) is not { Status: 200, Whole: true })
            throw new InvalidDataException("a stream beside others did not come to its end");
        return Stopwatch.GetElapsedTime(begun);
    }

    private static async Task<(int Answers, TimeSpan Longest)> AskAsync(SoakServer server, int times)
    {
        using var limit = new CancellationTokenSource(Limit);
        var longest = TimeSpan.Zero;
        for (var i = 0; i < times; i++)
        {
            var begun = Stopwatch.GetTimestamp();
            using var wire = await Wire.ConnectAsync(server.Address, limit.Token);
            await wire.TrySendAsync(i % 10 == 0
                ? Post("/v1/completions", $$"""{"model":"{{Exchange.Model}}","prompt":"hi","max_tokens":2}""")
                : "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), limit.Token);
            if (await wire.ReadAsync(limit.Token) is not { Status: 200, Whole: true })
                throw new InvalidDataException("a client beside idle ones was not answered");
            var took = Stopwatch.GetElapsedTime(begun);
            longest = took > longest ? took : longest;
        }
        return (times, longest);
    }

    // Whether the connection comes to its end, an answer before it or not.
    private static async Task<bool> EndsAsync(Wire wire, CancellationToken limit)
    {
        var buffer = new byte[4096];
        try
        {
            while (await wire.Socket.ReceiveAsync(buffer, limit) > 0)
            {
            }
            return true;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static byte[] Post(string path, string body) =>
        Encoding.UTF8.GetBytes(
            $"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
}
