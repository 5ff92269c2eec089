using System.Text;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Api;

/// <summary>A whole answer, for requests that do not stream.</summary>
/// <param name="Text">Its text.</param>
/// <param name="Start">How it began.</param>
/// <param name="End">How it ended.</param>
internal sealed record Answer(string Text, GenerationStart Start, OutputEnd End)
{
    /// <summary>Runs the events to their end.</summary>
    public static async Task<Answer> CollectAsync(HttpContext context, IAsyncEnumerable<OutputEvent> events)
    {
        var text = new StringBuilder();
        GenerationStart? start = null;
        OutputEnd? end = null;
        await foreach (var happened in events.ConfigureAwait(false))
        {
            start ??= happened.Start;
            end = happened.End;
            text.Append(happened.Text);
        }
        RequestLog.Of(context).Usage = end!.Usage;
        return new Answer(text.ToString(), start!, end);
    }
}
