using System.Text;

namespace Shimmy.Chat.Output;

/// <summary>
/// Makes text of the bytes of tokens. A character may span tokens: its bytes wait until they are whole. Bytes that are no UTF-8 become
/// U+FFFD, as does a character that the answer leaves unfinished.
/// </summary>
internal sealed class Utf8Assembler
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    /// <summary>The characters that these bytes complete.</summary>
    public string Push(ReadOnlySpan<byte> bytes) => Decode(bytes, flush: false);

    /// <summary>What is left of an unfinished character.</summary>
    public string Flush() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        Span<char> room = stackalloc char[256];
        var needed = _decoder.GetCharCount(bytes, flush);
        if (needed == 0 && !flush)
        {
            _decoder.GetChars(bytes, room, flush);
            return "";
        }
        var characters = needed <= room.Length ? room[..needed] : new char[needed];
        var count = _decoder.GetChars(bytes, characters, flush);
        return new string(characters[..count]);
    }
}
