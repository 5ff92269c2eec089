using System.Text.Json;

namespace Shimmy.Models.Discovery;

/// <summary>
/// The models of LM Studio: <c>PUBLISHER/MODEL/FILE.gguf</c> below <c>models</c> in its home folder, or below <c>downloadsFolder</c> of its
/// settings. (lmstudio.ai/docs/basics/import-model)
/// </summary>
internal sealed class LmStudioSource(HostEnvironment host) : IModelSource
{
    private const int Levels = 2; // publisher and model

    /// <inheritdoc/>
    public string Origin => "lmstudio";

    /// <inheritdoc/>
    public IReadOnlyList<string> Places
    {
        get
        {
            var home = PointedHome() ?? host.Join(host.Home, ".lmstudio");
            var places = new List<string>();
            foreach (var settings in (string[])[home, OldSettingsFolder()])
            {
                if (MovedFolder(host.Join(settings, "settings.json")) is { } moved)
                    places.Add(moved);
            }

            places.Add(host.Join(home, "models"));
            places.Add(host.Join(host.Home, ".cache", "lm-studio", "models"));
            return [.. places.Distinct(StringComparer.Ordinal)];
        }
    }

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation) =>
        Places.SelectMany(place => new FolderSource(Origin, place, Levels).Find(skipped, cancellation))
            .Select(file => file with { IsNamedByFolder = file.Folder!.Contains('/') });

    // LM Studio writes the path of a home folder that was moved to ~/.lmstudio-home-pointer.
    private string? PointedHome()
    {
        var pointer = host.Join(host.Home, ".lmstudio-home-pointer");
        try
        {
            var home = File.Exists(pointer) ? SmallFile.ReadText(pointer).Trim() : "";
            return Directory.Exists(home) ? home : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private string OldSettingsFolder() => host.System switch
    {
        HostSystem.Windows => host.Join(host.Value("APPDATA") ?? host.Join(host.Home, "AppData", "Roaming"), "LM Studio"),
        HostSystem.MacOS => host.Join(host.Home, "Library", "Application Support", "LM Studio"),
        _ => host.Join(host.Value("XDG_CONFIG_HOME") ?? host.Join(host.Home, ".config"), "LM Studio"),
    };

    // Settings that are missing or cannot be read: the default folders are searched.
    private string? MovedFolder(string settings)
    {
        try
        {
            if (!File.Exists(settings))
                return null;

            using var document = JsonDocument.Parse(SmallFile.ReadBytes(settings));
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("downloadsFolder", out var folder)
                && folder.ValueKind == JsonValueKind.String
                && folder.GetString() is { Length: > 0 } moved ? host.Absolute(moved) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
        {
            return null;
        }
    }
}
