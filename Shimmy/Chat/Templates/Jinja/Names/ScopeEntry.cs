namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>Gives the variables of a scope their first values.</summary>
internal sealed class ScopeEntry(ScopeEntry.Action[] actions)
{
    /// <summary>Runs the entry in a call's frame.</summary>
    public void Run(Frame frame)
    {
        foreach (var action in actions)
            frame.Slots[action.Slot] = action.Load switch
            {
                Load.Resolve => frame.Rendering.Resolve(action.Name),
                Load.Alias => frame.Read(action.Source),
                _ => null,
            };
    }

    /// <summary>What happens to one variable.</summary>
    internal readonly record struct Action(int Slot, Load Load, string Name, Location Source);
}
