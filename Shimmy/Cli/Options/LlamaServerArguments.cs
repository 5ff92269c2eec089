using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Api;
using Shimmy.Chat.Templates;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;
using Shimmy.Server;

namespace Shimmy.Cli.Options;

/// <summary>
/// Reads llama-server's command line and environment into the options of <c>serve</c>: the command line wins over a LLAMA_ARG_ variable.
/// What llama-server does not have, or Shimmy cannot do, is refused by name.
/// </summary>
internal sealed class LlamaServerArguments
{
    private readonly List<string> _hosts = [];
    private readonly List<LoraSetting> _loras = [];
    private readonly List<string> _keys = [];
    private readonly List<string> _keysOfFiles = [];
    private readonly Dictionary<string, string> _sampling = [];
    private readonly Dictionary<string, JsonElement> _templateArguments = [];
    private readonly List<string> _stops = [];

    /// <summary>The options so far.</summary>
    public CommandOptions Options { get; private set; } = new()
    {
        Parallel = 4,
        LogLevel = LogLevel.Information,
        Speculate = false,
        Residency = new ResidencyOptions { KeepAlive = Timeout.InfiniteTimeSpan },
    };

    /// <summary>The mode that the routes get.</summary>
    public LlamaServerMode Mode { get; set; } = new() { IsOn = true, Metrics = false };

    /// <summary>The model.</summary>
    public GivenModel Given { get; set; } = new(null, null, null, null);

    /// <summary>The port of all hosts.</summary>
    public int Port { get; set; } = 8080;

    /// <summary>Whether a number of slots was asked for; else they share the context.</summary>
    public bool? Splits { get; set; }

    /// <summary>Most tokens of a batch, and of one step of it.</summary>
    public (int Whole, int Step) Batch { get; set; } = (2048, 512);

    /// <summary>Whether adapters are loaded without effect.</summary>
    public bool LorasAreOff { get; set; }

    /// <summary>Reads the arguments that follow the command's name. Throws <see cref="UsageException"/>.</summary>
    public static CommandOptions Parse(ReadOnlySpan<string> arguments, Func<string, string?> environment)
    {
        var all = new LlamaServerArguments();
        // Variables first, so that the command line has the last word.
        foreach (var row in LlamaServerTable.All)
        {
            if (row.Variable is { } variable && environment(variable) is { Length: > 0 } text)
                all.Take(row, variable, text, isSwitch: row.Value is null);
        }
        var given = new List<LlamaServerOption>();
        for (var i = 0; i < arguments.Length; i++)
        {
            var argument = arguments[i];
            // llama-server takes a long name with underlines, too.
            if (argument.StartsWith("--", StringComparison.Ordinal))
                argument = argument.Replace('_', '-');
            var row = LlamaServerTable.All.FirstOrDefault(one => one.Names.Contains(argument, StringComparer.Ordinal))
                ?? throw new UsageException(argument.StartsWith('-') ? $"unknown option {argument}" : $"unexpected argument '{argument}'");
            if (row.Reset is { } reset && !given.Contains(row))
            {
                reset(all);
                given.Add(row);
            }
            if (row.Value is null)
            {
                row.Set(all, new OptionValue(argument, ["true"]));
                continue;
            }
            if (++i == arguments.Length)
                throw new UsageException($"{argument}: a value is missing");
            all.Take(row, argument, arguments[i], isSwitch: false);
        }
        // Vertex AI says by the environment what it wants, whatever the command line is.
        if (environment("AIP_MODE") == "PREDICTION")
        {
            var port = environment("AIP_HTTP_PORT");
            all.Port = string.IsNullOrEmpty(port) ? 8080 : new OptionValue("AIP_HTTP_PORT", [port]).Whole(0, 65535);
            all.SetMode(mode => mode with
            {
                PredictRoute = RouteOf("POST", "AIP_PREDICT_ROUTE") ?? "/predict",
                HealthRoute = RouteOf("GET", "AIP_HEALTH_ROUTE"),
            });
        }
        return all.Finish();

        string? RouteOf(string method, string variable)
        {
            if (environment(variable) is not { Length: > 0 } text)
                return null;
            var path = "/" + text.Trim('/');
            var value = new OptionValue(variable, [text]);
            if (path.Any(c => c is <= ' ' or > '~' or '{' or '}' or '?' or '#' or '%' or '\\'))
                throw value.Refuse("a path without blanks and without any of {}?#%\\");
            return (method == "GET" && path == "/health") || !Routes.Create(all.Mode).Has(method, path)
                ? path
                : throw value.Refuse($"a path that is free: {method} {path} is a route of the server itself");
        }
    }

