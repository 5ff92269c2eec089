using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;
using Shimmy.Server;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>The real server on a port of its own, before models that say what the test wants.</summary>
internal sealed class ServerFixture : IAsyncDisposable
{
    private ServerFixture(ShimmyServer server, ModelResidency residency)
    {
        Server = server;
        Residency = residency;
        // A client that leaves a stream is to leave at once, not to read on for the sake of its connection.
        Client = new HttpClient(new SocketsHttpHandler { ResponseDrainTimeout = TimeSpan.Zero })
        {
            BaseAddress = server.Address,
            Timeout = TimeSpan.FromSeconds(30)
        };
    }

    public ShimmyServer Server { get; }

    /// <summary>The models in memory.</summary>
    public ModelResidency Residency { get; }

    /// <summary>Sends to it; paths have no leading slash.</summary>
    public HttpClient Client { get; }

    /// <summary>A server on scripted models.</summary>
    public static Task<ServerFixture> StartAsync(
        ScriptedEngine? engine = null, ServerOptions? options = null, ILoggerFactory? loggers = null, params string[] models) =>
        StartAsync(engine ?? new ScriptedEngine(), SpecOf, options, loggers,
            models.Length == 0 ? ["talker"] : models, name => $"/nowhere/{name}.gguf");

    /// <summary>A server on any engine.</summary>
    public static Task<ServerFixture> StartAsync(IInferenceEngine engine, Func<ModelEntry, ModelSpec> specOf,
        ServerOptions? options, ILoggerFactory? loggers, IEnumerable<string> models, Func<string, string> pathOf)
    {
        var registry = new ModelRegistry(new ModelDiscovery([]));
        foreach (var name in models)
            registry.Register(new ModelEntry { Name = name, Path = pathOf(name) });
        return StartAsync(engine, registry, specOf, options, loggers);
    }

    /// <summary>A server on any engine, before any models.</summary>
    public static async Task<ServerFixture> StartAsync(IInferenceEngine engine, ModelRegistry registry,
        Func<ModelEntry, ModelSpec>? specOf = null, ServerOptions? options = null, ILoggerFactory? loggers = null)
    {
        var residency =
            new ModelResidency([engine], specOf ?? SpecOf, TimeProvider.System,
                ResidencyRun.Unmeasured);
        var server =
            await ShimmyServer.StartAsync(
                (options ?? new ServerOptions()) with { Binds = options?.Binds is { } binds and not ["auto"] ? binds : ["0"] },
            registry, residency, loggers ?? NullLoggerFactory.Instance, CancellationToken.None);
        return new ServerFixture(server, residency);
    }

    /// <summary>Posts JSON.</summary>
    public Task<HttpResponseMessage> PostAsync(string path, string json) =>
        Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));

    /// <summary>Gets JSON, which must be a success.</summary>
    public async Task<JsonElement> JsonAsync(string path) => JsonElement.Parse(await Client.GetStringAsync(path));

    /// <summary>Posts JSON and gives the whole answer, which must be a success.</summary>
    public async Task<string> AnswerAsync(string path, string json)
    {
        using var answer = await PostAsync(path, json);
        var body = await answer.Content.ReadAsStringAsync();
        return answer.IsSuccessStatusCode ? body : throw new InvalidOperationException($"{(int)answer.StatusCode}: {body}");
    }

    /// <summary>Posts JSON and reads only the header of the answer.</summary>
    public Task<HttpResponseMessage> OpenAsync(string path, string json, CancellationToken cancellation = default) =>
        Client.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") },
            HttpCompletionOption.ResponseHeadersRead, cancellation);

    /// <summary>Sends bytes as they are and reads until the server closes the connection.</summary>
    public async Task<string> RawAsync(byte[] request)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(Server.Address.Host, Server.Address.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(request);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var answer = new MemoryStream();
        await stream.CopyToAsync(answer, limit.Token);
        return Encoding.UTF8.GetString(answer.ToArray());
    }

    /// <inheritdoc cref="RawAsync(byte[])"/>
    public Task<string> RawAsync(string request) => RawAsync(Encoding.UTF8.GetBytes(request));

    /// <summary>Opens <c>/ws/generate</c>.</summary>
    public async Task<ClientWebSocket> ConnectAsync(string? origin = null)
    {
        var socket = new ClientWebSocket();
        if (origin is not null)
            socket.Options.SetRequestHeader("Origin", origin);
        await socket.ConnectAsync(new UriBuilder(Server.Address) { Scheme = "ws", Path = "/ws/generate" }.Uri, CancellationToken.None);
        return socket;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
        await Residency.DisposeAsync();
    }

    private static ModelSpec SpecOf(ModelEntry entry) => new() { Name = entry.Name, Path = entry.Path, ContextLength = 64 };
}

/// <summary>What tests say of answers.</summary>
internal static class Answers
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>The body as JSON.</summary>
    public static async Task<JsonElement> JsonAsync(this HttpResponseMessage answer)
    {
        using var document = JsonDocument.Parse(await answer.Content.ReadAsByteArrayAsync());
        return document.RootElement.Clone();
    }

    public static async Task SendAsync(this ClientWebSocket socket, string text)
    {
        using var limit = new CancellationTokenSource(Limit);
        await socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, endOfMessage: true, limit.Token);
    }

    /// <summary>The next text frame; null where the server closed the socket.</summary>
    public static async Task<string?> ReceiveAsync(this ClientWebSocket socket)
    {
        using var limit = new CancellationTokenSource(Limit);
        var buffer = new byte[1 << 16];
        var received = await socket.ReceiveAsync(buffer, limit.Token);
        if (received.MessageType == WebSocketMessageType.Close)
            return null;
        if (received is not { MessageType: WebSocketMessageType.Text, EndOfMessage: true })
        {
            throw new InvalidOperationException(
                $"a whole frame of text was expected, not {received.MessageType}, end {received.EndOfMessage}");
        }

        return Encoding.UTF8.GetString(buffer, 0, received.Count);
    }

    /// <summary>The frames of one answer, the last with <c>done</c> or <c>error</c>.</summary>
    public static async Task<List<string>> AnswerAsync(this ClientWebSocket socket)
    {
        var frames = new List<string>();
        while (frames.Count == 0 || frames[^1].StartsWith("{\"token\":", StringComparison.Ordinal))
        {
            frames.Add(await socket.ReceiveAsync()
                ?? throw new InvalidOperationException("the socket was closed after " + string.Join(' ', frames)));
        }

        return frames;
    }
}
