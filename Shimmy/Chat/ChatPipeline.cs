using System.Diagnostics;
using System.Runtime.CompilerServices;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Chat;

/// <summary>
/// Runs one request on a loaded model: what all dialects and commands share.
///
/// <code>
///   ChatRequest ─► template ─► GenerationRequest ─► engine ─► token events
///                                                                │ bytes → characters (Utf8Assembler)
///                                                                ▼ text → text without stop strings (StopStrings)
///   dialect     ◄─────────────────────────────────────────── OutputEvent
/// </code>
///
/// The enumeration throws <see cref="EngineException"/> on its first move for what is wrong with the request; leaving it frees the slot.
/// </summary>
internal static class ChatPipeline
{
    /// <summary>Answers a conversation.</summary>
    public static IAsyncEnumerable<OutputEvent> ChatAsync(ILoadedModel model, ChatRequest request, CancellationToken cancellation) =>
        CompleteAsync(model, ChatPrompt.Render(model, request), cancellation);

    /// <summary>Goes on with a prompt as it is.</summary>
    public static async IAsyncEnumerable<OutputEvent> CompleteAsync(
        ILoadedModel model, GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var characters = new Utf8Assembler();
        var stops = new StopStrings(request.Options.Stop);
        var start = new GenerationStart(0, 0, 0);
        var tokens = 0;
        var arrived = Stopwatch.GetTimestamp();
        var (begun, first) = (arrived, 0L);
        await foreach (var happened in model.GenerateAsync(request, cancellation).ConfigureAwait(false))
        {
            if (happened.Start is { } admitted)
            {
                start = admitted;
                begun = Stopwatch.GetTimestamp();
                yield return OutputEvent.OfStart(admitted);
            }
            else if (happened.End is { } end)
            {
                var rest = stops.Push(characters.Flush());
                rest += stops.Hit is null ? stops.Flush() : "";
                if (rest.Length > 0)
                    yield return OutputEvent.OfText(rest);
                yield return OutputEvent.OfEnd(new OutputEnd(stops.Hit is null ? end.Reason : FinishReason.Stop, stops.Hit,
                    new Usage(start.PromptTokens, start.CachedTokens, end.GeneratedTokens), end.Timings));
            }
            else
            {
                tokens++;
                first = first == 0 ? Stopwatch.GetTimestamp() : first;
                var text = stops.Push(characters.Push(happened.Piece.Span));
                if (text.Length > 0)
                    yield return OutputEvent.OfText(text);
                if (stops.Hit is null)
                    continue;
                // The engine knows no stop strings. Leaving the enumeration cancels it there; what it generated meanwhile is not counted.
                yield return OutputEvent.OfEnd(new OutputEnd(FinishReason.Stop, stops.Hit,
                    new Usage(start.PromptTokens, start.CachedTokens, tokens),
                    new GenerationTimings(Stopwatch.GetElapsedTime(arrived, begun).TotalMilliseconds,
                        Stopwatch.GetElapsedTime(begun, first).TotalMilliseconds, Stopwatch.GetElapsedTime(first).TotalMilliseconds)));
                yield break;
            }
        }
    }
}
