using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
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

    private static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(30);

    private readonly HttpClient _http;

    /// <summary>One at an address.</summary>
    public ServerClient(Uri address, string? key)
    {
        Address = address.Scheme == "unix" ? address.OriginalString : address.AbsoluteUri.TrimEnd('/');
        _http = Outbound.Client(proxy: false, address.Scheme == "unix" ? ConnectToFileAsync : null);
        _http.BaseAddress = new Uri(address.Scheme == "unix" ? "http://localhost/" : Address + "/");
        _http.Timeout = LongestAnswer;
        if (key is not null)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);

        async ValueTask<Socket> ConnectToFileAsync(DnsEndPoint host, CancellationToken cancellation)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.AbsolutePath), cancellation);
            return socket;
        }
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
            var part = path + ".part";
            File.WriteAllText(part,
                (address.Scheme == "unix" ? address.OriginalString : address.GetLeftPart(UriPartial.Authority) + basePath) + "\n",
                new UTF8Encoding(false));
            File.Move(part, path, overwrite: true);
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
