using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary><c>POST /detokenize</c>: the text of <c>tokens</c>, special ones included (llama.cpp's answer <c>{content}</c>).</summary>
internal static class Detokenize
{
    public static void Map(RouteTable routes) => routes.MapPost("/detokenize", Handle, RoutePolicy.Recorded);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var given = fields.List("tokens")
            ?? throw ApiException.BadField("tokens", "is missing; an array of token numbers is required", "missing_required_parameter");
        var tokens = given.Select((token, i) => Token(token, i)).ToArray();
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var last = lease.Model.Facts.VocabularySize - 1;
        var outside = Array.FindIndex(tokens, token => token > last);
        if (outside >= 0)
            throw ApiException.BadField($"tokens[{outside}]", $"must be a token of this model, 0 to {last}, not {tokens[outside]}");
        var text = Encoding.UTF8.GetString((await lease.Model.DetokenizeAsync(tokens, context.RequestAborted)).Span);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("content", text);
            json.WriteEndObject();
        });
    }

    private static int Token(JsonElement value, int index) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var token) && token >= 0
            ? token
            : throw ApiException.BadField($"tokens[{index}]", $"must be a token number, 0 or more, not {RequestFields.Describe(value)}");
}
