using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

/// <summary>The stack frame of a function of the template: the variables of one call.</summary>
/// <param name="function">The function.</param>
/// <param name="parent">The call in which the function was defined.</param>
/// <param name="context">The state of the rendering.</param>
internal sealed class Frame(FunctionLayout function, Frame? parent, RenderContext context)
{
    /// <summary>The variables; null where one has no value.</summary>
    public Value?[] Slots { get; } = function.Count == 0 ? [] : new Value?[function.Count];

    /// <summary>The call around this one.</summary>
    public Frame? Parent => parent;

    /// <summary>The rendering.</summary>
    public RenderContext Context => context;

    /// <summary>The value of a variable, or null.</summary>
    public Value? Read(Location location)
    {
        var frame = this;
        for (var hops = location.Hops; hops > 0; hops--)
            frame = frame.Parent!;
        return frame.Slots[location.Slot];
    }

    /// <summary>Sets a variable.</summary>
    public void Write(Location location, Value value)
    {
        var frame = this;
        for (var hops = location.Hops; hops > 0; hops--)
            frame = frame.Parent!;
        frame.Slots[location.Slot] = value;
    }
}

/// <summary>The place of a variable at run time: a frame and a slot in it.</summary>
/// <param name="Hops">The number of frames to go outwards; 0 is the running function's frame.</param>
/// <param name="Slot">The slot of the variable in that frame.</param>
internal readonly record struct Location(int Hops, int Slot);

/// <summary>
/// The variables of one function of the template: its root, a macro, a recursive loop, a loop's filter, a block. Jinja compiles
/// each to a Python function, and variables live as long as the function's call, shared by all scopes inside it.
/// </summary>
internal sealed class FunctionLayout(FunctionLayout? parent)
{
    private readonly Dictionary<(int Level, string Name), int> _slots = [];

    /// <summary>The function around this one.</summary>
    public FunctionLayout? Parent => parent;

    /// <summary>The number of variables that a call of the function has.</summary>
    public int Count => _slots.Count;

    /// <summary>The slot of a scope's variable.</summary>
    public int SlotOf(int level, string name)
    {
        if (!_slots.TryGetValue((level, name), out var slot))
            _slots.Add((level, name), slot = _slots.Count);
        return slot;
    }
}

/// <summary>The initialization of the variables of a scope.</summary>
internal sealed class ScopeEntry(ScopeEntry.Action[] actions)
{
    /// <summary>Runs the entry in a call's frame.</summary>
    public void Run(Frame frame)
    {
        foreach (var action in actions)
        {
            frame.Slots[action.Slot] = action.Load switch
            {
                Load.Resolve => frame.Context.Resolve(action.Name) ?? Globals.Find(action.Name),
                Load.Alias => frame.Read(action.Source),
                _ => null,
            };
        }
    }

    /// <summary>The initialization of one variable.</summary>
    internal readonly record struct Action(int Slot, Load Load, string Name, Location Source);
}
