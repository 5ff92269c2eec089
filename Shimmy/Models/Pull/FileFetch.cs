using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;

namespace Shimmy.Models.Pull;

/// <summary>
/// Fetches one file over several connections into a <see cref="PartialFile"/>, hashes what has come while the rest is coming, and makes it
/// the complete file where the hash is the registry's. A connection that breaks is taken up where it broke.
/// </summary>
/// <param name="client">The registry.</param>
/// <param name="file">The file.</param>
/// <param name="connections">Most connections at once.</param>
/// <param name="piece">Bytes that one connection fetches at a time.</param>
/// <param name="report">Receives the bytes that are there, and whether the hash is all that is missing.</param>
internal sealed class FileFetch(RegistryClient client, PlannedFile file, int connections, long piece, Action<PullStage, long> report)
{
    // In a row, without a byte between them.
    private const int MostFailures = 8;
    private const int LongestRetryAfter = 30;
    private const int ReadBytes = 128 << 10;
    private const int HashBytes = 512 << 10;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan HashPause = TimeSpan.FromMilliseconds(5);

    private int _next = -1;
    private int _failures;
    private long _fetched;
    private Uri? _direct;

    /// <summary>Whether the complete file is there; its size shows.</summary>
    public static bool IsThere(PlannedFile file) => new FileInfo(file.Target) is { Exists: true } there
        && (there.LinkTarget is null || there.ResolveLinkTarget(true) is { Exists: true })
        && LengthOf(there) == file.Size;

