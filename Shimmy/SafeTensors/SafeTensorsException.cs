namespace Shimmy.SafeTensors;

/// <summary>A Hugging Face folder that cannot be served; the message says what is wrong with which file, in words for its owner.</summary>
internal sealed class SafeTensorsException(string message, Exception? inner = null) : Exception(message, inner);
