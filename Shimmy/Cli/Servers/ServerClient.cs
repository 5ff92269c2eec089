using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Servers;

/// <summary>A running server, asked over HTTP. Every failure is a <see cref="CommandException"/> with the address in it.</summary>
internal sealed class ServerClient : IDisposable
{
    /// <summary>For clients that refuse to start without a key: any is accepted where none is set.</summary>
    public const string AnyKey = "shimmy";

    /// <summary>How long an answer may take that computes little.</summary>
    public static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(30);

    private const string DataPrefix = "data: ";

    private static readonly TimeSpan LongestSignOfLife = TimeSpan.FromSeconds(5);

    private readonly HttpClient _http;

    /// <summary>One at an address.</summary>
    public ServerClient(Uri address, string? key)
    {
        Address = address.Scheme == "unix" ? address.OriginalString : address.AbsoluteUri.TrimEnd('/');
        _http = Outbound.Client(proxy: false, address.Scheme == "unix" ? ConnectToFileAsync : null);
        _http.BaseAddress = new Uri(address.Scheme == "unix" ? "http://localhost/" : Address + "/");
        if (key is not null)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);

        async ValueTask<Socket> ConnectToFileAsync(DnsEndPoint host, CancellationToken cancellation)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.AbsolutePath), cancellation);
            return socket;
        }
    }

    /// <summary>The server's URL, without a slash at the end.</summary>
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

    /// <summary>The error where no server runs.</summary>
    public static CommandException NoServer() => new(ExitCode.Failed,
        "no server of this user runs here; shimmy serve starts one, --url or SHIMMY_URL names one elsewhere");

    /// <summary>
    /// Asks for a resource, or does something with it, and gives the answer. Throws <see cref="ServerRefusal"/> where the server refuses.
    /// </summary>
    public Task<JsonDocument> AskAsync(HttpMethod method, string path, CancellationToken cancellation) =>
        AskAsync(method, path, null, LongestAnswer, cancellation);

    /// <summary>The same with a body, and with time for what takes long, as the load of a model.</summary>
    public async Task<JsonDocument> AskAsync(
        HttpMethod method, string path, JsonObject? body, TimeSpan limit, CancellationToken cancellation)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        ending.CancelAfter(limit);
        try
        {
            using var answer = await SendAsync(method, path, body, HttpCompletionOption.ResponseContentRead, ending.Token);
            return JsonDocument.Parse(await answer.Content.ReadAsStringAsync(ending.Token));
        }
        catch (Exception e) when (IsFailure(e, cancellation))
        {
            throw Unreachable(e);
        }
    }

    /// <summary>
    /// The server-sent events of an answer, each as its JSON, which lives until the next. Throws <see cref="ServerRefusal"/> where the
    /// server refuses, also in the middle of the stream.
    /// </summary>
    public async IAsyncEnumerable<JsonElement> StreamAsync(
        string path, JsonObject body, [EnumeratorCancellation] CancellationToken cancellation)
    {
        HttpResponseMessage answer;
        Stream stream;
        try
        {
            answer = await SendAsync(HttpMethod.Post, path, body, HttpCompletionOption.ResponseHeadersRead, cancellation);
            stream = await answer.Content.ReadAsStreamAsync(cancellation);
        }
        catch (Exception e) when (IsFailure(e, cancellation))
        {
            throw Unreachable(e);
        }
        using (answer)
        {
            using var lines = new StreamReader(stream);
            while (await NextAsync(lines) is { } line)
            {
                if (!line.StartsWith(DataPrefix, StringComparison.Ordinal))
                    continue;
                if (line.AsSpan(DataPrefix.Length) is "[DONE]")
                    yield break;
                using var json = JsonDocument.Parse(line.AsMemory(DataPrefix.Length));
                if (json.RootElement.TryGetProperty("error", out _))
                    throw new ServerRefusal(Address, (int)answer.StatusCode, line[DataPrefix.Length..]);
                yield return json.RootElement;
            }
            throw new CommandException(ExitCode.Failed, $"the answer of {Address} ended too early");
        }

        async Task<string?> NextAsync(StreamReader lines)
        {
            try
            {
                return await lines.ReadLineAsync(cancellation);
            }
            catch (Exception e) when (IsFailure(e, cancellation))
            {
                throw Unreachable(e);
            }
        }
    }

    /// <summary>
    /// The server's own name of the model or adapter that a user means by a name, in any spelling, by an alias or by a model's path; null
    /// where the server has none.
    /// </summary>
    public async Task<string?> NameOfAsync(string model, CancellationToken cancellation)
    {
        try
        {
            if (SingleFile.IsPath(model))
            {
                var path = RealPath.Of(model);
                using var all = await AskAsync(HttpMethod.Get, "api/models", cancellation);
                var found = all.RootElement.GetProperty("models").EnumerateArray()
                    .FirstOrDefault(known => RealPath.Of(known.GetProperty("path").GetString()!) == path);
                if (found.ValueKind != JsonValueKind.Undefined)
                    return found.GetProperty("name").GetString();
            }
            using var answer = await AskAsync(HttpMethod.Get, $"api/models/{Outbound.PathOf(model)}/status", cancellation);
            return answer.RootElement.GetProperty(answer.RootElement.TryGetProperty("adapter", out _) ? "adapter" : "model").GetString();
        }
        catch (Exception e) when (e is CommandException or IOException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    // One that hangs is not waited for as long as an answer is.
    private async Task<bool> AnswersAsync(CancellationToken cancellation)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        ending.CancelAfter(LongestSignOfLife);
        try
        {
            using var answer = await _http.GetAsync("health", ending.Token);
            return true;
        }
        catch (Exception e) when (IsFailure(e, cancellation))
        {
            return false;
        }
    }

    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, JsonObject? body, HttpCompletionOption completion, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        var answer = await _http.SendAsync(request, completion, cancellation);
        if (answer.IsSuccessStatusCode)
            return answer;
        using (answer)
            throw new ServerRefusal(Address, (int)answer.StatusCode, await answer.Content.ReadAsStringAsync(cancellation));
    }

    private static bool IsFailure(Exception e, CancellationToken cancellation) => e is HttpRequestException or JsonException or IOException
        || (e is OperationCanceledException && !cancellation.IsCancellationRequested);

    private CommandException Unreachable(Exception e) => new(ExitCode.Failed, $"no server of Shimmy answers at {Address}: {e.Message}");
}

