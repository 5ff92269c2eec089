using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;

namespace Shimmy.Models.Configuration;

/// <summary>
/// Makes registry entries of models that a user registered. A file that is missing or not a model is listed with the reason.
/// </summary>
internal static class RegisteredModels
{
    /// <summary>
    /// The variable that names a LoRA adapter for the model of <see cref="SearchOrder.BaseGguf"/>, as <c>FILE</c>.
    /// </summary>
    public const string LoraGguf = "SHIMMY_LORA_GGUF";

    /// <summary>The model of SHIMMY_BASE_GGUF with the adapter of SHIMMY_LORA_GGUF; null where the variable is not set.</summary>
    public static ModelEntry? FromEnvironment(HostEnvironment host)
    {
        if (host.Folder(SearchOrder.BaseGguf) is not { } path)
            return null;

        var settings = host.Folder(LoraGguf) is { } lora
            ? ModelSettings.None with { Loras = [new LoraSetting(lora)] }
            : ModelSettings.None;
        return Open(path, name: null, settings);
    }

    /// <summary>Replaces the models and aliases of the configuration file.</summary>
    public static void Put(ModelRegistry registry, ModelConfig config) =>
        registry.SetConfigured([.. config.Models.Select(Of)], config.Aliases);

    /// <summary>The entry of a model of the config file.</summary>
    public static ModelEntry Of(ConfiguredModel model) => Open(model.Path, model.Name, model.Settings);

    /// <summary>The entry of a model that could not be used, made again: its file may have come back.</summary>
    public static ModelEntry Again(ModelEntry entry) => Open(entry.Path, entry.Name, entry.Settings) with { OtherNames = entry.OtherNames };

    /// <summary>An entry for a file.</summary>
    /// <param name="path">Full path.</param>
    /// <param name="name">The name to serve it under; null takes the file's.</param>
    /// <param name="settings">Settings of loading and use.</param>
    public static ModelEntry Open(string path, string? name, ModelSettings settings)
    {
        ModelEntry entry;
        try
        {
            entry = SingleFile.Open(path);
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            var reason = e is GgufException ? $"{Path.GetFileName(path)}: {e.Message}" : e.Message;
            entry = new ModelEntry
            {
                Name = ModelFileName.Parse(Path.GetFileName(path)).Name,
                Path = path,
                Shards = [path],
                WhyUnloadable = reason,
            };
        }

        var missing = settings.Loras.FirstOrDefault(lora => !File.Exists(lora.Path) && !TensorFolder.IsAdapter(lora.Path))?.Path;
        var noProjector = settings.Projector is { } projector and not ModelSettings.NoProjector && !File.Exists(projector)
            ? projector
            : null;
        return AdapterPairing.WithChosen(entry, noProjector is null ? settings.Projector : null, out var whyUnfit) with
        {
            Name = name ?? entry.Name,
            OtherNames = name is null ? entry.OtherNames : [],
            Origin = "",
            Source = ModelSource.Registered,
            Settings = settings,
            WhyUnloadable = entry.WhyUnloadable
                ?? (missing is not null ? $"there is no file '{missing}' for its LoRA adapter, nor such a folder with adapter_config.json"
                    : noProjector is not null ? $"there is no file '{noProjector}' for its projector (mmproj)" : whyUnfit),
        };
    }
}
