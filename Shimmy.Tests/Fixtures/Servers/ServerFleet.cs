using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// Three servers and a balancer in a network namespace of their own, so that addresses and ports are those of the document whose
/// configuration the balancer runs. What is in the namespace is reached from outside through sockets in the file system, which know no
/// namespaces: a HAProxy of the fixture's own passes their bytes on.
/// </summary>
internal sealed class ServerFleet : IAsyncDisposable
{
    /// <summary>A key without limits.</summary>
    public const string Key = "open-key";

    /// <summary>A key that may have one request at a time.</summary>
    public const string NarrowKey = "narrow-key";

    private static readonly string[] Hosts = ["10.11.0.1", "10.11.0.2", "10.11.0.3"];

    private readonly TemporaryFolder _folder;
    private readonly Process _namespace;
    private readonly List<Process> _balancers = [];
    private readonly Process?[] _servers = new Process?[Hosts.Length];
    private readonly string[] _logs;
    private readonly string[] _arguments;

    private ServerFleet(TemporaryFolder folder, Process holder, string[] arguments)
    {
        (_folder, _namespace, _arguments) = (folder, holder, arguments);
        _logs = [.. Hosts.Select((_, i) => folder[$"server-{i}.log"])];
        Balanced = ClientOf("front");
        Direct = [.. Hosts.Select((_, i) => ClientOf($"server-{i}"))];
    }

    /// <summary>Sends through the balancer.</summary>
    public HttpClient Balanced { get; }

    /// <summary>Send to each of the servers.</summary>
    public HttpClient[] Direct { get; }

    /// <summary>Whether tests of several servers under load are asked for.</summary>
    public static bool IsAsked { get; } = Environment.GetEnvironmentVariable("SHIMMY_FLEET_TESTS") is { Length: > 0 };

    /// <summary>Why it cannot be had here; null where it can.</summary>
    public static string? WhyNot(string balancer)
    {
        if (!IsAsked)
            return "SHIMMY_FLEET_TESTS is not set; three servers under load need a machine that does nothing else";
        if (!OperatingSystem.IsLinux())
            return "network namespaces are Linux's";
        if (Find("haproxy") is null || Find(balancer) is null)
            return $"haproxy or {balancer} is not installed";
        using var probe = Process.Start(new ProcessStartInfo("unshare", ["--net", "true"]) { RedirectStandardError = true })!;
        probe.WaitForExit();
        return probe.ExitCode == 0 ? null : "no network namespace may be made here";
    }

    /// <summary>Starts three servers, and the balancer with the configuration that a document has for it; null starts none.</summary>
    public static async Task<ServerFleet> StartAsync(string? balancer, params string[] arguments)
    {
        var folder = new TemporaryFolder();
        var holder = Process.Start(new ProcessStartInfo("unshare", ["--net", "sleep", "600"]))!;
        var fleet = new ServerFleet(folder, holder, arguments);
        try
        {
            // Until it is there, nsenter leads to the namespace of the tests, whose loopback would be set up in place of its own.
            await Poll.UntilAsync(() => IsApart(holder), "the namespace is there");
            if (fleet.RunInside("ip", "link", "set", "lo", "up") != 0)
                throw new InvalidOperationException("the loopback of the namespace cannot be set up");
            foreach (var host in Hosts)
            {
                if (fleet.RunInside("ip", "addr", "add", $"{host}/32", "dev", "lo") != 0)
                    throw new InvalidOperationException($"{host} cannot be an address of the namespace");
            }
            File.WriteAllText(folder["keys"], $"open {Key}\nnarrow {NarrowKey} concurrency=1\n");
            for (var i = 0; i < Hosts.Length; i++)
                fleet.Begin(i);
            File.WriteAllText(folder["relay.cfg"], Relay(folder));
            fleet.Balance("relay.log", "haproxy", "-db", "-f", folder["relay.cfg"]);
            if (balancer is not null)
            {
                File.WriteAllText(folder["balancer.cfg"], ConfigurationFor(balancer));
                fleet.Balance("balancer.log", balancer, balancer == "nginx"
                    ? ["-p", folder.Path, "-c", folder["balancer.cfg"], "-g", $"daemon off; error_log stderr; pid {folder["pid"]};"]
                    : ["-db", "-f", folder["balancer.cfg"]]);
            }
            for (var i = 0; i < Hosts.Length; i++)
                await fleet.ReadyAsync(i);
            if (balancer is not null)
                await fleet.ReadyAsync(fleet.Balanced, "the balancer passes requests on");
            return fleet;
        }
        catch (Exception e)
        {
            var told = fleet.Log;
            await fleet.DisposeAsync();
            throw new InvalidOperationException($"{e.Message}\n{told}", e);
        }
    }

    /// <summary>The configuration that docs/scaling.md has for a balancer.</summary>
    public static string ConfigurationFor(string balancer) => Repository.Block("scaling.md", balancer);

    /// <summary>What servers and balancers have said.</summary>
    public string Log => string.Join('\n', Directory.EnumerateFiles(_folder.Path, "*.log").Order(StringComparer.Ordinal)
        .Select(path => $"{Path.GetFileName(path)}: {File.ReadAllText(path)}"));

