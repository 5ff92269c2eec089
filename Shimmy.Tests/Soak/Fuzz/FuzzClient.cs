using System.Net;
using System.Text;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>
/// Sends damaged requests, on one connection as long as HTTP was whole, and judges the answers: an answer to everything that can be
/// understood as a request, no fault of the server's, no silence.
/// </summary>
internal sealed class FuzzClient(IPEndPoint server) : IDisposable
{
    // How long a server may wait for the rest of what is no whole request, before the client says that there is no rest.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(200);

    // A mutant may ask for all that the model can say; a stream that has come so far is left.
    private const int EnoughOfAStream = 32 * 1024;

    private Wire? _wire;

    /// <summary>
    /// Sends one and gives the answer's status (0 where none came), and what is wrong with it. Throws
    /// <see cref="OperationCanceledException"/> at the limit.
    /// </summary>
    public async Task<(int Status, string? Complaint)> TryAsync(FuzzCase fuzz, Random random, CancellationToken limit)
    {
        var reused = _wire is not null;
        _wire ??= await Wire.ConnectAsync(server, limit);
        var wire = _wire;
        if (!await SendAsync(wire, fuzz, random, limit) && reused && fuzz.Framed)
        {
            // Closed as idle, or for what came before: once more on a new one.
            Close();
            return await TryAsync(fuzz, random, limit);
        }
        if (fuzz.Manner == Manner.Gone)
        {
            wire.Reset();
            Close();
            return (0, null);
        }
        if (fuzz.Manner == Manner.HalfClosed)
            wire.HalfClose();
        var answering = wire.ReadAsync(limit, EnoughOfAStream);
        if (!fuzz.Framed && fuzz.Manner == Manner.Plain)
        {
            await Task.WhenAny(answering, Task.Delay(Patience, limit));
            if (!answering.IsCompleted)
                wire.HalfClose();
        }
        var answer = await answering;
        if (answer is null && reused && fuzz.Framed)
        {
            Close();
            return await TryAsync(fuzz, random, limit);
        }
        if (!fuzz.Framed || answer?.KeepsAlive != true)
            Close();
        return (answer?.Status ?? 0, ComplaintAbout(fuzz, answer));
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    private static async Task<bool> SendAsync(Wire wire, FuzzCase fuzz, Random random, CancellationToken limit)
    {
        if (fuzz.Manner != Manner.Pieces)
            return await wire.TrySendAsync(fuzz.Bytes, limit);
        for (var at = 0; at < fuzz.Bytes.Length;)
        {
            var size = Math.Min(fuzz.Bytes.Length - at, random.Next(1, Math.Max(2, fuzz.Bytes.Length / 4)));
            if (!await wire.TrySendAsync(fuzz.Bytes.AsMemory(at, size), limit))
                return false;
            at += size;
            await Task.Delay(1, limit);
        }
        return true;
    }

    private static string? ComplaintAbout(FuzzCase fuzz, WireAnswer? answer)
    {
        if (answer is null)
            return fuzz.Framed ? $"no answer to {fuzz}" : null;
        // 505 is the right answer to another version of HTTP, and 501 to what llama-server and Ollama have and Shimmy or the model has not.
        // A request that sets itself a time may miss it, on a machine that is as busy as this.
        var late = answer.Status == 504 && fuzz.Bytes.AsSpan().IndexOf("\"timeout\""u8) >= 0;
        if (answer.Status >= 500 && answer.Status != 501 && !late && (answer.Status != 505 || fuzz.Framed))
            return $"{answer.Status} {answer.Text} to {fuzz}";
        if (answer.Text.Contains("\"internal_error\"", StringComparison.Ordinal)
            || answer.Text.Contains("internal error;", StringComparison.Ordinal))
        {
            return $"a fault in the answer {answer.Text} to {fuzz}";
        }

        if (!fuzz.Framed || answer.Body.Length >= EnoughOfAStream)
            return null;
        // A stream that breaks off says so before: of several prompts, the second may be the one that is too long.
        if (!answer.Whole && answer.Status == 200 && Ending.EventsOf(answer.Text) is [.., var last] && Ending.IsError(fuzz.Path, last))
            return null;
        if (!answer.Whole)
            return $"an answer that breaks off ({answer.Status} {answer.Text}) to {fuzz}";
        return answer.Status >= 400 && !Ending.IsError(fuzz.Path, Encoding.UTF8.GetString(answer.Body))
            ? $"{answer.Status} without the dialect's error ({answer.Text}) to {fuzz}"
            : null;
    }

    private void Close()
    {
        _wire?.Dispose();
        _wire = null;
    }
}
