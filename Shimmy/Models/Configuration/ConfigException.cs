namespace Shimmy.Models.Configuration;

/// <summary>The config file is wrong. The message names the field, what is wrong with it and what is allowed.</summary>
internal sealed class ConfigException(string message, Exception? inner = null) : Exception(message, inner);
