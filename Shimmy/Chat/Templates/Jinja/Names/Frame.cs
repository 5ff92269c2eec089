using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>The variables of one call of a function of the template.</summary>
/// <param name="function">The function.</param>
/// <param name="parent">The call in which the function was defined.</param>
/// <param name="rendering">The rendering.</param>
internal sealed class Frame(FunctionLayout function, Frame? parent, Rendering rendering)
{
    /// <summary>The variables; null where one has no value.</summary>
    public Value?[] Slots { get; } = function.Count == 0 ? [] : new Value?[function.Count];

    /// <summary>The call around this one.</summary>
    public Frame? Parent => parent;

    /// <summary>The rendering.</summary>
    public Rendering Rendering => rendering;

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
