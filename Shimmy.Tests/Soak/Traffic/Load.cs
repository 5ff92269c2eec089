using System.Net;
using System.Net.Sockets;

namespace Shimmy.Tests.Soak.Traffic;

/// <summary>
/// Clients that ask all at once, each request in its turn drawn from the seed and its number, so that a run with the same seed asks the
/// same things.
/// </summary>
internal sealed class Load(IPEndPoint server, SoakOptions options, Complaints complaints)
{
    // On a machine that is busy with other things as well.
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(60);

    private readonly int[] _perRoute = new int[Enum.GetValues<Route>().Length];
    private int _number;
    private int _left;
    private int _errors;
    private int _ended;

    /// <summary>Requests that were sent.</summary>
    public int Requests => _ended + _left;

    /// <summary>Requests whose client left before the end.</summary>
    public int Left => _left;

    /// <summary>Requests that ended with their dialect's error.</summary>
    public int Errors => _errors;

    /// <summary>Requests by what they asked for.</summary>
    public string PerRoute => string.Join(", ", Enum.GetValues<Route>().Select(route => $"{route} {_perRoute[(int)route]}"));

    /// <summary>
    /// Asks until there were so many requests in all, or <paramref name="end"/>; errors are told only where none may come.
    /// </summary>
    public async Task RunAsync(int requests, bool errorsAllowed, CancellationToken end)
    {
        await Task.WhenAll(Enumerable.Range(0, options.Clients).Select(_ => Task.Run(async () =>
        {
            using var client = new Client(server);
            while (!end.IsCancellationRequested)
            {
                var number = Interlocked.Increment(ref _number);
                if (number > requests)
                {
                    Interlocked.Decrement(ref _number);
                    return;
                }
                await OneAsync(client, new Random(unchecked(options.Seed * 1_000_003 + number)), errorsAllowed);
            }
        }, CancellationToken.None)));
    }

    private async Task OneAsync(Client client, Random random, bool errorsAllowed)
    {
        var asked = Exchanges.Next(random);
        Interlocked.Increment(ref _perRoute[(int)asked.Route]);
        using var limit = new CancellationTokenSource(Hang);
        try
        {
            if (random.Next(3) == 0)
            {
                await client.LeaveAsync(asked, random, limit.Token);
                Interlocked.Increment(ref _left);
                return;
            }
            var ending = await client.AskAsync(asked, limit.Token);
            Interlocked.Increment(ref _ended);
            if (ending.Kind == EndingKind.Error)
                Interlocked.Increment(ref _errors);
            if (ending.Kind == EndingKind.Wrong || (ending.Kind == EndingKind.Error && !errorsAllowed))
                complaints.Add(ending.Complaint ?? $"{asked}: an error that the client did not cause");
        }
        catch (OperationCanceledException)
        {
            complaints.Add($"{asked}: no end within {Hang.TotalSeconds:F0} s");
        }
        catch (Exception e) when (e is InvalidDataException or SocketException)
        {
            complaints.Add($"{asked}: {e.Message}");
        }
    }
}
