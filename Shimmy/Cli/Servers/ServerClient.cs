using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Servers;

/// <summary>A running server, asked over HTTP. Every failure is a <see cref="CommandException"/> with the address in it.</summary>
internal sealed class ServerClient : IDisposable
{
    private static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(30);

    private readonly HttpClient _http;

    /// <summary>One at an address.</summary>
    public ServerClient(Uri address, string? key)
    {
        Address = address.Scheme == "unix" ? address.OriginalString : address.AbsoluteUri.TrimEnd('/');
        var handler = new SocketsHttpHandler { UseProxy = false };
        if (address.Scheme == "unix")
        {
            handler.ConnectCallback = async (_, cancellation) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.AbsolutePath), cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            };
        }
        _http = new HttpClient(handler)
        {
            BaseAddress = new Uri(address.Scheme == "unix" ? "http://localhost/" : Address + "/"), Timeout = LongestAnswer,
        };
        if (key is not null)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    /// <summary>Where it is, without a slash at the end.</summary>
    public string Address { get; }

    /// <summary>
    /// The servers that a command asks: the one that <c>--url</c> names, else those that this user has started and that answer. Throws
    /// where there is none.
    /// </summary>
    public static async Task<IReadOnlyList<ServerClient>> FindAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (options.Url is { } url)
            return [new ServerClient(url, options.ClientKey)];
        var answering = new List<ServerClient>();
        foreach (var address in ServerFile.Running(HostEnvironment.Current()))
        {
            var client = new ServerClient(address, options.ClientKey);
            if (await client.AnswersAsync(cancellation))
                answering.Add(client);
            else
                client.Dispose();
        }
        return answering;
    }

    /// <summary>What is said where no server runs.</summary>
    public static CommandException NoServer() => new(ExitCode.Failed,
        "no server of this user runs here; shimmy serve starts one, --url or SHIMMY_URL names one elsewhere");

    /// <summary>Asks for a resource, or does something with it, and gives the answer.</summary>
    public async Task<JsonDocument> AskAsync(HttpMethod method, string path, CancellationToken cancellation)
    {
        try
        {
            using var request = new HttpRequestMessage(method, path);
            using var answer = await _http.SendAsync(request, cancellation);
            var text = await answer.Content.ReadAsStringAsync(cancellation);
            if (!answer.IsSuccessStatusCode)
                throw new CommandException(ExitCode.Failed, $"{Address} answers {(int)answer.StatusCode}: {ErrorIn(text)}");
            return JsonDocument.Parse(text);
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or IOException
            || (e is TaskCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new CommandException(ExitCode.Failed, $"no server of Shimmy answers at {Address}: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<bool> AnswersAsync(CancellationToken cancellation)
    {
        try
        {
            using var answer = await _http.GetAsync("health", cancellation);
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return false;
        }
    }

    private static string ErrorIn(string text)
    {
        try
        {
            using var body = JsonDocument.Parse(text);
            var error = body.RootElement.GetProperty("error");
            return (error.ValueKind == JsonValueKind.String ? error : error.GetProperty("message")).GetString() ?? text;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return text.Length > 200 ? text[..200] : text;
        }
    }
}