    private void Take(LlamaServerOption row, string source, string text, bool isSwitch)
    {
        var value = new OptionValue(source, [text]);
        if (!isSwitch)
        {
            row.Set(this, text.Length == 0 && Option.IsPath(row.Value) ? throw value.Refuse("a path") : value);
            return;
        }
        switch (text.ToLowerInvariant())
        {
            case "1" or "true" or "on" or "enabled":
                row.Set(this, value);
                break;
            case "0" or "false" or "off" or "disabled":
                row.SetOff?.Invoke(this, value);
                break;
            default:
                throw value.Refuse("true, 1, on, enabled, false, 0, off or disabled");
        }
    }

    /// <summary>Changes the options.</summary>
    public void With(Func<CommandOptions, CommandOptions> change) => Options = change(Options);

    /// <summary>Changes what the routes are given.</summary>
    public void SetMode(Func<LlamaServerMode, LlamaServerMode> change) => Mode = change(Mode);

    /// <summary>An option of <see cref="TuningOption"/> by its name here, with llama-server's value or another.</summary>
    public void Tune(OptionValue value, string name, string text)
    {
        var row = TuningOption.All.First(row => row.Name == name);
        Options = Options with { Tuning = row.Set(Options.Tuning, text) ?? throw value.Refuse(row.Allowed) };
    }

    /// <summary>The default of a sampling field.</summary>
    public void Sample(OptionValue value, SamplingField row) => _sampling[row.Metadata!] = row.Kind switch
    {
        SamplingKind.Seed => long.TryParse(value.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed)
            && seed is >= -1 and <= uint.MaxValue
            ? SamplingField.FoldSeed(seed) is { } folded && folded != uint.MaxValue
                ? folded.ToString(CultureInfo.InvariantCulture)
                : "-1"
            : throw value.Refuse("a whole number of 32 bits, or -1 for a random one"),
        SamplingKind.Texts => value.Text == "none" ? "" : _sampling.TryGetValue(row.Metadata!, out var before)
            ? before + '\u001f' + value.Text : value.Text,
        SamplingKind.Flag => "true",
        _ => row.Number(value.Text) is { } number ? Convert.ToString(number, CultureInfo.InvariantCulture)!
            : throw value.Refuse(row.AllowedNumber),
    };

    /// <summary>Most tokens of an answer; -1 is no limit.</summary>
    public void Predict(OptionValue value) => _sampling["max_tokens"] =
        value.Whole(-1) is > 0 and var most ? most.ToString(CultureInfo.InvariantCulture) : "-1";

