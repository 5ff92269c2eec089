using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;

namespace Shimmy.Models.Configuration;

/// <summary>
/// Reloads the configuration file when it changes. It polls every two seconds: file notifications are lost on network and container file
/// systems, where links are swapped under the same name.
/// </summary>
internal sealed class ModelConfigWatch : IDisposable
{
    /// <summary>The variable that names the configuration file.</summary>
    public const string Variable = "SHIMMY_CONFIG";

    /// <summary>Interval of the polling.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private readonly string _path;
    private readonly ModelRegistry _registry;
    private readonly HostEnvironment _host;
    private readonly Action<string> _report;
    private readonly Action<ModelConfig> _applied;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private Fingerprint _seen;

    private readonly record struct Fingerprint(string RealPath, bool Exists, long Length, DateTime Modified);

    private ModelConfigWatch(string path, ModelRegistry registry, HostEnvironment host, TimeProvider time, Action<string> report,
        Action<ModelConfig> applied)
    {
        _path = path;
        _registry = registry;
        _host = host;
        _report = report;
        _applied = applied;
        _seen = Look();
        Apply(ModelConfigReader.ReadFile(_path, _host));
        _timer = time.CreateTimer(_ => Check(), null, Interval, Interval);
    }

    /// <summary>
    /// Reads the file, registers its models and goes on watching it. Throws as
    /// <see cref="ModelConfigReader.ReadFile"/> does where it is wrong now.
    /// </summary>
    /// <param name="path">Full path of the file.</param>
    /// <param name="registry">Gets the models and aliases.</param>
    /// <param name="host">Makes paths whole.</param>
    /// <param name="time">Gives the intervals.</param>
    /// <param name="report">Gets a line for each change: that it took effect, or why not.</param>
    /// <param name="applied">Gets each config that takes effect, the first included.</param>
    public static ModelConfigWatch Start(string path, ModelRegistry registry, HostEnvironment host, TimeProvider time,
        Action<string> report, Action<ModelConfig>? applied = null) =>
        new(path, registry, host, time, report, applied ?? (_ => { }));

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    /// <summary>Reads the file now, changed or not.</summary>
    public void Reload() => Check(always: true);

    private void Check(bool always = false)
    {
        lock (_lock)
        {
            var now = Look();
            if (now == _seen && !always)
                return;

            _seen = now;
            try
            {
                var config = ModelConfigReader.ReadFile(_path, _host);
                Apply(config);
                _report($"config file {_path} {(always ? "was read again" : "changed")}: {config.Models.Count} models, {config.Aliases.Count} aliases");
            }
            catch (Exception e) when (e is ConfigException or FileNotFoundException)
            {
                _report($"config file changed but is wrong, the one before stays in force: {e.Message}");
            }
        }
    }

    private void Apply(ModelConfig config)
    {
        RegisteredModels.Put(_registry, config);
        _applied(config);
    }

    private Fingerprint Look()
    {
        try
        {
            var real = RealPath.Of(_path);
            var file = new FileInfo(real);
            return new Fingerprint(real, file.Exists, file.Exists ? file.Length : 0, file.LastWriteTimeUtc);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }
}
