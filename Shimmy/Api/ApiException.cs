namespace Shimmy.Api;

/// <summary>What the client did wrong; one place turns it into the dialect's error body.</summary>
internal sealed class ApiException(int status, string message, string? code = null, string? field = null) : Exception(message)
{
    /// <summary>HTTP status, 400 to 499 or 503.</summary>
    public int Status { get; } = status;

    /// <summary>A short name for programs, such as <c>model_not_found</c>; null where there is none.</summary>
    public string? Code { get; } = code;

    /// <summary>The request's field at fault; null where it is none in particular.</summary>
    public string? Field { get; } = field;

    /// <summary>Seconds after which a retry makes sense; null where it does not.</summary>
    public int? RetryAfterSeconds { get; init; }

    /// <summary>A field of the request is wrong.</summary>
    public static ApiException BadField(string field, string message, string? code = null) => new(400, $"{field}: {message}", code, field);
}
