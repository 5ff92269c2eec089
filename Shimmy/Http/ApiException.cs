using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Engine;
using Shimmy.Models.Pull;

namespace Shimmy.Http;

/// <summary>
/// An error that the client receives: wrong request, missing model, full queue. RequestMiddleware turns it into the dialect's error body.
/// </summary>
internal sealed class ApiException(int status, string message, string? code = null, string? field = null) : Exception(message)
{
    /// <summary>HTTP status, 400 to 499 or 503; 202 where the answer is not there yet.</summary>
    public int Status { get; } = status;

    /// <summary>A short name for programs, such as <c>model_not_found</c>; null where there is none.</summary>
    public string? Code { get; } = code;

    /// <summary>The request's field at fault; null where it is none in particular.</summary>
    public string? Field { get; } = field;

    /// <summary>Seconds after which a retry makes sense; null where it does not.</summary>
    public int? RetryAfterSeconds { get; init; }

    /// <summary>By how much a text exceeds the context; null where that is not what is wrong.</summary>
    public ContextOverflow? Overflow { get; init; }

    /// <summary>The name that no model has; null where that is not what is wrong.</summary>
    public string? UnknownModel { get; init; }

    /// <summary>A field of the request is wrong.</summary>
    public static ApiException BadField(string field, string message, string? code = null) => new(400, $"{field}: {message}", code, field);

    /// <summary>A text of the request that does not fit the model's context, in a field of its own: one input of several.</summary>
    public static ApiException TooLong(string field, string message, EngineException e) =>
        new(400, $"{field}: {message}", ContextOverflow.Code, field) { Overflow = ContextOverflow.Of(e) };
}

/// <summary>
/// The numbers of a text that does not fit the context. Agents look for them, and for the words that the dialects have for it, to compact
/// a conversation and try again.
/// </summary>
/// <param name="PromptTokens">Tokens of the text; at least so many where it is very long.</param>
/// <param name="ContextLength">Tokens of the context, or of the longest text that the model embeds.</param>
internal sealed record ContextOverflow(int PromptTokens, int ContextLength)
{
    /// <summary>OpenAI's code of the error.</summary>
    public const string Code = "context_length_exceeded";

    /// <summary>Writes the numbers by llama-server's names.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteNumber("n_prompt_tokens", PromptTokens);
        json.WriteNumber("n_ctx", ContextLength);
    }

    /// <summary>The numbers of an engine's error; null where it has none.</summary>
    public static ContextOverflow? Of(EngineException e) =>
        e.ContextLength > 0 ? new ContextOverflow(e.PromptTokens, e.ContextLength) : null;
}

/// <summary>An error as every dialect can write it.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Message">What was wrong, for people.</param>
/// <param name="Code">A short name for programs, or null.</param>
/// <param name="Field">The request's field at fault, or null.</param>
/// <param name="RetryAfterSeconds">Seconds after which a retry makes sense, or null.</param>
internal sealed record ApiError(int Status, string Message, string? Code, string? Field, int? RetryAfterSeconds = null)
{
    /// <summary>By how much a text exceeds the context; null where that is not what is wrong.</summary>
    public ContextOverflow? Overflow { get; init; }

    /// <summary>The name that no model has; null where that is not what is wrong.</summary>
    public string? UnknownModel { get; init; }

    /// <summary>
    /// The error that an exception is to the client of this request; null for a fault of the server, which only the log has.
    /// </summary>
    public static ApiError? Of(Exception exception, HttpContext context)
    {
        var error = RequestDeadline.ErrorOf(context, exception) ?? Of(exception);
        // Template and engine name the fields of OpenAI's chat.
        if (error is null || exception is not EngineException { Option: { } option } || error.Field != option)
            return error;
        var field = RequestContext.Of(context).FieldOf(option);
        return field == option ? error : error with
        {
            Field = field,
            Message = error.Message.StartsWith($"{option}: ", StringComparison.Ordinal)
                ? field + error.Message[option.Length..]
                : $"{field}: {error.Message}",
        };
    }

    private static ApiError? Of(Exception exception) => exception switch
    {
        ApiException e => new ApiError(e.Status, e.Message, e.Code, e.Field, e.RetryAfterSeconds)
        {
            Overflow = e.Overflow,
            UnknownModel = e.UnknownModel,
        },
        EngineException e => Of(e),
        PullException e => Of(e),
        BadHttpRequestException { StatusCode: 413 } =>
            new ApiError(413, "the request body is larger than this server accepts", "request_too_large", null),
        BadHttpRequestException e => new ApiError(e.StatusCode, e.Message, null, null),
        // A client that has left hears nothing, so a cancellation that a client receives is the server's.
        OperationCanceledException => new ApiError(503, "the server is stopping", "draining", null, RetryAfterSeconds: 1),
        _ => null,
    };

    /// <summary>The error that a client gets for a fault of the server.</summary>
    public static ApiError Internal { get; } =
        new(500, "internal error; the server's log has it under this request's x-request-id", "internal_error", null);

    // A registry's refusal is none of this server's: 401 would ask the client for another key.
    private static ApiError Of(PullException e) => e.Failure switch
    {
        PullFailure.BadName => new ApiError(400, $"model: {e.Message}", "invalid_value", "model"),
        PullFailure.NotFound => new ApiError(404, e.Message, "model_not_found", "model"),
        PullFailure.Refused => new ApiError(403, e.Message, "registry_refused", "model"),
        PullFailure.Offline => new ApiError(403, e.Message, "offline", "model"),
        PullFailure.TooMany => new ApiError(503, e.Message, "registry_busy", null, e.RetryAfterSeconds),
        PullFailure.QueueFull => new ApiError(503, e.Message, "queue_full", null, e.RetryAfterSeconds),
        PullFailure.NotRemoved => new ApiError(500, e.Message, "not_removed", null),
        PullFailure.NoSpace => new ApiError(507, e.Message, "no_space", null),
        _ => new ApiError(502, e.Message, "pull_failed", null, e.RetryAfterSeconds),
    };

    private static ApiError Of(EngineException e) => e.Failure switch
    {
        EngineFailure.PromptTooLong => new ApiError(400, e.Message, ContextOverflow.Code, null) { Overflow = ContextOverflow.Of(e) },
        EngineFailure.InvalidRequest => new ApiError(400, e.Message, e.Code ?? "invalid_value", e.Option),
        EngineFailure.QueueFull => new ApiError(429, e.Message, "queue_full", null, e.RetryAfterSeconds),
        // Clients try again what is 5xx, and would load a model of gigabytes for nothing each time.
        EngineFailure.LoadFailed when e.IsLasting || e.Shortage is not null => new ApiError(422, e.Message, "model_load_failed", null),
        EngineFailure.GenerationFailed when e.IsLasting => new ApiError(422, e.Message, "template_invalid", null),
        EngineFailure.LoadFailed => new ApiError(502, e.Message, "model_load_failed", null),
        _ => new ApiError(502, e.Message, "generation_failed", null),
    };
}
