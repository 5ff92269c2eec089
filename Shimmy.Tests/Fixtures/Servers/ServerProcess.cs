using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>A running <c>shimmy serve</c>; disposing it kills it.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task<string> _output;

    private ServerProcess(Process process, Uri address)
    {
        _process = process;
        _output = process.StandardOutput.ReadToEndAsync();
        process.ErrorDataReceived += (_, line) => Log.Enqueue(line.Data ?? "");
        process.BeginErrorReadLine();
        Client = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromMinutes(1) };
    }

    /// <summary>Sends to it; paths have no leading slash.</summary>
    public HttpClient Client { get; }

    /// <summary>What it has logged so far, line by line.</summary>
    public ConcurrentQueue<string> Log { get; } = [];

    /// <summary>The server's process id.</summary>
    public int Id => _process.Id;

    /// <summary>Memory of the server's process that is in RAM now, in bytes.</summary>
    public long ResidentBytes
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>The processes of its loaded models; Linux alone tells them.</summary>
    public IReadOnlyList<Process> Workers => WorkersOf(Id);

    /// <summary>The processes of the models that the server of this process has loaded; Linux alone tells them.</summary>
    public static IReadOnlyList<Process> WorkersOf(int server) => [.. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName)
        .Where(name => int.TryParse(name, out _) && StatOf(name!) is [_, var parent, ..] && parent == $"{server}")
        .Select(name => Find(int.Parse(name!, CultureInfo.InvariantCulture))).OfType<Process>()];

    /// <summary>Starts one in a folder, on a port that the system picks, and waits until it is ready.</summary>
    public static Task<ServerProcess> StartAsync(TemporaryFolder folder, params string[] arguments) => StartAsync(folder, null, arguments);

    /// <summary>Starts one in a folder with variables of its own.</summary>
    public static async Task<ServerProcess> StartAsync(TemporaryFolder folder,
        IReadOnlyDictionary<string, string>? environment, params string[] arguments)
    {
        // A name of its own: a server that was killed leaves its file behind.
        var ready = folder[$"ready-{Guid.NewGuid():N}"];
        var process =
            Process.Start(
                ShimmyProcess.CreateStart(["serve", "--bind", "0", "--ready-file", ready, .. arguments], folder.Path, environment))!;
        for (var begun = Stopwatch.GetTimestamp(); !File.Exists(ready);)
        {
            if (process.HasExited || Stopwatch.GetElapsedTime(begun) > TimeSpan.FromSeconds(30))
            {
                var errors = process.HasExited ? await process.StandardError.ReadToEndAsync() : "it was not ready within 30 seconds";
                process.Kill();
                throw new InvalidOperationException(errors);
            }
            await Task.Delay(10);
        }
        return new ServerProcess(process, new Uri((await File.ReadAllTextAsync(ready)).Trim()));
    }

    /// <summary>Starts <c>shimmy llama-server</c> in a folder and waits until its model is loaded.</summary>
    public static async Task<ServerProcess> StartAsLlamaServerAsync(TemporaryFolder folder, params string[] arguments)
    {
        var port = FreePort().ToString(CultureInfo.InvariantCulture);
        var process = Process.Start(ShimmyProcess.CreateStart(["llama-server", "--port", port, .. arguments], folder.Path))!;
        var server = new ServerProcess(process, new Uri($"http://127.0.0.1:{port}/"));
        for (var begun = Stopwatch.GetTimestamp(); ;)
        {
            try
            {
                using var health = await server.Client.GetAsync("health");
                if (health.IsSuccessStatusCode)
                    return server;
            }
            catch (HttpRequestException) when (!process.HasExited)
            {
                // It does not listen yet.
            }
            if (process.HasExited || Stopwatch.GetElapsedTime(begun) > TimeSpan.FromSeconds(30))
            {
                server.Dispose();
                throw new InvalidOperationException(string.Join('\n', server.Log));
            }
            await Task.Delay(10);
        }
    }

    /// <summary>Sends SIGTERM and waits for the end; gives exit code and stdout.</summary>
    public async Task<(int ExitCode, string Output)> TerminateAsync()
    {
        using var kill = Process.Start("kill", ["-TERM", $"{_process.Id}"]);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await _process.WaitForExitAsync(limit.Token);
        return (_process.ExitCode, await _output);
    }

    /// <summary>A port that was free a moment ago.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Ends it at once, as <c>kill -9</c> does, and nothing beside it.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    // The fields of stat after the name, which is in parentheses and may hold anything: state, parent, ...
    /// <summary>The process of an id, or null: a worker that is unloaded may end between being seen and being asked for.</summary>
    private static Process? Find(int id)
    {
        try
        {
            return Process.GetProcessById(id);
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    /// <summary>What Linux tells of a process behind its name: its state, its parent and more; nothing where it is gone.</summary>
    public static string[] StatOf(string process)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{process}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return [];
        }
    }

    public void Dispose()
    {
        Client.Dispose();
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }
}
