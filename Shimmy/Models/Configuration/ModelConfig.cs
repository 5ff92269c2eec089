namespace Shimmy.Models.Configuration;

/// <summary>What a config file says.</summary>
/// <param name="Models">Models to register, in the file's order; names are unique.</param>
/// <param name="Aliases">Aliases, those of the models first.</param>
/// <param name="MemoryBudget">Bytes that all loaded models together may need; null leaves it to the program.</param>
internal sealed record ModelConfig(IReadOnlyList<ConfiguredModel> Models, IReadOnlyList<ModelAlias> Aliases, long? MemoryBudget = null)
{
    /// <summary>A file that says nothing.</summary>
    public static ModelConfig Empty { get; } = new([], []);
}

/// <summary>One model of a config file.</summary>
/// <param name="Name">The name to serve it under.</param>
/// <param name="Path">Full path of the GGUF file; of any shard where it is split.</param>
/// <param name="Settings">How it is to be loaded and used.</param>
internal sealed record ConfiguredModel(string Name, string Path, ModelSettings Settings);

/// <summary>The config file is wrong. The message names the field, what is wrong with it and what is allowed.</summary>
internal sealed class ConfigException(string message, Exception? inner = null) : Exception(message, inner);
