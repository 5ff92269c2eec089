using System.Buffers;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary><c>POST /api/generate</c>.</summary>
internal static class Generate
{
    public static void Map(RouteTable routes) => routes.MapPost("/api/generate", Handle, RoutePolicy.Recorded, name: "generate");

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        GenerateRequestBody.NoteFields(context, fields);
        var request = GenerateRequestBody.Read(fields, ModelResolver.LoggerOf(context), LlamaServerMode.Of(context));
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var name = lease.Entry.Name;
        var events = request.Run(lease, CacheControl.Use(context), MediaFields.LoaderOf(context), context.RequestAborted,
            ModelResolver.LoggerOf(context));
        if (request.Stream)
        {
            await SseResponse.SendAsync(context, events, new GenerateStreamWriter(name));
            return;
        }
        var answer = await Answer.CollectAsync(context, events);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("response", answer.Text);
            json.WriteString("model", name);
            NativeJson.WriteTail(json, answer.Start.Seed, answer.End);
            json.WriteEndObject();
        });
    }
}

/// <summary>The stream of <c>/api/generate</c>: <c>{token}</c> an event, then <c>{done:true, …}</c>.</summary>
internal sealed class GenerateStreamWriter(string model) : IStreamWriter
{
    private uint _seed;

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (outputEvent.Start is { } start)
        {
            _seed = start.Seed;
            return;
        }
        var text = outputEvent.Text;
        if (outputEvent.End is { } end)
            SseResponse.WriteData(output, json => NativeJson.WriteDone(json, model, _seed, end));
        else
            SseResponse.WriteData(output, json => NativeJson.WriteToken(json, text));
    }
}
