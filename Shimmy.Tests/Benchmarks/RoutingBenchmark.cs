using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// What routing by an endpoint picker is worth on 3 to 1,000 servers. The time that a server takes for a token of a prompt and of an answer
/// is measured; the servers are simulated with it.
/// </summary>
internal static class RoutingBenchmark
{
    private const int BeginningTokens = 2000;
    private const int QuestionTokens = 50;
    private const int AnswerTokens = 100;
    private const int Slots = 4;
    private const int HeldBeginnings = 12; // that a server's cells and memory have room for
    private const int BeginningsOfServer = 8; // times the servers: as many are in use
    private const int RequestsOfServer = 60;
    private const double Load = 0.5; // of what the servers can do where everything is computed anew
    private static readonly TimeSpan Scrape = TimeSpan.FromMilliseconds(50);

    private static readonly int[] Sizes = [3, 10, 100, 1000];

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var (prompt, answer) = await MeasureAsync(BenchmarkModel.PathOf(modelPath));
        await output.WriteLineAsync($"one server: {1e3 * prompt:F2} ms for a token of a prompt, {1e3 * answer:F2} ms for one of an answer");
        await output.WriteLineAsync(
            $"{BeginningsOfServer} beginnings of {BeginningTokens} tokens for each server, of which one holds {HeldBeginnings}; time to the first token, median and 95th of 100");
        await output.WriteLineAsync(
            $"{"servers",-8} {"in turn",18} {"by the picker",18} {"ratio",7} {"hits in turn",13} {"hits picked",12} {"ms a pick",10}");
        foreach (var size in Sizes)
        {
            var turn = new Fleet(size, prompt, answer).Run(picks: false);
            var picked = new Fleet(size, prompt, answer).Run(picks: true);
            await output.WriteLineAsync(
                $"{size,-8} {turn.Median,8:F2} {turn.High,7:F2} s {picked.Median,8:F2} {picked.High,7:F2} s {turn.Median / picked.Median,6:F1}x {turn.Hits,13:P0} {picked.Hits,12:P0} {picked.Pick,10:F3}");
        }
    }

    // Seconds for a token of a prompt, and of an answer among as many as a server has slots.
    private static async Task<(double Prompt, double Answer)> MeasureAsync(string path)
    {
        await using var model = await BenchmarkModel.Engine().LoadAsync(
            new ModelSpec { Name = "measured", Path = path, Parallel = Slots, ContextLength = 1024, PrefixMemoryBytes = 0 }, null,
            CancellationToken.None);
        var prompts = new List<double>();
        for (var round = 0; round < 3; round++)
        {
            var begun = Stopwatch.GetTimestamp();
            await BenchmarkModel.GenerateAsync(model, RandomMemory.Words(round, 512), 1);
            prompts.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds / 512);
        }
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Slots).Select(i => BenchmarkModel.GenerateAsync(model, RandomMemory.Words(i, 8), 64)));
        prompts.Sort();
        return (prompts[1], Stopwatch.GetElapsedTime(start).TotalSeconds / 64);
    }

    // Events in the order of time. A server computes one prompt at a time and writes answers in its slots meanwhile.
    private sealed class Fleet(int size, double secondsOfPrompt, double secondsOfAnswer)
    {
        private readonly PriorityQueue<Action<double>, double> _events = new();
        private readonly Server[] _servers = [.. Enumerable.Range(0, size).Select(_ => new Server())];
        private readonly PickedServer[] _seen = [.. Enumerable.Range(0, size).Select(_ => new PickedServer())];
        private readonly List<double> _firsts = [];
        private int _hits;

        public (double Median, double High, double Hits, double Pick) Run(bool picks)
        {
            var random = new Random(7);
            var picker = new EndpointPicker(_seen, 7);
            var requests = size * RequestsOfServer;
            var texts = Enumerable.Range(0, size * BeginningsOfServer)
                .Select(i => $"{i:D8}".PadRight(4 * BeginningTokens, (char)('a' + (i % 26)))).ToArray();
            // So that servers that find nothing computed are half busy: else their queues would grow as long as the run is.
            var each = ((BeginningTokens + QuestionTokens) * secondsOfPrompt) + (AnswerTokens * secondsOfAnswer / Slots);
            var time = 0.0;
            var picking = 0L;
            for (var i = 0; i < requests; i++)
            {
                time += -Math.Log(1 - random.NextDouble()) * each / (size * Load);
                var (beginning, turn) = (random.Next(texts.Length), i % size);
                _events.Enqueue(now =>
                {
                    var begun = Stopwatch.GetTimestamp();
                    var chosen = picks ? picker.Pick(texts[beginning]) : turn;
                    picking += Stopwatch.GetTimestamp() - begun;
                    Arrive(_servers[chosen], beginning, now, now);
                }, time);
            }
            for (var at = 0.0; picks && at < time; at += Scrape.TotalSeconds * Math.Max(1, size / 100))
                _events.Enqueue(_ => Look(), at);
            while (_events.TryDequeue(out var next, out var now))
                next(now);
            // The first ones find nothing anywhere.
            var warm = _firsts.Skip(requests / 3).Order().ToList();
            return (warm[warm.Count / 2], warm[(int)(warm.Count * 0.95)], (double)_hits / requests,
                Stopwatch.GetElapsedTime(0, picking).TotalMilliseconds / requests);
        }

        private void Look()
        {
            for (var i = 0; i < size; i++)
            {
                _seen[i].Queue = _servers[i].Waiting.Count;
                _seen[i].Usage = Math.Min(1, (double)_servers[i].Held.Count / HeldBeginnings);
            }
        }

        private void Arrive(Server server, int beginning, double arrived, double now)
        {
            if (server.Busy == Slots)
            {
                server.Waiting.Enqueue((beginning, arrived));
                return;
            }
            server.Busy++;
            var tokens = QuestionTokens;
            if (server.Held.Remove(beginning))
                _hits++;
            else
                tokens += BeginningTokens;
            server.Held.Add(beginning);
            if (server.Held.Count > HeldBeginnings)
                server.Held.RemoveAt(0);
            server.PromptsUntil = Math.Max(server.PromptsUntil, now) + (tokens * secondsOfPrompt);
            _firsts.Add(server.PromptsUntil - arrived);
            _events.Enqueue(end =>
            {
                server.Busy--;
                if (server.Waiting.TryDequeue(out var next))
                    Arrive(server, next.Beginning, next.Arrived, end);
            }, server.PromptsUntil + (AnswerTokens * secondsOfAnswer));
        }
    }

    private sealed class Server
    {
        public int Busy { get; set; }

        public double PromptsUntil { get; set; }

        public Queue<(int Beginning, double Arrived)> Waiting { get; } = new();

        public List<int> Held { get; } = [];
    }
}
