using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Http.Features;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>A response body that passes everything on and keeps a copy, with the time of each flush.</summary>
internal sealed class ResponseCapture(IHttpResponseBodyFeature inner, RequestContext request) : PipeWriter, IHttpResponseBodyFeature
{
    private readonly ArrayBufferWriter<byte> _copy = new(1024);
    private readonly List<(int Bytes, double Milliseconds)> _flushes = [];
    private Memory<byte> _lent;
    private Stream? _stream;

    /// <summary>The bytes of the body so far.</summary>
    public byte[] Body => _copy.WrittenSpan.ToArray();

    /// <summary>Each flush: the bytes of the body so far, and the time.</summary>
    public IReadOnlyList<(int Bytes, double Milliseconds)> Flushes => _flushes;

    /// <summary>Milliseconds since the request came.</summary>
    public double Milliseconds => request.Elapsed.TotalMilliseconds;

    /// <inheritdoc/>
    public PipeWriter Writer => this;

    /// <inheritdoc/>
    public Stream Stream => _stream ??= AsStream(leaveOpen: true);

    /// <inheritdoc/>
    public override bool CanGetUnflushedBytes => inner.Writer.CanGetUnflushedBytes;

    /// <inheritdoc/>
    public override long UnflushedBytes => inner.Writer.UnflushedBytes;

    /// <inheritdoc/>
    public override Memory<byte> GetMemory(int sizeHint = 0) => _lent = inner.Writer.GetMemory(sizeHint);

    /// <inheritdoc/>
    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    /// <inheritdoc/>
    public override void Advance(int bytes)
    {
        _copy.Write(_lent.Span[..bytes]);
        inner.Writer.Advance(bytes);
        _lent = default;
    }

    /// <inheritdoc/>
    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        MarkFlush();
        return inner.Writer.FlushAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public override void CancelPendingFlush() => inner.Writer.CancelPendingFlush();

    /// <inheritdoc/>
    public override void Complete(Exception? exception = null) => inner.Writer.Complete(exception);

    /// <inheritdoc/>
    public void DisableBuffering() => inner.DisableBuffering();

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken = default) => inner.StartAsync(cancellationToken);

    /// <inheritdoc/>
    public Task CompleteAsync() => inner.CompleteAsync();

    /// <inheritdoc/>
    public async Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Seek(offset, SeekOrigin.Begin);
        var rest = new byte[count ?? file.Length - offset];
        await file.ReadExactlyAsync(rest, cancellationToken).ConfigureAwait(false);
        await WriteAsync(rest, cancellationToken).ConfigureAwait(false);
    }

    private void MarkFlush()
    {
        if (_flushes.Count == 0 || _flushes[^1].Bytes < _copy.WrittenCount)
            _flushes.Add((_copy.WrittenCount, Milliseconds));
    }
}
