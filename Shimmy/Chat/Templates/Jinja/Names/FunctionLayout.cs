namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>
/// The variables of one function of the template: its root, a macro, a recursive loop, a loop's filter, a block. Jinja compiles
/// each to a Python function, and variables live as long as the function's call, shared by all scopes inside it.
/// </summary>
internal sealed class FunctionLayout(FunctionLayout? parent)
{
    private readonly Dictionary<(int Level, string Name), int> slots = [];

    /// <summary>The function around this one.</summary>
    public FunctionLayout? Parent => parent;

    /// <summary>How many variables a call of the function has.</summary>
    public int Count => slots.Count;

    /// <summary>The slot of a scope's variable.</summary>
    public int SlotOf(int level, string name)
    {
        if (!slots.TryGetValue((level, name), out var slot))
            slots.Add((level, name), slot = slots.Count);
        return slot;
    }
}