    /// <summary>Whether the file that is there has the hash that the registry says; true where it says none.</summary>
    public static async Task<bool> HasHashAsync(PlannedFile file, CancellationToken cancellation)
    {
        if (file.Hash is null)
            return true;
        using var hash = BeginHash(file);
        var stream = File.OpenRead(file.Target);
        await using (stream.ConfigureAwait(false))
        {
            var buffer = new byte[HashBytes];
            for (int count; (count = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0;)
                hash.AppendData(buffer.AsSpan(0, count));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset()) == file.Hash;
    }

    /// <summary>
    /// Brings the file, and gives the bytes that came over the network; null where it was there, or somebody else has brought it. Throws
    /// <see cref="PullException"/>; what came by then is there for the next try.
    /// </summary>
    public async Task<long?> RunAsync(CancellationToken cancellation)
    {
        var brought = false;
        try
        {
            while (!IsThere(file))
            {
                using var partial = await PartialFile.OpenAsync(file.Target + PartialFile.Ending, file.Size, piece, file.Identity,
                    () => report(PullStage.Waiting, 0), () => IsThere(file), cancellation).ConfigureAwait(false);
                if (partial is null)
                    break;
                var wasBegun = partial.WasBegun;
                if (await FetchAsync(partial, cancellation).ConfigureAwait(false) is { } wrong)
                {
                    partial.Discard();
                    // What an earlier pull has left may be what is wrong.
                    if (wasBegun)
                        continue;
                    throw new PullException(PullFailure.WrongContent,
                        $"{file.Name} is not what {client.Name} says it is: its hash is {wrong}, "
                        + $"and {file.Hash} was promised; nothing of it is kept");
                }
                partial.Complete(file.Target);
                brought = true;
            }
            return brought ? _fetched : null;
        }
        catch (FileNotFoundException) when (!cancellation.IsCancellationRequested)
        {
            throw new PullException(PullFailure.WrongContent, $"{file.Name} was removed while it was fetched");
        }
        catch (IOException e) when (IsFull(e))
        {
            throw new PullException(PullFailure.NoSpace, $"the disk of {Path.GetDirectoryName(file.Target)} is full; "
                + "what came is kept, and the next pull goes on from there", e);
        }
    }

    private static long LengthOf(FileInfo there) =>
        there.LinkTarget is null ? there.Length : ((FileInfo)there.ResolveLinkTarget(true)!).Length;

    // ENOSPC and EDQUOT as .NET gives them; ERROR_DISK_FULL and ERROR_HANDLE_DISK_FULL.
    private static bool IsFull(IOException e) => e.HResult is 28 or 122 or unchecked((int)0x80070070) or unchecked((int)0x80070027);

    // The hash where it is wrong.
    private async Task<string?> FetchAsync(PartialFile partial, CancellationToken cancellation)
    {
        report(PullStage.Fetching, partial.Done);
        for (var tries = 1; ; tries++)
        {
            using var attempt = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            _next = -1;
            // The first connection shows whether the server gives ranges; until then, nothing that came may be thrown away.
            var first = partial.Done < partial.Size ? await OpenAsync(partial, attempt.Token).ConfigureAwait(false) : null;
            if (first is { IsWhole: true } && partial.Done > 0)
                partial.Clear();
            var hash = Task.Run(() => HashAsync(partial, attempt.Token), CancellationToken.None);
            try
            {
                if (first is { IsWhole: true })
                    await ReadWholeAsync(partial, first, attempt.Token).ConfigureAwait(false);
                else if (first is not null)
                    await Task.WhenAll(Workers(partial, first, attempt)).ConfigureAwait(false);
                report(PullStage.Checking, partial.Done);
                var found = await hash.ConfigureAwait(false);
                return file.Hash is null || found == file.Hash ? null : found;
            }
            catch (Exception e) when (first is { IsWhole: true } && tries < MostFailures && RegistryClient.IsBroken(e, cancellation))
            {
                // All of it, from its beginning, once more.
                await PauseAsync(e, cancellation).ConfigureAwait(false);
            }
            finally
            {
                first?.Answer.Dispose();
                await attempt.CancelAsync().ConfigureAwait(false);
                await ((Task)hash).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private Task[] Workers(PartialFile partial, Opened first, CancellationTokenSource attempt)
    {
        var workers = new Task[Math.Max(1, Math.Min(connections, partial.Pieces - first.Piece))];
        for (var i = 0; i < workers.Length; i++)
        {
            var opened = i == 0 ? first : null;
            workers[i] = Task.Run(() => WorkAsync(partial, opened, attempt), CancellationToken.None);
        }
        return workers;
    }

    private async Task WorkAsync(PartialFile partial, Opened? opened, CancellationTokenSource attempt)
    {
        try
        {
            for (var piece = opened?.Piece ?? Take(partial); piece < partial.Pieces; piece = Take(partial))
            {
                while (partial.DoneOf(piece) < partial.LengthOf(piece))
                    opened = await TryPieceAsync(partial, piece, opened, attempt.Token).ConfigureAwait(false);
            }
        }
        catch
        {
            // One that gives up ends the others.
            await attempt.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }

    // The next piece that is not complete.
    private int Take(PartialFile partial)
    {
        for (; ; )
        {
            var piece = Interlocked.Increment(ref _next);
            if (piece >= partial.Pieces || partial.DoneOf(piece) < partial.LengthOf(piece))
                return piece;
        }
    }

    private async Task<Opened?> TryPieceAsync(PartialFile partial, int piece, Opened? opened, CancellationToken cancellation)
    {
        try
        {
            opened ??= await OpenPieceAsync(partial, piece, cancellation).ConfigureAwait(false);
            if (opened.IsWhole)
            {
                throw new PullException(PullFailure.BadAnswer,
                    $"{client.Name} answers one range request for {file.Name} with the range, another with the whole file; pull it again");
            }
            await ReadAsync(opened.Answer, partial, piece, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (IsPassing(e, cancellation))
        {
            await PauseAsync(e, cancellation).ConfigureAwait(false);
        }
        finally
        {
            partial.Note(piece);
            opened?.Answer.Dispose();
        }
        return null;
    }

    // A server without ranges gives all of it, from the beginning.
    private async Task ReadWholeAsync(PartialFile partial, Opened opened, CancellationToken cancellation)
    {
        for (var piece = 0; piece < partial.Pieces; piece++)
        {
            await ReadAsync(opened.Answer, partial, piece, cancellation).ConfigureAwait(false);
            if (partial.DoneOf(piece) < partial.LengthOf(piece))
                throw new HttpIOException(HttpRequestError.ResponseEnded, "the answer ended too early");
        }
    }

    private async Task ReadAsync(RegistryAnswer answer, PartialFile partial, int piece, CancellationToken cancellation)
    {
        var stream = await answer.Message.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var buffer = new byte[ReadBytes];
        for (long left; (left = partial.LengthOf(piece) - partial.DoneOf(piece)) > 0;)
        {
            silence.CancelAfter(RegistryClient.MostSilence);
            var count = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, buffer.Length)), silence.Token).ConfigureAwait(false);
            if (count == 0)
                throw new HttpIOException(HttpRequestError.ResponseEnded, "the answer ended too early");
            partial.Append(piece, buffer.AsSpan(0, count));
            Volatile.Write(ref _failures, 0);
            Interlocked.Add(ref _fetched, count);
            report(PullStage.Fetching, partial.Done);
        }
    }

    // The first piece that is not complete, tried until the server answers.
    private async Task<Opened> OpenAsync(PartialFile partial, CancellationToken cancellation)
    {
        var piece = Take(partial);
        for (; ; )
        {
            try
            {
                return await OpenPieceAsync(partial, piece, cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (IsPassing(e, cancellation))
            {
                await PauseAsync(e, cancellation).ConfigureAwait(false);
            }
        }
    }

    private async Task<Opened> OpenPieceAsync(PartialFile partial, int piece, CancellationToken cancellation)
    {
        var from = partial.StartOf(piece) + partial.DoneOf(piece);
        var to = partial.StartOf(piece) + partial.LengthOf(piece) - 1;
        var direct = Volatile.Read(ref _direct);
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        silence.CancelAfter(RegistryClient.MostSilence);
        RegistryAnswer answer;
        try
        {
            answer = await client.SendAsync(HttpMethod.Get, direct ?? file.Url, headers => headers.Range = new RangeHeaderValue(from, to),
                file.Name, silence.Token).ConfigureAwait(false);
        }
        catch (PullException e) when (direct is not null && e.Failure != PullFailure.TooMany)
        {
            // Where a registry has sent to holds for some time only.
            Interlocked.CompareExchange(ref _direct, null, direct);
            return await OpenPieceAsync(partial, piece, cancellation).ConfigureAwait(false);
        }
        if (WhyNot(answer, from, to) is { } reason)
        {
            answer.Dispose();
            throw new PullException(PullFailure.WrongContent, $"{file.Name} is not what {client.Name} says it is: {reason}");
        }
        if (answer.Url != file.Url)
            Volatile.Write(ref _direct, answer.Url);
        return new Opened(piece, answer, answer.Message.StatusCode != HttpStatusCode.PartialContent);
    }

    private string? WhyNot(RegistryAnswer answer, long from, long to)
    {
        if (answer.Size is { } size && size != file.Size)
            return $"it has {size} bytes, and {file.Size} were promised";
        if (answer.Message.StatusCode == HttpStatusCode.PartialContent)
        {
            var range = answer.Message.Content.Headers.ContentRange;
            if (range?.From != from || range.To > to)
                return "the server gives another range of it than the one asked for";
        }
        else if (answer.Message.Content.Headers.ContentLength is null)
        {
            return "the server does not say how long it is";
        }
        return file.Hash is null && file.Etag is { } etag && answer.Etag is { } other && other != etag
            ? "it was changed while it was fetched"
            : null;
    }

    private static bool IsPassing(Exception e, CancellationToken cancellation) => RegistryClient.IsBroken(e, cancellation)
        || e is PullException { Failure: PullFailure.TooMany, RetryAfterSeconds: <= LongestRetryAfter }
            or PullException { Failure: PullFailure.Unreachable, RetryAfterSeconds: null or <= LongestRetryAfter };

    // Throws what has happened once too often.
    private async Task PauseAsync(Exception e, CancellationToken cancellation)
    {
        var failures = Interlocked.Increment(ref _failures);
        if (failures >= MostFailures)
            throw e as PullException ?? client.Unreachable(e, file.Name);
        var pause = e is PullException { RetryAfterSeconds: { } seconds }
            ? TimeSpan.FromSeconds(seconds)
            : FirstPause * Math.Pow(2, failures - 1);
        await Task.Delay(pause < LongestPause || e is PullException { RetryAfterSeconds: not null } ? pause : LongestPause, cancellation)
            .ConfigureAwait(false);
    }

    private static IncrementalHash BeginHash(PlannedFile file)
    {
        var isGit = file.Hash?.Length == 2 * SHA1.HashSizeInBytes;
        var hash = IncrementalHash.CreateHash(isGit ? HashAlgorithmName.SHA1 : HashAlgorithmName.SHA256);
        if (isGit)
            hash.AppendData(Encoding.ASCII.GetBytes($"blob {file.Size}\0"));
        return hash;
    }

    // Follows what has come without a gap: it is read back from the system's memory.
    private async Task<string> HashAsync(PartialFile partial, CancellationToken cancellation)
    {
        using var hash = BeginHash(file);
        var buffer = new byte[HashBytes];
        for (var at = 0L; at < file.Size;)
        {
            var there = partial.Contiguous(at);
            if (there == at)
            {
                await Task.Delay(HashPause, cancellation).ConfigureAwait(false);
                continue;
            }
            while (at < there)
            {
                cancellation.ThrowIfCancellationRequested();
                var count = partial.Read(buffer.AsSpan(0, (int)Math.Min(buffer.Length, there - at)), at);
                if (count <= 0)
                    throw new IOException($"{file.Name} ends too early on the disk");
                hash.AppendData(buffer.AsSpan(0, count));
                at += count;
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private sealed record Opened(int Piece, RegistryAnswer Answer, bool IsWhole);
}
