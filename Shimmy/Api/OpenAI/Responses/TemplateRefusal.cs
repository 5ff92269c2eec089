using Shimmy.Engine;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>What a chat template refuses is named as chat completions have it; here the conversation is <c>input</c>.</summary>
internal static class TemplateRefusal
{
    private const string Field = "messages";

    /// <summary>Whether an exception is about the conversation itself.</summary>
    public static bool Is(EngineException exception) => exception is { Failure: EngineFailure.InvalidRequest, Option: Field };

    /// <summary>The same in the words of this route.</summary>
    public static ApiException Reworded(EngineException exception) => ApiException.BadField("input",
        exception.Message.StartsWith(Field + ": ", StringComparison.Ordinal) ? exception.Message[(Field.Length + 2)..] : exception.Message, "invalid_value");
}