    /// <summary>Process id of a server.</summary>
    public int IdOf(int server) => _servers[server]!.Id;

    /// <summary>Stops a server as a service manager does, and starts it again once it has ended.</summary>
    public async Task RestartAsync(int server)
    {
        using (var kill = Process.Start("kill", ["-TERM", IdOf(server).ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await _servers[server]!.WaitForExitAsync(limit.Token);
        await StartAsync(server);
    }

    /// <summary>Ends a server as <c>kill -9</c> does.</summary>
    public void Kill(int server)
    {
        _servers[server]!.Kill();
        _servers[server]!.WaitForExit();
    }

    /// <summary>Starts a server and waits until it is ready.</summary>
    public Task StartAsync(int server)
    {
        Begin(server);
        return ReadyAsync(server);
    }

    /// <summary>A metric of a server, its first series; 0 where it has none.</summary>
    public async Task<double> MetricAsync(int server, string name)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "metrics");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Key);
        using var answer = await Direct[server].SendAsync(request);
        var line = (await answer.Content.ReadAsStringAsync()).Split('\n')
            .FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return line is null ? 0 : double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
    }

    public async ValueTask DisposeAsync()
    {
        Balanced.Dispose();
        foreach (var client in Direct)
            client.Dispose();
        foreach (var process in _servers.OfType<Process>().Concat(_balancers).Append(_namespace))
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
        }
        _folder.Dispose();
    }

    private static string? Find(string program) => SystemTool.Find(program, "/usr/sbin", "/sbin");

    // The shell becomes nsenter, and that the program, so its process is the program's. What it says goes to a file.
    private ProcessStartInfo Inside(string log, string program, IEnumerable<string> arguments) =>
        new("sh", ["-c", "exec \"$@\" >>\"$0\" 2>&1 </dev/null", _folder[log], Find("nsenter")!, $"--net=/proc/{_namespace.Id}/ns/net", "--",
            program, .. arguments])
        {
            WorkingDirectory = _folder.Path,
        };

    private int RunInside(string program, params string[] arguments)
    {
        using var process = Process.Start(Inside($"{program}.log", Find(program)!, arguments))!;
        process.WaitForExit();
        return process.ExitCode;
    }

    // Until unshare has done its work, its process is in the namespace of the tests.
    private static bool IsApart(Process process) =>
        File.ResolveLinkTarget($"/proc/{process.Id}/ns/net", false)?.Name != File.ResolveLinkTarget("/proc/self/ns/net", false)?.Name;

    private void Balance(string log, string program, params string[] arguments) =>
        _balancers.Add(Process.Start(Inside(log, Find(program)!, arguments))!);

    private void Begin(int server)
    {
        var start = ShimmyProcess.CreateStart(["serve", "--bind", $"{Hosts[server]}:11435", "--threads", "1", "--parallel", "4",
            "--api-key", "@" + _folder["keys"], "--log-file", _logs[server], .. _arguments], _folder.Path);
        var inside = Inside($"server-{server}-output.log", start.FileName, start.ArgumentList);
        inside.Environment.Clear();
        foreach (var (name, value) in start.Environment)
            inside.Environment[name] = value;
        _servers[server]?.Dispose();
        _servers[server] = Process.Start(inside)!;
    }

    // What ended will not be ready.
    private async Task ReadyAsync(HttpClient client, string what, Process? server = null)
    {
        try
        {
            await Poll.UntilAsync(async () => _balancers.Prepend(server ?? _namespace).FirstOrDefault(one => one.HasExited) is { } ended
                ? throw new InvalidOperationException($"{what}: {ended.StartInfo.ArgumentList[2]} ended with {ended.ExitCode}")
                : await IsWellAsync(client), what);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}\n{Log}", e);
        }
    }

    private Task ReadyAsync(int server) => ReadyAsync(Direct[server], $"server {server} is ready", _servers[server]);

    private static async Task<bool> IsWellAsync(HttpClient client)
    {
        try
        {
            using var health = await client.GetAsync("health");
            return health.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static string Relay(TemporaryFolder folder) => string.Join('\n',
    [
        "defaults", "    mode tcp", "    timeout connect 2s", "    timeout client 1h", "    timeout server 1h",
        .. Hosts.Select((host, i) => ($"server-{i}", $"{host}:11435")).Append(("front", "127.0.0.1:8080")).SelectMany(pair => (string[])
        [
            $"listen {pair.Item1}", $"    bind unix@{folder[pair.Item1]}", $"    server it {pair.Item2}",
        ]),
        "",
    ]);

    private HttpClient ClientOf(string socket) => new(new SocketsHttpHandler
    {
        ResponseDrainTimeout = TimeSpan.Zero,
        ConnectCallback = async (_, cancellation) =>
        {
            var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(_folder[socket]), cancellation);
            return new NetworkStream(connection, ownsSocket: true);
        },
    })
    {
        BaseAddress = new Uri("http://shimmy.example/"),
        Timeout = TimeSpan.FromSeconds(120),
    };
}
