using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Shimmy.Http;

/// <summary>
/// Streams that outlive their client: one that is sent with <c>X-Conversation-Id</c> goes on when the client leaves, and what it said is
/// kept for a while, to be read again from any byte. A conversation has one stream at most; a new one ends the one before, once it says
/// something: one that is refused leaves it as it was. Thread-safe.
/// </summary>
internal sealed class ConversationStreams(TimeProvider time)
{
    /// <summary>The header that names the conversation.</summary>
    public const string Header = "X-Conversation-Id";

    // Those that have ended leave for new ones; where all go on, a new one has to wait.
    private const int MostStreams = 256;

    // Of one conversation, beside the one that it has.
    private const int MostWaiting = 8;

    private static readonly TimeSpan Kept = TimeSpan.FromSeconds(300);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, ConversationStream> _streams = new(StringComparer.Ordinal);

    /// <summary>Begins the stream of a request; null where it names no conversation.</summary>
    public static ConversationStream? Begin(HttpContext context)
    {
        if (context.Request.Headers[Header].ToString() is not { Length: > 0 } id)
            return null;
        var streams = context.RequestServices.GetRequiredService<ConversationStreams>();
        var stream = new ConversationStream(id, KeyOf(context, id), streams.Now);
        lock (streams._lock)
        {
            streams.Forget();
            if (!streams._streams.ContainsKey(stream.Key))
                streams.EvictOldest();
            stream.Before = streams._streams.GetValueOrDefault(stream.Key);
            var waiting = 0;
            for (var one = stream.Before; one is not null; one = one.Before)
                waiting++;
            if (waiting > MostWaiting)
                throw new ApiException(429, $"{MostWaiting} streams of this conversation wait; wait until one begins", "queue_full");
            streams._streams[stream.Key] = stream;
        }
        return stream;
    }

    /// <summary>The stream of a conversation of the request's client; null where there is none, or none any more.</summary>
    public ConversationStream? Find(HttpContext context, string id)
    {
        lock (_lock)
        {
            Forget();
            return _streams.GetValueOrDefault(KeyOf(context, id));
        }
    }

    /// <summary>Ends the stream of a conversation of the request's client and forgets it.</summary>
    public void Remove(HttpContext context, string id)
    {
        ConversationStream? stream;
        lock (_lock)
            _streams.Remove(KeyOf(context, id), out stream);
        stream?.Cancel();
    }

    /// <summary>Forgets a stream that never began, since its request was refused; the one before it is found again.</summary>
    public static void Drop(HttpContext context, ConversationStream stream)
    {
        var streams = context.RequestServices.GetRequiredService<ConversationStreams>();
        lock (streams._lock)
        {
            var later = streams._streams.GetValueOrDefault(stream.Key);
            if (later == stream)
            {
                streams._streams.Remove(stream.Key);
                if (stream.Before is { } before)
                    streams._streams.Add(stream.Key, before);
                stream.Before = null;
            }
            else
            {
                // One that has begun since comes behind the one before it now.
                while (later is not null && later.Before != stream)
                    later = later.Before;
                if (later is not null)
                    (later.Before, stream.Before) = (stream.Before, null);
            }
        }
        stream.Cancel();
    }

    /// <summary>The streams of a conversation, under its id and under those that begin with it and two colons.</summary>
    public IReadOnlyList<ConversationStream> Of(HttpContext context, string id)
    {
        var key = KeyOf(context, id);
        lock (_lock)
        {
            Forget();
            return [.. _streams.Values.Where(stream => stream.Key == key || stream.Key.StartsWith(key + "::", StringComparison.Ordinal))];
        }
    }

    private DateTimeOffset Now => time.GetUtcNow();

    // Clients choose the ids, and one client's are nothing to another.
    private static string KeyOf(HttpContext context, string id) => $"{RequestContext.Of(context).Client?.Name}\0{id}";

    private void Forget()
    {
        var now = Now;
        foreach (var (key, _) in _streams.Where(pair => pair.Value.EndedAt is { } ended && now - ended > Kept).ToArray())
            _streams.Remove(key);
    }

