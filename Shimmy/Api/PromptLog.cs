using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>The log of rendered prompts (<c>--log-prompts</c>).</summary>
internal sealed partial class PromptLog(ILogger logger, string requestId, RequestContext record)
{
    /// <summary>The log of this request; null where prompts are not logged.</summary>
    public static PromptLog? Of(HttpContext context) => context.RequestServices.GetRequiredService<ServerState>().LogsPrompts
        ? new PromptLog(ModelResolver.LoggerOf(context), context.TraceIdentifier, RequestContext.Of(context))
        : null;

    /// <summary>Logs a prompt, in one line.</summary>
    public void Write(Prompt prompt)
    {
        var text = prompt.Tokens is { } tokens ? $"{tokens.Count} tokens" : MediaMarkers.TextOf(prompt);
        record.KeepTexts(text);
        LogPrompt(logger, requestId, OnOneLine(text));
    }

    // Log injection: a prompt may not forge lines of the log, nor steer the terminal that shows it, nor turn its direction.
    private static string OnOneLine(string text)
    {
        var line = new StringBuilder(text.Length);
        foreach (var character in text.EnumerateRunes())
        {
            _ = character.Value switch
            {
                '\n' => line.Append("\\n"),
                '\r' => line.Append("\\r"),
                '\t' => line.Append("\\t"),
                '\\' => line.Append("\\\\"),
                > char.MaxValue and var hidden when ShownText.IsHidden(character)
                    => line.Append(CultureInfo.InvariantCulture, $"\\U{hidden:x8}"),
                var hidden when ShownText.IsHidden(character) => line.Append(CultureInfo.InvariantCulture, $"\\u{hidden:x4}"),
                _ => line.Append(character.ToString()),
            };
        }
        return line.ToString();
    }

    [LoggerMessage(LogLevel.Information, "prompt of request {RequestId}: {Prompt}")]
    private static partial void LogPrompt(ILogger logger, string requestId, string prompt);
}
