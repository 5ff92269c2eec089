using System.Runtime.CompilerServices;
using System.Text;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Chat;

/// <summary>
/// Limits the reasoning to a number of tokens: once they are spent, the closing tag is written for the model, which continues behind it in
/// a second request of the engine. The text so far is a prefix of that request, so the KV cache has it.
/// </summary>
internal static class ReasoningBudget
{
    /// <summary>Runs a request as one answer.</summary>
    public static async IAsyncEnumerable<OutputEvent> RunAsync(
        ModelLease lease, GenerationRequest request, ReasoningLimit limit, AnswerClock clock,
        [EnumeratorCancellation] CancellationToken cancellation, ReasoningControl? control = null)
    {
        var (budget, tags, isOpen) = limit;
        var reports = request.Options is { ReportTokens: true } or { TopLogProbabilities: not null };
        // Tokens are asked for so that each comes with an event, even the last ones that complete no text.
        var counted = request with { Options = request.Options with { ReportTokens = true } };
        var text = new StringBuilder();
        await foreach (var outputEvent in ChatPipeline.GenerateAsync(lease, counted, clock, cancellation).ConfigureAwait(false))
        {
            text.Append(outputEvent.Text);
            yield return reports ? outputEvent : outputEvent with { Tokens = null };
            if (outputEvent.End is not null)
                yield break;
            if ((clock.Tokens >= budget || control?.IsEnded == true) && IsThinking(text.ToString(), tags, isOpen))
                break;
        }
        var close = $"\n{tags.Close}\n\n";
        yield return OutputEvent.OfText(close);
        var rest = request with
        {
            Prompt = request.Prompt with
            {
                Parts =
                [.. request.Prompt.Parts, .. ReasoningParts(text.ToString(), tags, isOpen), new PromptPart(close, ParseSpecial: true)]
            },
            Options = request.Options with { MaxTokens = request.Options.MaxTokens is { } most ? Math.Max(1, most - clock.Tokens) : null },
            GrammarTrigger = request.GrammarTrigger == tags.Close ? null : request.GrammarTrigger,
        };
        await foreach (var outputEvent in ChatPipeline.GenerateAsync(lease, rest, clock, cancellation).ConfigureAwait(false))
        {
            if (outputEvent.Start is null)
                yield return outputEvent;
        }
    }

    private static bool IsThinking(string text, ReasoningTags tags, bool begun) =>
        (begun || text.AsSpan().TrimStart().StartsWith(tags.Open)) && !text.Contains(tags.Close, StringComparison.Ordinal);

    // Special tokens are parsed in the opening tag only: the reasoning may contain text that looks like one.
    private static IEnumerable<PromptPart> ReasoningParts(string text, ReasoningTags tags, bool begun)
    {
        if (begun)
            return [new PromptPart(text, ParseSpecial: false)];
        var end = text.IndexOf(tags.Open, StringComparison.Ordinal) + tags.Open.Length;
        return [new PromptPart(text[..end], ParseSpecial: true), new PromptPart(text[end..], ParseSpecial: false)];
    }
}
