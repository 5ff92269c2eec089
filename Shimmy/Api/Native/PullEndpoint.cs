using System.Buffers;
using System.Text.Json;
using Shimmy.Http;
using Shimmy.Models.Pull;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /api/models/pull</c>: brings a model from a registry, with how far it is as server-sent events. A client that leaves ends the
/// pull, unless another follows it; what came by then is kept for the next.
/// </summary>
internal static class PullEndpoint
{
    public static void Map(RouteTable routes) => routes.MapPost("/api/models/pull", context => PullStream.HandleAsync(context,
        ofOllama: false, Events.Instance, pulled => JsonResponse.WriteAsync(context, json => WriteDone(json, pulled))));

    /// <summary>Writes how far a pull is.</summary>
    public static void WriteStep(Utf8JsonWriter json, string? model, PullStep step)
    {
        json.WriteStartObject();
        if (model is not null)
            json.WriteString("model", model);
        json.WriteString("status", step.Stage switch
        {
            PullStage.Queued => "queued",
            PullStage.Resolving => "resolving",
            PullStage.Waiting => "waiting",
            PullStage.Fetching => "fetching",
            PullStage.Checking => "checking",
            _ => "finishing",
        });
        json.WriteString("file", step.File?.Name);
        json.WriteNumber("completed_bytes", step.Done);
        json.WriteNumber("total_bytes", step.Total);
        json.WriteEndObject();
    }

    private static void WriteDone(Utf8JsonWriter json, PulledModel pulled)
    {
        json.WriteStartObject();
        json.WriteBoolean("done", true);
        json.WriteString("model", pulled.Plan.Name);
        json.WriteString("path", pulled.Plan.Entries[0]);
        json.WriteNumber("total_bytes", pulled.Plan.Bytes);
        json.WriteNumber("fetched_bytes", pulled.Fetched);
        json.WriteEndObject();
    }

    private sealed class Events : IPullWriter
    {
        public static Events Instance { get; } = new();

        public string ContentType => SseResponse.EventStream;

        public void WriteStep(IBufferWriter<byte> output, PullStep step) =>
            SseResponse.WriteData(output, json => PullEndpoint.WriteStep(json, null, step));

        public void WriteDone(IBufferWriter<byte> output, PulledModel pulled) =>
            SseResponse.WriteData(output, json => PullEndpoint.WriteDone(json, pulled));

        public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect) =>
            SseResponse.WriteError(output, error, dialect);
    }
}
