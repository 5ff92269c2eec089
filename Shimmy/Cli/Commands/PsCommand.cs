using System.Globalization;
using System.Text.Json;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Models;

namespace Shimmy.Cli.Commands;

/// <summary>A model in the memory of a running server, as <c>ps --json</c> shows it.</summary>
internal sealed record RunningModel
{
    /// <summary>Its name.</summary>
    public required string Model { get; init; }

    /// <summary><c>ready</c>, <c>loading</c>, <c>waiting</c>, <c>draining</c> or <c>unloading</c>.</summary>
    public required string Status { get; init; }

    /// <summary>Bytes that it needs.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>The backend that computes it; null while it is loading.</summary>
    public required string? Backend { get; init; }

    /// <summary>Requests that it answers now.</summary>
    public required int RequestsActive { get; init; }

    /// <summary>When it will be unloaded; null where nothing says so.</summary>
    public required DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The server's address.</summary>
    public required string Server { get; init; }
}

/// <summary>The commands <c>ps</c> and <c>stop</c>.</summary>
internal static class PsCommand
{
    /// <summary>Runs <c>ps</c>.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        var servers = await ServersAsync(options, cancellation);
        var models = new List<RunningModel>();
        foreach (var server in servers)
            models.AddRange(await ModelsOfAsync(server, cancellation));
        if (options.Json)
            Printer.Line(CliJson.Of(models));
        else if (models.Count == 0)
            Printer.Notice("ps", $"no model is loaded at {string.Join(", ", servers.Select(server => server.Address))}");
        else
            Printer.Line(Format(models));
    }

    /// <summary>Runs <c>stop</c>.</summary>
    public static async Task StopAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(options.Name))
            throw new UsageException("NAME is missing: the model to take out of memory; shimmy ps shows those that are there");
        var stopped = false;
        var loaded = new List<string>();
        foreach (var server in await ServersAsync(options, cancellation))
        {
            var name = await server.NameOfAsync(options.Name, cancellation);
            foreach (var model in await ModelsOfAsync(server, cancellation))
            {
                loaded.Add(model.Model);
                if (model.Model != name)
                    continue;
                using var answer =
                    await server.AskAsync(HttpMethod.Post, $"api/models/{Outbound.PathOf(model.Model)}/unload", cancellation);
                Printer.Line($"{model.Model} is unloaded at {server.Address}");
                stopped = true;
            }
        }
        if (!stopped)
        {
            throw new CommandException(ExitCode.Failed, $"'{options.Name}' is not loaded; "
                + (loaded.Count == 0 ? "nothing is" : string.Join(", ", loaded.Distinct()) + (loaded.Count == 1 ? " is" : " are")));
        }
    }

    private static async Task<IReadOnlyList<ServerClient>> ServersAsync(CommandOptions options, CancellationToken cancellation) =>
        await ServerClient.FindAsync(options, cancellation) is [_, ..] servers ? servers : throw ServerClient.NoServer();

    private static async Task<List<RunningModel>> ModelsOfAsync(ServerClient server, CancellationToken cancellation)
    {
        var models = new List<RunningModel>();
        using var list = await server.AskAsync(HttpMethod.Get, "api/models", cancellation);
        foreach (var model in list.RootElement.GetProperty("models").EnumerateArray())
        {
            if (!model.GetProperty("loaded").GetBoolean())
                continue;
            var name = model.GetProperty("name").GetString()!;
            using var status = await server.AskAsync(HttpMethod.Get, $"api/models/{Outbound.PathOf(name)}/status", cancellation);
            var facts = status.RootElement;
            models.Add(new RunningModel
            {
                Model = name,
                Status = facts.GetProperty("status").GetString()!,
                MemoryBytes = facts.GetProperty("memory_bytes").GetInt64(),
                Backend = facts.TryGetProperty("backend", out var backend) ? backend.GetString() : null,
                RequestsActive = facts.GetProperty("requests_active").GetInt32(),
                ExpiresAt = facts.GetProperty("expires_at") is { ValueKind: JsonValueKind.String } time ? time.GetDateTimeOffset() : null,
                Server = server.Address,
            });
        }
        return models;
    }

    private static string Format(IReadOnlyList<RunningModel> models) => Table.Format(
        ["NAME", "STATUS", "MEMORY MB", "BACKEND", "REQUESTS", "UNTIL", "SERVER"],
        models.Select(model => new[]
        {
            model.Model,
            model.Status,
            ByteCount.Megabytes(model.MemoryBytes).ToString(CultureInfo.InvariantCulture),
            model.Backend ?? "-",
            model.RequestsActive.ToString(CultureInfo.InvariantCulture),
            model.ExpiresAt is { } time ? time.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture) : "-",
            model.Server,
        }));
}
