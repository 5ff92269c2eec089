using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>The fields about the model and the urgency of a request, which are the same in every dialect.</summary>
/// <param name="Model">Name of the model; null where the request names none, and the one registered by hand answers.</param>
/// <param name="KeepAlive">How long the model stays loaded afterwards (<c>keep_alive</c>, in Ollama's forms); null for the model's
/// own.</param>
/// <param name="Timeout">How long the request may take (<c>timeout</c>, in seconds); null for the server's limit alone.</param>
/// <param name="Priority">Place among the waiting requests of the same client (<c>priority</c>): lower first, as in vLLM.</param>
internal sealed record ModelRequest(string? Model, TimeSpan? KeepAlive, TimeSpan? Timeout, int Priority)
{
    private const int MostPriority = 1000;
    private const double LongestTimeout = 24 * 60 * 60;

    /// <summary>The names of the fields.</summary>
    public static IReadOnlyList<string> Names { get; } = ["model", "keep_alive", "timeout", "priority"];

    /// <summary>Reads the fields. Throws <see cref="ApiException"/> naming the one that is wrong.</summary>
    public static ModelRequest Read(RequestFields fields)
    {
        var keepAlive = KeepAliveOf(fields);
        var timeout = TimeoutOf(fields);
        var priority = fields.Whole("priority", -MostPriority, MostPriority) ?? 0;
        return new ModelRequest(fields.Text("model") is { Length: > 0 } model ? model : null, keepAlive, timeout, priority);
    }

    /// <summary>
    /// The field <c>keep_alive</c>; null where it is absent. Throws <see cref="ApiException"/> for a value that is not a duration.
    /// </summary>
    public static TimeSpan? KeepAliveOf(RequestFields fields)
    {
        const string name = "keep_alive";
        if (fields.Find(name) is not { } value)
            return null;
        return Models.KeepAlive.TryParse(value, out var duration)
            ? duration
            : throw ApiException.BadField(name, $"must be {Models.KeepAlive.Allowed}, not {RequestFields.Describe(value)}");
    }

    private static TimeSpan? TimeoutOf(RequestFields fields)
    {
        const string name = "timeout";
        if (fields.Number(name, 0, LongestTimeout) is not { } seconds)
            return null;
        return seconds > 0
            ? TimeSpan.FromSeconds(seconds)
            : throw ApiException.BadField(name, $"must be a number of seconds above 0, at most {LongestTimeout}");
    }
}
