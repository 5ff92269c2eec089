using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Chat;

/// <summary>
/// Holds a model that thinks to a number of tokens: once they are spent, the block is closed for it, and it goes on behind the mark as
/// if it had written it. What was computed so far is a prefix of the second request, and is not computed again.
/// </summary>
internal static class ReasoningBudget
{
    /// <summary>Runs a request as one answer.</summary>
    public static async IAsyncEnumerable<OutputEvent> RunAsync(
        ILoadedModel model, GenerationRequest request, ReasoningLimit limit, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var (budget, marks, isOpen) = limit;
        var told = request.Options is { ReportTokens: true } or { TopLogProbabilities: not null };
        var counted = request with { Options = request.Options with { ReportTokens = true } };
        var text = new StringBuilder();
        var spent = 0;
        GenerationStart? start = null;
        var arrived = Stopwatch.GetTimestamp();
        var (begun, first) = (arrived, 0L);
        await foreach (var outputEvent in ChatPipeline.GenerateAsync(model, counted, cancellation).ConfigureAwait(false))
        {
            if (outputEvent.Start is { } admitted)
                (start, begun) = (admitted, Stopwatch.GetTimestamp());
            else if (first == 0)
                first = Stopwatch.GetTimestamp();
            spent += outputEvent.Tokens?.Count ?? 0;
            text.Append(outputEvent.Text);
            yield return told ? outputEvent : outputEvent with { Tokens = null };
            if (outputEvent.End is not null)
                yield break;
            if (spent >= budget && IsThinking(text.ToString(), marks, isOpen))
                break;
        }
        first = first == 0 ? Stopwatch.GetTimestamp() : first;
        var close = $"\n{marks.Close}\n\n";
        yield return OutputEvent.OfText(close);
        var rest = request with
        {
            Prompt = request.Prompt with { Parts = [.. request.Prompt.Parts, .. Thought(text.ToString(), marks, isOpen), new PromptPart(close, ParseSpecial: true)] },
            Options = request.Options with { MaxTokens = request.Options.MaxTokens is { } most ? Math.Max(1, most - spent) : null },
            GrammarTrigger = request.GrammarTrigger == marks.Close ? null : request.GrammarTrigger,
        };
        await foreach (var outputEvent in ChatPipeline.GenerateAsync(model, rest, cancellation).ConfigureAwait(false))
        {
            if (outputEvent.End is { } end)
            {
                yield return OutputEvent.OfEnd(end with
                {
                    Usage = new Usage(start!.PromptTokens, start.CachedTokens, spent + end.Usage.CompletionTokens),
                    // Those of the second request alone would be the times of a part of the tokens.
                    Timings = end.Timings with
                    {
                        QueueMilliseconds = Stopwatch.GetElapsedTime(arrived, begun).TotalMilliseconds,
                        PrefillMilliseconds = Stopwatch.GetElapsedTime(begun, first).TotalMilliseconds,
                        DecodeMilliseconds = Stopwatch.GetElapsedTime(first).TotalMilliseconds,
                    },
                });
            }
            else if (outputEvent.Start is null)
            {
                yield return outputEvent;
            }
        }
    }

    private static bool IsThinking(string text, ReasoningTags marks, bool begun) =>
        (begun || text.AsSpan().TrimStart().StartsWith(marks.Open)) && !text.Contains(marks.Close, StringComparison.Ordinal);

    // Only the mark is more than text: what a model thinks may hold what looks like one.
    private static IEnumerable<PromptPart> Thought(string text, ReasoningTags marks, bool begun)
    {
        if (begun)
            return [new PromptPart(text, ParseSpecial: false)];
        var end = text.IndexOf(marks.Open, StringComparison.Ordinal) + marks.Open.Length;
        return [new PromptPart(text[..end], ParseSpecial: true), new PromptPart(text[end..], ParseSpecial: false)];
    }
}
