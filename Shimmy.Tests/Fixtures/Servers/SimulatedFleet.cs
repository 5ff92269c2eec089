using System.Diagnostics;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// Servers under many long prompts that share their beginnings, simulated: events in the order of time. A server computes one prompt at a
/// time and writes answers in its slots meanwhile.
/// </summary>
/// <param name="size">Number of servers.</param>
/// <param name="secondsOfPrompt">Time for a token of a prompt.</param>
/// <param name="secondsOfAnswer">Time for a token of an answer.</param>
/// <param name="requestsOfServer">Requests in all, for each server.</param>
internal sealed class SimulatedFleet(int size, double secondsOfPrompt, double secondsOfAnswer, int requestsOfServer = 60)
{
    public const int BeginningTokens = 2000;

    public const int Slots = 4;

    /// <summary>Beginnings that a server's cells and memory have room for.</summary>
    public const int HeldBeginnings = 12;

    /// <summary>Times the servers: as many beginnings are in use.</summary>
    public const int BeginningsOfServer = 8;

    private const int QuestionTokens = 50;
    private const int AnswerTokens = 100;
    private const double Load = 0.5; // of what the servers can do where everything is computed anew
    private const double SecondsBetweenScrapes = 0.05;

    private readonly PriorityQueue<Action<double>, double> _events = new();
    private readonly Server[] _servers = [.. Enumerable.Range(0, size).Select(_ => new Server())];
    private readonly PickedServer[] _seen = [.. Enumerable.Range(0, size).Select(_ => new PickedServer())];
    private readonly List<double> _firsts = [];
    private int _hits;

    /// <summary>
    /// Seconds to the first token (median, and 95th of 100), the share of requests that found their beginning computed, and milliseconds
    /// that a pick took.
    /// </summary>
    public (double Median, double High, double Hits, double Pick) Run(bool picks)
    {
        var random = new Random(7);
        var picker = new EndpointPicker(_seen, 7);
        var requests = size * requestsOfServer;
        // So that servers that find nothing computed are half busy: else their queues would grow as long as the run is.
        var each = ((BeginningTokens + QuestionTokens) * secondsOfPrompt) + (AnswerTokens * secondsOfAnswer / Slots);
        var time = 0.0;
        var picking = 0L;
        for (var i = 0; i < requests; i++)
        {
            time += -Math.Log(1 - random.NextDouble()) * each / (size * Load);
            var (beginning, turn) = (random.Next(size * BeginningsOfServer), i % size);
            _events.Enqueue(now =>
            {
                // Made when it is needed: all at once would be many.
                var text = picks ? $"{beginning:D8}".PadRight(4 * BeginningTokens, (char)('a' + (beginning % 26))) : "";
                var begun = Stopwatch.GetTimestamp();
                var chosen = picks ? picker.Pick(text) : turn;
                picking += Stopwatch.GetTimestamp() - begun;
                Arrive(_servers[chosen], beginning, now, now);
            }, time);
        }
        for (var at = 0.0; picks && at < time; at += SecondsBetweenScrapes)
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
            _seen[i].Usage = Math.Min(1, (double)_servers[i].Busy / HeldBeginnings);
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

    private sealed class Server
    {
        public int Busy { get; set; }

        public double PromptsUntil { get; set; }

        public Queue<(int Beginning, double Arrived)> Waiting { get; } = new();

        public List<int> Held { get; } = [];
    }
}