/// <summary>A server refused a request: its status and what its error body says.</summary>
internal sealed class ServerRefusal : CommandException
{
    private const int LongestText = 2000;
    private const int LongestBody = 200;
    private const int BadGateway = 502;

    /// <summary>A refusal by its status and its body.</summary>
    public ServerRefusal(string address, int status, string body) : this(address, status, Read(body))
    {
    }

    private ServerRefusal(string address, int status, (string Text, string? Code) error)
        : base(status == BadGateway ? Terminal.ExitCode.CannotLoad : Terminal.ExitCode.Failed, $"{address} answers {status}: {error.Text}")
    {
        Status = status;
        (Text, Code) = error;
    }

    /// <summary>The status, which is 200 where the refusal came in the middle of a stream.</summary>
    public int Status { get; }

    /// <summary>The server's own words, without what would steer the terminal that shows them: any program may listen there.</summary>
    public string Text { get; }

    /// <summary>OpenAI's code of the error; null where the body has none.</summary>
    public string? Code { get; }

    private static (string Text, string? Code) Read(string body)
    {
        var (text, code) = Parse(body);
        return (ShownText.Of(text, LongestText, instead: ' '), code);
    }

    private static (string Text, string? Code) Parse(string text)
    {
        try
        {
            using var body = JsonDocument.Parse(text);
            var error = body.RootElement.GetProperty("error");
            if (error.ValueKind == JsonValueKind.String)
                return (error.GetString()!, null);
            var code = error.TryGetProperty("code", out var named) && named.ValueKind == JsonValueKind.String ? named.GetString() : null;
            return (error.GetProperty("message").GetString() ?? text, code);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return (ShownText.Cut(text, LongestBody), null);
        }
    }
}

/// <summary>
/// The file in the user's state folder by which other commands find a running server: named after its process, with its address. Where it
/// cannot be written the server runs all the same, and is found by <c>--url</c> alone.
/// </summary>
internal sealed class ServerFile : IDisposable
{
    private readonly string? _path;

    private ServerFile(string? path)
    {
        _path = path;
    }

    /// <summary>Writes the file of this process; its disposal removes it.</summary>
    public static ServerFile Write(HostEnvironment host, Uri address, string basePath)
    {
        try
        {
            var folder = FolderOf(host);
            Directory.CreateDirectory(folder);
            var path = Path.Join(folder, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            var text = address.Scheme == "unix" ? address.OriginalString : address.GetLeftPart(UriPartial.Authority) + basePath;
            SmallFile.Write(path, Encoding.UTF8.GetBytes(text + "\n"));
            return new ServerFile(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return new ServerFile(null);
        }
    }

    /// <summary>The addresses of the servers that run, the newest first. Removes the files of those that were killed.</summary>
    public static IReadOnlyList<Uri> Running(HostEnvironment host)
    {
        try
        {
            var folder = new DirectoryInfo(FolderOf(host));
            return !folder.Exists ? [] :
            [
                .. folder.EnumerateFiles().Where(file => int.TryParse(file.Name, out _)).OrderByDescending(file => file.LastWriteTimeUtc)
                    .Select(AddressIn).OfType<Uri>(),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_path is not null)
            Remove(_path);
    }

    private static string FolderOf(HostEnvironment host) => host.Join(host.StateFolder(), "shimmy", "servers");

    private static Uri? AddressIn(FileInfo file)
    {
        if (!Runs(int.Parse(file.Name, CultureInfo.InvariantCulture)))
        {
            Remove(file.FullName);
            return null;
        }
        return Uri.TryCreate(File.ReadAllText(file.FullName).Trim(), UriKind.Absolute, out var address) ? address : null;
    }

    private static bool Runs(int process)
    {
        try
        {
            using var found = Process.GetProcessById(process);
            return !found.HasExited;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    private static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Found again, and not answered, the next time.
        }
    }
}
