namespace Shimmy.Models.Gguf;

/// <summary>A file is not a GGUF that can be used. The message says what is wrong with it, without the file's path.</summary>
internal sealed class GgufException(string message, Exception? inner = null) : Exception(message, inner);
