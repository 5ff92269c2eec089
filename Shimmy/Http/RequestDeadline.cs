using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// The deadline of a request: the server's limit (<c>--request-timeout</c>), or that of the request (<c>timeout</c>) where it is shorter.
/// </summary>
internal sealed class RequestDeadline : IDisposable
{
    private static readonly object Key = new();

    private readonly CancellationTokenSource _end = new();
    private readonly long _began = TimeProvider.System.GetTimestamp();
    private TimeSpan? _limit;

    private RequestDeadline() => Token = _end.Token;

    /// <summary>Cancelled when the deadline is over.</summary>
    public CancellationToken Token { get; }

    /// <summary>
    /// Sets the deadline of a request, or of the next one on the same connection; null sets none until the request asks for one.
    /// </summary>
    public static RequestDeadline Begin(HttpContext context, TimeSpan? limit)
    {
        var deadline = new RequestDeadline();
        if (limit is { } most)
            deadline.EndWithin(most);
        context.Items[Key] = deadline;
        return deadline;
    }

    /// <summary>Sets a limit of the request's own, from its arrival on, where it is shorter than the deadline that holds.</summary>
    public static void Shorten(HttpContext context, TimeSpan limit)
    {
        if (context.Items.TryGetValue(Key, out var known))
            ((RequestDeadline)known!).EndWithin(limit);
    }

    /// <summary>The error of a request that ended at its deadline; null where it ended for another reason.</summary>
    public static ApiError? ErrorOf(HttpContext context, Exception exception) =>
        exception is OperationCanceledException && context.Items.TryGetValue(Key, out var known)
            && known is RequestDeadline { Token.IsCancellationRequested: true } deadline
            ? new ApiError(504, string.Create(System.Globalization.CultureInfo.InvariantCulture,
                $"the request timed out after {deadline._limit!.Value.TotalSeconds:0.###} s (--request-timeout or the field timeout set this limit)"), "deadline_exceeded", null)
            : null;

    /// <inheritdoc/>
    public void Dispose() => _end.Dispose();

    private void EndWithin(TimeSpan limit)
    {
        if (_limit is { } before && before <= limit)
            return;
        _limit = limit;
        var left = limit - TimeProvider.System.GetElapsedTime(_began);
        _end.CancelAfter(left > TimeSpan.Zero ? left : TimeSpan.Zero);
    }
}
