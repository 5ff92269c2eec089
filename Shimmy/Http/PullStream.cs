using System.Buffers;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Models.Pull;

namespace Shimmy.Http;

/// <summary>The writer of a pull's progress in the form of a dialect.</summary>
internal interface IPullWriter
{
    /// <summary>The content type of the stream.</summary>
    string ContentType { get; }

    /// <summary>Writes how far it is; may be nothing.</summary>
    void WriteStep(IBufferWriter<byte> output, PullStep step);

    /// <summary>Writes that it is done.</summary>
    void WriteDone(IBufferWriter<byte> output, PulledModel pulled);

    /// <summary>Writes why it broke off, in the form of a dialect, which is the route's or the server's.</summary>
    void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect);
}

/// <summary>Answers a request for a pull in any dialect: at its end, or with each step.</summary>
internal static class PullStream
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan QueuedPace = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Pulls what the request names (<c>model</c>, or <c>name</c> as Ollama's older clients have it). What fails before the registry has
    /// said what there is has a status of its own, unless it waits for another pull: then the answer begins, and says so.
    /// </summary>
    /// <param name="context">The request.</param>
    /// <param name="ofOllama">Whether a name of two parts is Ollama's.</param>
    /// <param name="writer">Writes the stream.</param>
    /// <param name="whole">Writes the answer to a request that does not stream.</param>
    /// <param name="checkUnread">Checks the fields that are not read here; null refuses them.</param>
    public static async Task HandleAsync(
        HttpContext context, bool ofOllama, IPullWriter writer, Func<PulledModel, Task> whole, Action<RequestFields>? checkUnread = null)
    {
        var pulls = ServiceOf(context);
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var older = fields.Text("name");
        var name = fields.Text("model") ?? older
            ?? throw ApiException.BadField("model", "is missing; a string is required", "missing_required_parameter");
        var streams = fields.Flag("stream") ?? true;
        var isInsecure = checkUnread is not null && fields.Flag("insecure") == true;
        checkUnread?.Invoke(fields);
        if (checkUnread is null && fields.Names.FirstOrDefault(field => field is not ("model" or "name" or "stream")) is { } unknown)
            throw ApiException.BadField(unknown, "is not a known field; model, stream are");
        if (isInsecure)
            throw ApiException.BadField("insecure", "must be false: without TLS (http) nobody can tell who sent the model", "unsupported_value");
        RequestContext.Of(context).RequestedModel = name;
        var run = pulls.Begin(name, ofOllama, out var follower);
        using var following = follower;
        if (!streams)
        {
            await whole(await run.Done.WaitAsync(context.RequestAborted));
            return;
        }
        do
        {
            await Task.WhenAny(run.Begun, Task.Delay(QueuedPace, context.RequestAborted));
            context.RequestAborted.ThrowIfCancellationRequested();
        }
        while (!run.Begun.IsCompleted && run.Latest.Stage != PullStage.Queued);
        if (run.Done.IsFaulted || run.Done.IsCanceled)
            await run.Done;
        await SendAsync(context, run, writer);
    }

    /// <summary>The server's pulls; throws <see cref="ApiException"/> (501) where it has none.</summary>
    public static PullService ServiceOf(HttpContext context) => context.RequestServices.GetService<PullService>()
        ?? throw new ApiException(501, "this server was started with the one model that it serves, and pulls none", "not_supported");

    private static async Task SendAsync(HttpContext context, PullRun run, IPullWriter writer)
    {
        SseResponse.SetHeaders(context, writer.ContentType);
        var output = context.Response.BodyWriter;
        try
        {
            while (!run.Done.IsCompleted)
            {
                var step = run.Latest;
                writer.WriteStep(output, step);
                await SseResponse.FlushAsync(output, context.RequestAborted);
                await Task.WhenAny(run.Done,
                    Task.Delay(step.Stage == PullStage.Queued ? QueuedPace : Pace, context.RequestAborted));
                context.RequestAborted.ThrowIfCancellationRequested();
            }
            var pulled = await run.Done;
            writer.WriteStep(output, run.Latest);
            writer.WriteDone(output, pulled);
            await SseResponse.FlushAsync(output, context.RequestAborted);
        }
        catch (Exception e) when (!ClientConnection.IsGone(context))
        {
            var error = ApiError.Of(e, context);
            writer.WriteError(output, error ?? ApiError.Internal, SseResponse.DialectOf(context));
            await SseResponse.FlushAsync(output, ClientConnection.Token(context));
            throw new StreamBrokenException(e, isOurFault: error is null);
        }
    }
}