    /// <summary>Addresses to listen on, with commas between them.</summary>
    public void Hosts(OptionValue value) => _hosts.AddRange(
        value.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));

    /// <summary>Forgets the addresses so far.</summary>
    public void WithoutHosts() => _hosts.Clear();

    /// <summary>API keys, with commas between them.</summary>
    public void Keys(OptionValue value)
    {
        foreach (var key in value.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            _keys.Add(key);
    }

    /// <summary>Forgets the keys so far, but for those of files.</summary>
    public void WithoutKeys() => _keys.Clear();

    /// <summary>A file with an API key a line.</summary>
    public void KeyFile(OptionValue value)
    {
        try
        {
            var lines = File.ReadAllLines(value.Text).Select(line => line.Trim());
            _keysOfFiles.AddRange(lines.Where(line => line.Length > 0 && line[0] != '#'));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{value.Source}: {e.Message}");
        }
    }

    /// <summary>Forgets the keys of files so far.</summary>
    public void WithoutKeysOfFiles() => _keysOfFiles.Clear();

    /// <summary>Adapters, with commas between them; each with its strength, where that is given.</summary>
    public void Loras(OptionValue value, bool scaled)
    {
        foreach (var text in value.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var lora = CompanionFiles.Lora(value.Source, text, scaled);
            if (scaled && lora.Path == Path.TrimEndingDirectorySeparator(Path.GetFullPath(text)))
                throw value.Refuse("FILE:SCALE");
            _loras.Add(lora);
        }
    }

    /// <summary>A family of chat templates, or a template as its text.</summary>
    public void Template(OptionValue value)
    {
        var name = TemplateFamilies.Find(value.Text)?.Name ?? TemplateSource.TextPrefix + value.Text;
        Options = Options with { Template = CompanionFiles.Template(new OptionValue(value.Source, [name])) };
    }

    /// <summary>Variables of the chat template.</summary>
    public void TemplateArguments(OptionValue value)
    {
        try
        {
            using var document = JsonDocument.Parse(value.Text, JsonText.ReaderOptions);
            foreach (var property in document.RootElement.EnumerateObject())
                _templateArguments[property.Name] = property.Value.Clone();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw value.Refuse("a JSON object");
        }
    }

    /// <summary>A text that ends answers.</summary>
    public void Stop(OptionValue value) => _stops.Add(value.Text);

    private CommandOptions Finish()
    {
        if (Given.IsNone)
        {
            Mode = Mode with { Routes = true };
            With(options => options with { Residency = options.Residency with { MaxLoaded = Mode.MostModels } });
        }
        if (Given.Path is not null)
            Given = Given with { Repository = null };
        var aliases = Mode.Aliases.Order(StringComparer.Ordinal).ToArray();
        string[] binds = [.. (_hosts.Count > 0 ? _hosts : ["127.0.0.1"]).Select(Bind)];
        try
        {
            _ = BindAddress.Parse("--host", binds);
            var keys = ApiKeyFile.Read(
                [.. _keys.Concat(_keysOfFiles).Select(key => "sha256:" + Convert.ToHexStringLower(ApiKey.HashOf(key)))]);
            return Options with
            {
                Loras = LorasAreOff ? [.. _loras.Select(lora => lora with { Scale = 0 })] : _loras,
                Given = Given with
                {
                    Name = aliases.FirstOrDefault(),
                    Splits = Splits ?? false,
                    BatchSize = Math.Min(Batch.Whole, Batch.Step),
                    Defaults = new RequestDefaults { Sampling = _sampling, Stop = _stops, TemplateFamily = TemplateFamilies.ChatMl.Name },
                },
                Server = Options.Server with
                {
                    Binds = binds,
                    Keys = keys,
                    CorsOrigins = Options.Server.CorsOrigins.Count > 0 ? Options.Server.CorsOrigins : ["*"],
                    AllowedHosts = ["*"],
                    ResponseCacheBytes = 0,
                    LlamaServer = Mode with
                    {
                        Aliases = aliases,
                        BatchSize = Batch.Whole,
                        TemplateArguments = _templateArguments,
                    },
                },
            };
        }
        catch (FormatException e)
        {
            throw new UsageException(e.Message);
        }
    }

    private string Bind(string host)
    {
        if (host.EndsWith(".sock", StringComparison.Ordinal))
            return "unix:" + host;
        // An IPv6 address stands in brackets before its port.
        var shown = host.Contains(':', StringComparison.Ordinal) && !host.StartsWith('[') ? $"[{host}]" : host;
        return string.Create(CultureInfo.InvariantCulture, $"{shown}:{Port}");
    }
}
