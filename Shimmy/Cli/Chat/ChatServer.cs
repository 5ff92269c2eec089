using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Discovery;
using Shimmy.Models;
using Shimmy.Server;

namespace Shimmy.Cli.Chat;

/// <summary>A model as the server of a conversation knows it.</summary>
internal sealed record ChatModel(
    string Name, long Bytes, string Quantization, int Context, bool Loaded, bool Ready, IReadOnlyList<string> Capabilities, string Path)
{
    /// <summary>Reads an item of <c>/api/models</c>.</summary>
    public static ChatModel Read(JsonElement json)
    {
        var capabilities = new List<string>();
        foreach (var one in json.GetProperty("capabilities").EnumerateArray())
            capabilities.Add(one.GetString()!);
        return new ChatModel(json.GetProperty("name").GetString()!, json.GetProperty("size_bytes").GetInt64(),
            json.GetProperty("quantization").GetString()!, json.GetProperty("context_length").GetInt32(),
            json.GetProperty("loaded").GetBoolean(), json.GetProperty("ready").GetBoolean(), capabilities,
            json.GetProperty("path").GetString()!);
    }

    /// <summary>Whether it answers.</summary>
    public bool Answers => Ready && Capabilities.Contains("completion");
}

/// <summary>
/// The server that a conversation asks: one that runs, or one of its own in this process, on a port of this machine with a key that nobody
/// else knows. Both are asked over HTTP, so that a conversation is the same with either.
/// </summary>
internal sealed class ChatServer : IAsyncDisposable
{
    private static readonly TimeSpan LongestLoad = TimeSpan.FromHours(1);

    private readonly CommandOptions _options;
    private readonly Serving? _own;

    private ChatServer(ServerClient client, CommandOptions options, Serving? own = null)
    {
        Client = client;
        _options = options;
        _own = own;
    }

    /// <summary>The server.</summary>
    public ServerClient Client { get; }

    /// <summary>Whether it is one of our own.</summary>
    public bool IsOwn => _own is not null;

    /// <summary>
    /// The server that <c>--url</c> names, or that runs and has the model, else one of our own. Throws <see cref="UsageException"/> where
    /// <c>--url</c> is given beside options that are for an engine of our own.
    /// </summary>
    public static async Task<ChatServer> ConnectAsync(
        CommandOptions options, string? model, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var own = options.FirstForOwnServer(CommandSet.Chat);
        if (own is not null && options.Url is not null)
            throw new UsageException($"--url: excludes {own}, which is for an engine of our own");
        if (own is null && (options.Url is not null || model is null || !SingleFile.IsPath(model)))
        {
            foreach (var client in await ServerClient.FindAsync(options, cancellation))
            {
                if (options.Url is not null || model is null || await client.NameOfAsync(model, cancellation) is not null)
                    return new ChatServer(client, options);
                client.Dispose();
            }
        }
        var key = RandomNumberGenerator.GetHexString(32);
        var serving = await Serving.StartAsync(options with
        {
            Server = options.Server with { Bind = "127.0.0.1:0", Page = false, Keys = ApiKeyFile.Read([key]) },
            Residency = options.Residency with { KeepAlive = Timeout.InfiniteTimeSpan, MaxLoaded = 1 },
        }, loggers, cancellation);
        return new ChatServer(new ServerClient(serving.Server.Address, key), options, serving);
    }

    /// <summary>The models that answer.</summary>
    public async Task<IReadOnlyList<ChatModel>> ModelsAsync(CancellationToken cancellation)
    {
        using var list = await Client.AskAsync(HttpMethod.Get, "api/models", null, LongestLoad, cancellation);
        var models = new List<ChatModel>();
        foreach (var json in list.RootElement.GetProperty("models").EnumerateArray())
        {
            if (ChatModel.Read(json) is { Answers: true } model)
                models.Add(model);
        }
        return models;
    }

    /// <summary>
    /// The model of this name, or the only one where it is null, loaded. Throws <see cref="CommandException"/> where there is none,
    /// <see cref="UsageException"/> where several could be meant.
    /// </summary>
    public async Task<ChatModel> LoadAsync(string? name, CancellationToken cancellation)
    {
        if (_own is not null)
        {
            var entry = string.IsNullOrEmpty(name) ? await _own.Models.OnlyAsync("NAME", cancellation)
                : await _own.Models.FindAsync(name, cancellation);
            _own.Models.Registry.RegisterIfNew(entry);
            name = entry.Name;
        }
        else if (string.IsNullOrEmpty(name))
        {
            var choice = ModelContext.Choice(await ModelsAsync(cancellation), model => model.Name);
            name = choice is [var only] ? only.Name : throw new UsageException(choice.Count == 0
                ? $"NAME is missing, and the server at {Client.Address} has no model that answers"
                : $"NAME is missing, and there are several models: {string.Join(", ", choice.Select(model => model.Name))}");
        }
        using var loaded = await Client.AskAsync(
            HttpMethod.Post, $"api/models/{Outbound.PathOf(name)}/load", null, LongestLoad, cancellation);
        name = loaded.RootElement.GetProperty("model").GetString()!;
        foreach (var model in await ModelsAsync(cancellation))
        {
            if (model.Name == name)
                return model;
        }
        throw new CommandException(ExitCode.Failed, $"'{name}' is not a language model, and cannot chat; shimmy list shows the models that can");
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (_own is not null)
            await _own.DisposeAsync();
    }
}
