namespace Shimmy.Models.Configuration;

/// <summary>The content of a configuration file.</summary>
/// <param name="Models">Models to register, in the file's order; names are unique.</param>
/// <param name="Aliases">Aliases, those of the models first.</param>
/// <param name="MemoryBudget">Bytes that all loaded models together may need; null leaves it to the program.</param>
internal sealed record ModelConfig(IReadOnlyList<ConfiguredModel> Models, IReadOnlyList<ModelAlias> Aliases, long? MemoryBudget = null)
{
    /// <summary>An empty file.</summary>
    public static ModelConfig Empty { get; } = new([], []);
}

/// <summary>One model of a configuration file.</summary>
/// <param name="Name">The name to serve it under.</param>
/// <param name="Path">Full path of the GGUF file; of any shard where it is split.</param>
/// <param name="Settings">Settings of loading and use.</param>
internal sealed record ConfiguredModel(string Name, string Path, ModelSettings Settings);

/// <summary>An error in the configuration file. The message names the field, its value and what is allowed.</summary>
internal sealed class ConfigException(string message, Exception? inner = null) : Exception(message, inner);