    private void EvictOldest()
    {
        while (_streams.Count >= MostStreams)
        {
            var oldest = _streams.Values.Where(stream => stream.EndedAt is not null).MinBy(stream => stream.EndedAt)
                ?? throw new ApiException(429, $"{MostStreams} streams that outlive their client go on; wait until one ends", "queue_full");
            _streams.Remove(oldest.Key);
        }
    }
}

/// <summary>One stream: the last 4 MiB that it has sent, and whether it goes on. Thread-safe.</summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Its source has no timer and no handle.")]
internal sealed class ConversationStream(string id, string key, DateTimeOffset startedAt)
{
    private const int Most = 4 << 20;

    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _cancel = new();
    private byte[] _ring = new byte[4 << 10];
    private TaskCompletionSource _news = New();

    /// <summary>The conversation.</summary>
    public string Id => id;

    /// <summary>The conversation with the client that it belongs to.</summary>
    public string Key => key;

    /// <summary>When it began.</summary>
    public DateTimeOffset StartedAt => startedAt;

    /// <summary>When it ended; null while it goes on.</summary>
    public DateTimeOffset? EndedAt { get; private set; }

    /// <summary>Bytes that it has said so far.</summary>
    public long Length { get; private set; }

    /// <summary>The first byte that is still there.</summary>
    public long First => Math.Max(0, Length - Most);

    /// <summary>Cancelled where somebody ends it.</summary>
    public CancellationToken Token => _cancel.Token;

    /// <summary>Whether a client has ended it before its end: nothing more is said then.</summary>
    public bool IsCancelled { get; private set; }

    /// <summary>The stream of the same conversation that this one ends with its first byte; null where there is none any more.</summary>
    public ConversationStream? Before { get; set; }

    /// <summary>Ends it before its end.</summary>
    public void Cancel()
    {
        for (var one = this; one is not null; one = one.Before)
        {
            one.IsCancelled = true;
            one.Stop();
            one.End();
        }
    }

    /// <summary>Ends what it sends, which may say why.</summary>
    public void Stop() => _cancel.Cancel();

    /// <summary>Adds bytes.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        TaskCompletionSource news;
        ConversationStream? ended;
        lock (_lock)
        {
            if (EndedAt is not null || bytes.IsEmpty)
                return;
            (ended, Before) = (Before, null);
            if (bytes.Length > Most)
            {
                Length += bytes.Length - Most;
                bytes = bytes[^Most..];
            }
            Grow(Math.Min(Most, Length + bytes.Length));
            var at = (int)(Length % _ring.Length);
            var before = Math.Min(bytes.Length, _ring.Length - at);
            bytes[..before].CopyTo(_ring.AsSpan(at));
            bytes[before..].CopyTo(_ring);
            Length += bytes.Length;
            (news, _news) = (_news, New());
        }
        news.TrySetResult();
        ended?.Cancel();
    }

    /// <summary>Marks the stream as complete.</summary>
    public void End()
    {
        lock (_lock)
            EndedAt ??= DateTimeOffset.UtcNow;
        _news.TrySetResult();
    }

    /// <summary>
    /// The bytes from an offset on that are there, and whether there will be more; null where they are gone. Waits for at least one.
    /// </summary>
    public async ValueTask<(byte[] Bytes, bool More)?> ReadAsync(long from, CancellationToken cancellation)
    {
        while (true)
        {
            Task news;
            lock (_lock)
            {
                if (from < First)
                    return null;
                if (from < Length)
                    return (Copy(from), true);
                if (EndedAt is not null)
                    return ([], false);
                news = _news.Task;
            }
            await news.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    // Sizes are powers of two up to the greatest; while the ring has never been full, its bytes lie from its beginning on.
    private void Grow(long needed)
    {
        if (needed <= _ring.Length)
            return;
        var size = _ring.Length;
        while (size < needed)
            size *= 2;
        Array.Resize(ref _ring, Math.Min(size, Most));
    }

    private byte[] Copy(long from)
    {
        var bytes = new byte[Length - from];
        var at = (int)(from % _ring.Length);
        var before = Math.Min(bytes.Length, _ring.Length - at);
        _ring.AsSpan(at, before).CopyTo(bytes);
        _ring.AsSpan(0, bytes.Length - before).CopyTo(bytes.AsSpan(before));
        return bytes;
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
