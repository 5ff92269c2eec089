using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;

namespace Shimmy.Http;

/// <summary>Writer of one dialect's stream: an event in, bytes out. Pure, so that transcripts can be tested without a socket.</summary>
internal interface IStreamWriter
{
    /// <summary>Writes what the dialect says for an event; may be nothing.</summary>
    void Write(IBufferWriter<byte> output, in OutputEvent outputEvent);

    /// <summary>The content type of the stream.</summary>
    string ContentType => SseResponse.EventStream;

    /// <summary>Longest silence of a stream before <see cref="WritePing"/>; null where the dialect has no such event.</summary>
    TimeSpan? PingAfter => null;

    /// <summary>Writes the dialect's sign of life; a comment where it has none of its own.</summary>
    void WritePing(IBufferWriter<byte> output) => output.Write(":\n\n"u8);

    /// <summary>Writes the error event in the form of a dialect, which is the route's or the server's; the stream ends after it.</summary>
    void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect) => SseResponse.WriteError(output, error, dialect);
}

/// <summary>
/// Runs an answer into a response as server-sent events (WHATWG HTML, 9.2), or as lines of JSON where the dialect's writer says so.
/// </summary>
internal static class SseResponse
{
    /// <summary>The content type of server-sent events.</summary>
    public const string EventStream = "text/event-stream; charset=utf-8";

    private static readonly TimeSpan LongestLeaving = TimeSpan.FromSeconds(2);

    /// <summary>The content type of lines of JSON, one for each event.</summary>
    public const string JsonLines = "application/x-ndjson";

