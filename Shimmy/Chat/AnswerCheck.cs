using System.Text;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Chat;

/// <summary>
/// Checks a finished answer against what of its schema the grammar could not express, and logs what is wrong. The answer itself stays:
/// it may have been streamed already.
/// </summary>
internal sealed class AnswerCheck
{
    private readonly Func<string, string?> _problemOf;
    private readonly StringBuilder _text = new();
    private bool _called;

    private AnswerCheck(Func<string, string?> problemOf) => _problemOf = problemOf;

    /// <summary>The check that a grammar needs; null where it says all of its schema.</summary>
    public static AnswerCheck? Of(Grammar? grammar) => grammar?.ProblemOf is { } problemOf ? new AnswerCheck(problemOf) : null;

    /// <summary>Takes the next event; at the end of a whole answer in text, logs what is wrong with it.</summary>
    public void Note(in OutputEvent outputEvent, ILogger logger)
    {
        _text.Append(outputEvent.Text);
        _called |= outputEvent.Call is not null;
        if (outputEvent.End is { Reason: FinishReason.Stop, StopString: null, IsCancelled: false } && !_called
            && _problemOf(_text.ToString()) is { } problem)
        {
            PipelineLog.Unsatisfied(logger, problem);
        }
    }

    /// <summary>The events, each of which it takes.</summary>
    public async IAsyncEnumerable<OutputEvent> Through(IAsyncEnumerable<OutputEvent> events, ILogger logger)
    {
        await foreach (var outputEvent in events.ConfigureAwait(false))
        {
            Note(outputEvent, logger);
            yield return outputEvent;
        }
    }
}

/// <summary>Lines of the pipeline in the log.</summary>
internal static partial class PipelineLog
{
    [LoggerMessage(LogLevel.Warning, "the arguments of a tool are not checked against its schema: {Reason}")]
    public static partial void UncheckedArguments(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Warning, "an answer does not satisfy its schema, of which a grammar expresses a part: {Problem}")]
    public static partial void Unsatisfied(ILogger logger, string problem);
}
