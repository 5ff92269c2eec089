using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Pull;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Ollama;

/// <summary>
/// Ollama's routes that change its store. The files here belong to those that brought them: a copy is a further name, kept until the server
/// ends; to delete takes back such a name, or removes what was pulled; and nothing is created.
/// </summary>
internal static class Management
{
    private const int LongestName = 255;

    public static void Map(RouteTable routes)
    {
        routes.MapPost("/api/copy", HandleCopy);
        routes.Map(HttpMethods.Delete, "/api/delete", HandleDelete);
        routes.MapPost("/api/pull", context => PullStream.HandleAsync(context, ofOllama: true, new PullLines(),
            _ => JsonResponse.WriteAsync(context, json => PullLines.Status(json, "success")),
            fields => UnreadFields.Check(fields, ModelResolver.LoggerOf(context))));
        routes.MapPost("/api/create", context => RefuseAsync(context,
            "models are not created here; the configuration file (SHIMMY_CONFIG) gives a model its template and parameters"));
        routes.MapPost("/api/blobs/{digest}", context => RefuseAsync(context,
            "files are not uploaded; put them into one of the folders that shimmy discover shows"));
        routes.Map(HttpMethods.Head, "/api/blobs/{digest}", HandleBlob);
    }

    private static async Task HandleCopy(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var source = fields.RequiredText("source");
        var name = OllamaJson.Untagged(fields.RequiredText("destination").Trim());
        if (name.Length == 0 || Wildcard.Is(name) || name.Any(c => char.IsControl(c) || char.IsWhiteSpace(c)))
            throw ApiException.BadField("destination", $"must be a name without blanks, * and ?, not {RequestFields.Quote(name)}");
        if (name.Length > LongestName)
            throw ApiException.BadField("destination", $"has {name.Length} characters; at most {LongestName} are allowed");
        var entry = await FindModelAsync(context, source);
        if (!context.RequestServices.GetRequiredService<ModelRegistry>().AddCopy(name, entry))
        {
            throw ApiException.BadField("destination",
                $"{RequestFields.Quote(name)} is the name of another model or alias, or 1000 copies were made");
        }
    }

    private static async Task HandleDelete(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var name = fields.Text("model") ?? fields.Text("name")
            ?? throw ApiException.BadField("model", "is missing; a string is required", "missing_required_parameter");
        if (context.RequestServices.GetRequiredService<ModelRegistry>().RemoveCopy(OllamaJson.Untagged(name)))
            return;
        var entry = await FindModelAsync(context, name);
        if (context.RequestServices.GetService<PullService>() is { } pulls && pulls.HasPulled(name, entry))
        {
            await context.RequestServices.GetRequiredService<ModelResidency>().UnloadAsync(entry.Name, context.RequestAborted);
            await pulls.RemoveAsync(name, entry, context.RequestAborted);
            return;
        }
        if (!entry.IsCalled(name))
        {
            throw new ApiException(403, $"model {RequestFields.Quote(name)} is not deleted: it is another name of "
                + $"{RequestFields.Quote(entry.Name)}, which is deleted by its own", "not_ours", "model");
        }
        throw new ApiException(403, $"model {RequestFields.Quote(name)} is not deleted: its file is not Shimmy's own; "
            + (entry.Manifest is not null ? $"'ollama rm {entry.Name}' removes it" : $"remove {entry.Path} by hand"), "not_ours", "model");
    }

    // An adapter has a name, and is no model to copy or delete: that would be its base.
    private static async Task<ModelEntry> FindModelAsync(HttpContext context, string name)
    {
        var (entry, adapter) = await ModelResolver.FindAsync(context, name, context.RequestAborted);
        return adapter is null ? entry : throw new ApiException(404, $"{RequestFields.Quote(name)} is an adapter of "
            + $"{RequestFields.Quote(entry.Name)}, and no model that can be copied or deleted", "model_not_found", "model");
    }

    private static Task RefuseAsync(HttpContext context, string reason) =>
        throw new ApiException(501, $"{context.Request.Path}: {reason}", "not_implemented");

    // Whether a file of this digest is there: one of Ollama's store, or one whose digest is known already.
    private static async Task HandleBlob(HttpContext context)
    {
        var digest = ModelResolver.NameInPath(context, "digest").Replace("sha256-", "sha256:", StringComparison.Ordinal);
        var models = await ModelResolver.ListedAsync(context);
        var digests = context.RequestServices.GetRequiredService<FileDigests>();
        context.Response.StatusCode = models.Any(entry => entry.Manifest is not null
            ? Path.GetFileName(entry.Path) == digest.Replace(':', '-')
            : digests.Of(entry) is { Length: > 0 } known && digest == $"sha256:{known}") ? 200 : 404;
    }
}

/// <summary>Ollama's lines of a pull: one for the manifest, those of each layer with its digest, and the last ones.</summary>
internal sealed class PullLines : IPullWriter
{
    private const int ShownDigits = 12;

    private readonly HashSet<PlannedFile> _complete = [];
    private bool _begun;

    public string ContentType => SseResponse.JsonLines;

    public void WriteStep(IBufferWriter<byte> output, PullStep step)
    {
        if (step.Stage == PullStage.Queued)
        {
            SseResponse.WriteLine(output, json => Status(json, "queued"));
            return;
        }
        if (!_begun)
            SseResponse.WriteLine(output, json => Status(json, "pulling manifest"));
        _begun = true;
        if (step.File is { } file)
            WriteLayer(output, file, step.FileDone);
    }

    // Small layers come and go between two steps.
    public void WriteDone(IBufferWriter<byte> output, PulledModel pulled)
    {
        foreach (var file in pulled.Plan.Files)
        {
            if (!_complete.Contains(file))
                WriteLayer(output, file, file.Size);
        }
        foreach (var status in (string[])["verifying sha256 digest", "writing manifest", "success"])
            SseResponse.WriteLine(output, json => Status(json, status));
    }

    public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect) => OllamaJson.WriteError(output, error, dialect);

    /// <summary>Writes a line that says no more than what is done.</summary>
    public static void Status(Utf8JsonWriter json, string status)
    {
        json.WriteStartObject();
        json.WriteString("status", status);
        json.WriteEndObject();
    }

    private void WriteLayer(IBufferWriter<byte> output, PlannedFile file, long done)
    {
        if (done == file.Size)
            _complete.Add(file);
        SseResponse.WriteLine(output, json =>
        {
            json.WriteStartObject();
            json.WriteString("status", $"pulling {(file.Hash is { } hash ? hash[..ShownDigits] : file.Name)}");
            if (file.Hash is { } digest)
                json.WriteString("digest", $"{(digest.Length == 64 ? "sha256" : "sha1")}:{digest}");
            json.WriteNumber("total", file.Size);
            json.WriteNumber("completed", done);
            json.WriteEndObject();
        });
    }
}
