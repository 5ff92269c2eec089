namespace Shimmy.Chat.Output.Tools;

/// <summary>A piece of a tool call: first its name, then its arguments in fragments.</summary>
/// <param name="Index">The call's number in the answer, from 0.</param>
/// <param name="Name">The function's name, on the first piece alone.</param>
/// <param name="Arguments">The next part of the arguments' JSON text; what came so far is always the beginning of valid JSON.</param>
internal sealed record ToolCallDelta(int Index, string? Name, string Arguments);
