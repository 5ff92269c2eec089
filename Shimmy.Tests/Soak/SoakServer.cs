using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak;

/// <summary>The server under trial, with the demo model beside its executable, and what can be learned of it from outside.</summary>
internal sealed class SoakServer : IAsyncDisposable
{
    private readonly TemporaryFolder _folder;
    private readonly ServerProcess _process;

    private SoakServer(TemporaryFolder folder, ServerProcess process)
    {
        _folder = folder;
        _process = process;
        Address = new IPEndPoint(IPAddress.Loopback, process.Client.BaseAddress!.Port);
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint Address { get; }

    /// <summary>What Linux tells of its process.</summary>
    public ProcessState State => ProcessState.Of(_process.Id);

    /// <summary>The workers' process ids.</summary>
    public IReadOnlyList<int> Workers
    {
        get
        {
            var workers = _process.Workers;
            int[] ids = [.. workers.Select(worker => worker.Id)];
            foreach (var worker in workers)
                worker.Dispose();
            return ids;
        }
    }

    /// <summary>What its log tells of faults of its own, with what follows each.</summary>
    public IReadOnlyList<string> Faults
    {
        get
        {
            string[] log = [.. _process.Log];
            return [.. Enumerable.Range(0, log.Length).Where(i => IsFault(log[i]))
                .Select(i => string.Join("\n      ", log.Skip(i).Take(8)))];

            static bool IsFault(string line) => line.Contains(" ERR ", StringComparison.Ordinal)
                || line.Contains(" CRI ", StringComparison.Ordinal)
                || line.Contains("Unhandled", StringComparison.Ordinal);
        }
    }

    /// <summary>Starts it and loads the model.</summary>
    public static async Task<SoakServer> StartAsync(SoakOptions options, params string[] arguments)
    {
        var folder = new TemporaryFolder();
        try
        {
            var process = await ServerProcess.StartAsync(folder, ["--log-level", "warning", .. arguments, .. options.Serve]);
            var server = new SoakServer(folder, process);
            await server.ControlAsync("load");
            return server;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Loads or unloads the model.</summary>
    public async Task ControlAsync(string what)
    {
        using var answer = await _process.Client.PostAsync($"api/models/{Exchange.Model}/{what}", null);
        answer.EnsureSuccessStatusCode();
    }

    /// <summary>Requests that hold the model or wait for it.</summary>
    public async Task<int> ActiveAsync()
    {
        using var json = JsonDocument.Parse(await _process.Client.GetStringAsync($"api/models/{Exchange.Model}/status"));
        return json.RootElement.GetProperty("requests_active").GetInt32();
    }

    /// <summary>Waits until nothing holds the model; false where that does not come about.</summary>
    public async Task<bool> IsQuietAsync(TimeSpan limit)
    {
        for (var begun = Stopwatch.GetTimestamp(); await ActiveAsync() > 0;)
        {
            if (Stopwatch.GetElapsedTime(begun) > limit)
                return false;
            await Task.Delay(50);
        }
        return true;
    }

    /// <summary>The state of its process when nothing has run for a while, and it has given back what it gives back then.</summary>
    public async Task<ProcessState> RestAsync()
    {
        await IsQuietAsync(TimeSpan.FromSeconds(15));
        // To ask whether it is quiet was a request as well.
        await Task.Delay(2500);
        return State;
    }

    /// <summary>Asks for a few tokens and gives the milliseconds that the request waited for a slot.</summary>
    public async Task<double> QueuedAsync()
    {
        using var content = new StringContent($$"""{"model":"{{Exchange.Model}}","prompt":"one more","max_tokens":64,"ignore_eos":true}""");
        using var answer = await _process.Client.PostAsync("api/generate", content);
        using var json = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync());
        return json.RootElement.GetProperty("timings").GetProperty("queue_ms").GetDouble();
    }

    /// <summary>
    /// What must hold after any trial: every slot is free, nothing is open that was not before, unloading leaves no worker, the server
    /// stops by itself and leaves no process.
    /// </summary>
    public async Task JudgeTheEndAsync(Verdict verdict, ProcessState before)
    {
        verdict.Require(await IsQuietAsync(TimeSpan.FromSeconds(15)), $"no request holds the model ({await ActiveAsync()} do)");
        var queued = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => QueuedAsync()));
        verdict.Require(queued.Max() < 500, $"four requests at once find a slot each at once (the longest waited {queued.Max():F0} ms)");
        await Task.Delay(500);
        var files = State.Files;
        verdict.Require(files <= before.Files + 16, $"no file is left open ({before.Files} before, {files} after)");
        var workers = Workers;
        verdict.Require(workers.Count == 1, $"one worker runs ({workers.Count})");
        await ControlAsync("unload");
        verdict.Require(Workers.Count == 0, $"no worker is left after unloading ({Workers.Count})");
        await ControlAsync("load");
        workers = Workers;
        var stopping = Stopwatch.GetTimestamp();
        var (code, _) = await _process.TerminateAsync();
        verdict.Require(code == 0,
            $"the server ends with 0 ({code}) after SIGTERM, in {Stopwatch.GetElapsedTime(stopping).TotalSeconds:F1} s");
        verdict.Require(workers.All(worker => !Directory.Exists($"/proc/{worker}")), "no process of it is left");
        verdict.Require(Faults.Count == 0,
            $"the log tells no fault of its own ({Faults.Count}{string.Concat(Faults.Take(5).Select(line => "\n    " + line))})");
    }

    /// <summary>Ends the server, whatever state it is in.</summary>
    public ValueTask DisposeAsync()
    {
        _process.Dispose();
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}
