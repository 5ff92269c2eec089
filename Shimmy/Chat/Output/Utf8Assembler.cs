using System.Text;

namespace Shimmy.Chat.Output;

/// <summary>
/// Incremental UTF-8 decoder of tokens' bytes. A character may span tokens: its first bytes wait for the others. Invalid bytes become
/// U+FFFD, and so does an incomplete character at the end of the answer.
/// </summary>
internal sealed class Utf8Assembler
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    /// <summary>Decodes bytes and gives the characters that are complete.</summary>
    public string Push(ReadOnlySpan<byte> bytes) => Decode(bytes, flush: false);

    /// <summary>The replacement of an incomplete character at the end; empty where there is none.</summary>
    public string Flush() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        Span<char> buffer = stackalloc char[256];
        var needed = _decoder.GetCharCount(bytes, flush);
        if (needed == 0 && !flush)
        {
            _decoder.GetChars(bytes, buffer, flush);
            return "";
        }
        var characters = needed <= buffer.Length ? buffer[..needed] : new char[needed];
        var count = _decoder.GetChars(bytes, characters, flush);
        return new string(characters[..count]);
    }
}
