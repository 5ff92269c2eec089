using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>A complete answer, collected from its events for requests that do not stream.</summary>
/// <param name="Text">The text.</param>
/// <param name="Reasoning">The reasoning text.</param>
/// <param name="Calls">Tool calls, with their arguments as JSON text.</param>
/// <param name="Tokens">The generated tokens; null where the request does not ask for them.</param>
/// <param name="PromptTokens">The prompt's tokens; empty where the request does not ask for them.</param>
/// <param name="Start">Prompt tokens and seed.</param>
/// <param name="End">Finish reason, usage and times.</param>
internal sealed record Answer(string Text, string Reasoning, IReadOnlyList<(string Name, string Arguments)> Calls,
    IReadOnlyList<GeneratedToken>? Tokens,
    IReadOnlyList<GeneratedToken> PromptTokens, GenerationStart Start, OutputEnd End)
{
    /// <summary>
    /// A new id for an answer or a part of it: the dialect's prefix, such as <c>chatcmpl-</c>, and 24 random hexadecimal digits.
    /// </summary>
    public static string NewId(string prefix) => prefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12));

    /// <summary>Collects the events up to their end.</summary>
    public static async Task<Answer> CollectAsync(HttpContext context, IAsyncEnumerable<OutputEvent> events)
    {
        var text = new StringBuilder();
        var reasoning = new StringBuilder();
        var calls = new List<(string Name, StringBuilder Arguments)>();
        List<GeneratedToken>? tokens = null;
        var promptTokens = new List<GeneratedToken>();
        GenerationStart? start = null;
        OutputEnd? end = null;
        await foreach (var outputEvent in events.ConfigureAwait(false))
        {
            RequestContext.Of(context).Note(outputEvent);
            start ??= outputEvent.Start;
            end = outputEvent.End;
            text.Append(outputEvent.Text);
            reasoning.Append(outputEvent.Reasoning);
            if (outputEvent.PromptToken is { } read)
                promptTokens.Add(read);
            if (outputEvent.Tokens is { } reported)
                (tokens ??= []).AddRange(reported);
            if (outputEvent.Call is not { } call)
                continue;
            if (call.Name is { } name)
                calls.Add((name, new StringBuilder()));
            calls[call.Index].Arguments.Append(call.Arguments);
        }
        // A call that was cut is left out: its arguments are incomplete JSON. It may be a later one, where only the first is passed on.
        if (end!.EndsInCall && calls.Count > 0 && !IsWholeCall(calls[^1].Arguments.ToString()))
            calls.RemoveAt(calls.Count - 1);
        return new Answer(text.ToString(), reasoning.ToString(),
            [.. calls.Select(call => (call.Name, call.Arguments.ToString()))], tokens, promptTokens, start!, end);
    }

    /// <summary>Whether the arguments of a call are JSON: those of one that was cut are not.</summary>
    public static bool IsWholeCall(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(SurrogateRepair.Of(text));
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
