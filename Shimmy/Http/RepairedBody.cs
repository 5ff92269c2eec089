using System.Buffers;
using Shimmy.Chat.Messages;

namespace Shimmy.Http;

/// <summary>
/// A request's body as JSON without unpaired surrogates (<see cref="SurrogateRepair"/>), repaired while it is read: bodies are too large to
/// be read twice. Read-only; the body itself is not disposed.
/// </summary>
internal sealed class RepairedBody(Stream body) : ForwardStream
{
    private const int BufferSize = 16 * 1024;

    private readonly byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
    private int _from;
    private int _decided;
    private int _filled;
    private bool _ended;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (_from == _decided)
        {
            if (_ended)
                return 0;
            // What is not decided yet stands in front of what comes next.
            _buffer.AsSpan(_decided, _filled - _decided).CopyTo(_buffer);
            _filled -= _decided;
            (_from, _decided) = (0, 0);
            var read = await body.ReadAsync(_buffer.AsMemory(_filled), cancellationToken).ConfigureAwait(false);
            _ended = read == 0;
            _filled += read;
            _decided = SurrogateRepair.InPlace(_buffer.AsSpan(0, _filled), _ended);
        }
        var count = Math.Min(buffer.Length, _decided - _from);
        _buffer.AsSpan(_from, count).CopyTo(buffer.Span);
        _from += count;
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        base.Dispose(disposing);
    }
}