    /// <summary>
    /// Sends the events; those of an answer that outlives its client inside <see cref="OutliveAsync"/>. What goes wrong before the first is
    /// thrown, so that the client gets a status; what goes wrong after it is sent as the dialect's error event and thrown as
    /// <see cref="StreamBrokenException"/>, so that the connection ends without the body's end.
    /// </summary>
    public static async Task SendAsync(HttpContext context, IAsyncEnumerable<OutputEvent> events, IStreamWriter writer,
        ConversationStream? outlives = null)
    {
        if (outlives is not null)
        {
            await SendOutlivingAsync(context, events, writer, outlives).ConfigureAwait(false);
            return;
        }

        using var generation = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        await using var enumerator = events.GetAsyncEnumerator(generation.Token);
        var more = await enumerator.MoveNextAsync().ConfigureAwait(false);
        SetHeaders(context, writer.ContentType);
        var output = context.Response.BodyWriter;
        try
        {
            while (more)
            {
                var outputEvent = enumerator.Current;
                RequestContext.Of(context).Note(outputEvent);
                writer.Write(output, outputEvent);
                var next = enumerator.MoveNextAsync();
                // Events that are there already go out together; only a pause is worth a system call.
                more = next.IsCompleted
                    ? await next.ConfigureAwait(false)
                    : await FlushMeanwhileAsync(output, next.AsTask(), writer, generation).ConfigureAwait(false);
            }
            await FlushAsync(output, context.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception e) when (!ClientConnection.IsGone(context))
        {
            var error = ApiError.Of(e, context);
            writer.WriteError(output, error ?? ApiError.Internal, DialectOf(context));
            await FlushAsync(output, ClientConnection.Token(context)).ConfigureAwait(false);
            throw new StreamBrokenException(e, isOurFault: error is null);
        }
    }

    /// <summary>The headers of a stream.</summary>
    public static void SetHeaders(HttpContext context, string contentType = EventStream)
    {
        context.Response.ContentType = contentType;
        context.Response.Headers.CacheControl = "no-cache";
        // Reverse proxies such as nginx hold a stream back without it.
        context.Response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>
    /// Runs all of an answer that outlives its client, the load of its model included; <paramref name="send"/> ends with
    /// <see cref="SendAsync"/>. What goes wrong is the end of the stream, for a client that has left and reads it later. Only a request
    /// that is refused before anything was said, to a client that is there, leaves no stream.
    /// </summary>
    public static async Task OutliveAsync(HttpContext context, ConversationStream stream, Func<Task> send)
    {
        // The server's end and a deadline end it, the client's leaving does not.
        using var ended = ClientConnection.ServersEnd(context).Register(stream.Stop);
        try
        {
            await send().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            var cause = stream.IsCancelled
                ? new ApiException(409, "the stream was ended: by DELETE /v1/stream, or by a new one of its conversation", "stream_ended")
                : e;
            var error = ApiError.Of(cause, context);
            var isGone = ClientConnection.IsGone(context);
            var output = new ArrayBufferWriter<byte>(256);
            WriteError(output, error ?? ApiError.Internal, DialectOf(context));
            if (stream.Length > 0)
                await PassAsync(context, output, stream).ConfigureAwait(false);
            // A load that failed is reported to who reads the stream again, where that ends no other that goes on.
            else if (!isGone && (error is { Status: < 500 and not 422 } || stream.Before is { EndedAt: null }))
                ConversationStreams.Drop(context, stream);
            else
                stream.Write(output.WrittenSpan);
            if (stream.Length > 0 && (isGone || context.Response.HasStarted))
                throw new StreamBrokenException(cause, isOurFault: error is null);
            if (cause != e)
                throw cause;
            throw;
        }
        finally
        {
            stream.End();
        }
    }

    // What the client gets is kept beside it, and goes on when the client leaves.
    private static async Task SendOutlivingAsync(
        HttpContext context, IAsyncEnumerable<OutputEvent> events, IStreamWriter writer, ConversationStream stream)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        await using var enumerator = events.GetAsyncEnumerator(stream.Token);
        var more = await enumerator.MoveNextAsync().ConfigureAwait(false);
        SetHeaders(context, writer.ContentType);
        while (more)
        {
            RequestContext.Of(context).Note(enumerator.Current);
            writer.Write(output, enumerator.Current);
            await PassAsync(context, output, stream).ConfigureAwait(false);
            var next = enumerator.MoveNextAsync().AsTask();
            while (writer.PingAfter is { } silence && !await EndsWithinAsync(next, silence, CancellationToken.None).ConfigureAwait(false))
            {
                writer.WritePing(output);
                await PassAsync(context, output, stream).ConfigureAwait(false);
            }
            more = await next.ConfigureAwait(false);
        }
    }

    private static async ValueTask PassAsync(HttpContext context, ArrayBufferWriter<byte> output, ConversationStream stream)
    {
        stream.Write(output.WrittenSpan);
        if (!ClientConnection.IsGone(context))
        {
            try
            {
                await context.Response.Body.WriteAsync(output.WrittenMemory, ClientConnection.Token(context)).ConfigureAwait(false);
                await context.Response.Body.FlushAsync(ClientConnection.Token(context)).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException)
            {
                // The client left in the middle of it, and may read the rest later.
            }
            catch (InvalidOperationException)
            {
                // The response may be completed before it shows that its client is gone.
                await Task.Delay(LongestLeaving, ClientConnection.Token(context)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (!ClientConnection.IsGone(context))
                    throw;
            }
        }
        output.ResetWrittenCount();
    }

    /// <summary>Frames a JSON value as one event; <paramref name="write"/> writes the value.</summary>
    public static void WriteData(IBufferWriter<byte> output, Action<Utf8JsonWriter> write)
    {
        output.Write("data: "u8);
        using (var json = new Utf8JsonWriter(output, JsonText.WriterOptions))
            write(json);
        output.Write("\n\n"u8);
    }

    /// <summary>Frames the body of a dialect's error as an event without a name.</summary>
    public static void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect, string? requestId = null)
    {
        output.Write("data: "u8);
        output.Write(dialect.ErrorBody(error, requestId));
        output.Write("\n\n"u8);
    }

    /// <summary>Writes a JSON value as a line of its own; <paramref name="write"/> writes the value.</summary>
    public static void WriteLine(IBufferWriter<byte> output, Action<Utf8JsonWriter> write)
    {
        using (var json = new Utf8JsonWriter(output, JsonText.WriterOptions))
            write(json);
        output.Write("\n"u8);
    }

    /// <summary>The dialect of an answer's errors: those in the middle of a stream have the form of those before it.</summary>
    public static Dialect DialectOf(HttpContext context) => RequestContext.Of(context).Match!.Dialect;

    // An enumeration may not be left in the middle of a move: where the client cannot be written to, the move is ended first.
    private static async Task<bool> FlushMeanwhileAsync(PipeWriter output, Task<bool> next,
        IStreamWriter writer, CancellationTokenSource generation)
    {
        try
        {
            await FlushAsync(output, generation.Token).ConfigureAwait(false);
            while (writer.PingAfter is { } silence && !await EndsWithinAsync(next, silence, generation.Token).ConfigureAwait(false))
            {
                writer.WritePing(output);
                await FlushAsync(output, generation.Token).ConfigureAwait(false);
            }
        }
        catch
        {
            await generation.CancelAsync().ConfigureAwait(false);
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
        return await next.ConfigureAwait(false);
    }

    private static async Task<bool> EndsWithinAsync(Task next, TimeSpan time, CancellationToken cancellation)
    {
        try
        {
            await next.WaitAsync(time, cancellation).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException) when (!next.IsCompleted)
        {
            return false;
        }
    }

    /// <summary>Sends what was written. Throws <see cref="OperationCanceledException"/> where the client is gone.</summary>
    public static async Task FlushAsync(PipeWriter output, CancellationToken cancellation)
    {
        var flushed = await output.FlushAsync(cancellation).ConfigureAwait(false);
        if (flushed.IsCompleted)
            throw new OperationCanceledException("the client is gone");
    }
}

/// <summary>
/// A stream broke off after its error event was sent. Thrown through to Kestrel, which then sends what was written and closes the
/// connection without the end of the body: clients that know no error events (OpenAI's of .NET) see that the answer is not whole.
/// </summary>
internal sealed class StreamBrokenException(Exception cause, bool isOurFault) : Exception(cause.Message, cause)
{
    /// <summary>Whether the cause is a fault of the server, which the log gets and the client does not.</summary>
    public bool IsOurFault { get; } = isOurFault;
}
