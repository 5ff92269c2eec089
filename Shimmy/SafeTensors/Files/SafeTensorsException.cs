using Shimmy.Gguf;

namespace Shimmy.SafeTensors.Files;

/// <summary>
/// A Hugging Face folder cannot be served. The message says what is wrong with which of its files, in words for its owner. Whoever takes
/// models of any format treats it as a broken file.
/// </summary>
internal sealed class SafeTensorsException(string message, Exception? inner = null) : GgufException(message, inner);
