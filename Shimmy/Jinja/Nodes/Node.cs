using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>
/// A node of a template's tree. After parsing, names are collected scope by scope (<see cref="Collect"/>) and then bound to the
/// places of their variables (<see cref="Bind"/>); from then on the tree never changes and any number of threads may run it.
/// </summary>
internal abstract class Node
{
    /// <summary>The line where the node begins, from 1.</summary>
    public int Line { get; init; }

    /// <summary>The nodes directly within this one, in the order in which Jinja visits them.</summary>
    public virtual IEnumerable<Node> Children => [];

    /// <summary>Reports to the scope which names this node reads and assigns in it. Nodes with a scope of their own stop here.</summary>
    public virtual void Collect(Symbols symbols)
    {
        foreach (var child in Children)
            child.Collect(symbols);
    }

    /// <summary>Binds the names to places.</summary>
    public virtual void Bind(Scope scope)
    {
        foreach (var child in Children)
            child.Bind(scope);
    }

    /// <summary>
    /// Looks whether any of these names is read before it is assigned, in this node or whatever is within it, blocks excepted.
    /// Names found go to <paramref name="found"/>; names assigned first are dropped from <paramref name="sought"/>.
    /// </summary>
    public virtual void FindReads(HashSet<string> sought, HashSet<string> found)
    {
        foreach (var child in Children)
            child.FindReads(sought, found);
    }

    /// <summary>Whether any of these nodes reads a name before assigning it.</summary>
    public static HashSet<string> FindReads(IEnumerable<Node> nodes, params ReadOnlySpan<string> names)
    {
        var sought = new HashSet<string>(StringComparer.Ordinal);
        foreach (var name in names)
            sought.Add(name);
        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in nodes)
            node.FindReads(sought, found);
        return found;
    }

    /// <summary>Whether this node or one within it is of a type and meets a condition.</summary>
    public bool Any<T>(Func<T, bool> condition) where T : Node
    {
        foreach (var child in Children)
        {
            if ((child is T node && condition(node)) || child.Any(condition))
                return true;
        }

        return false;
    }
}

/// <summary>A node that has a value.</summary>
internal abstract class Expression : Node
{
    /// <summary>The value in a call's frame.</summary>
    public abstract Value Evaluate(Frame frame);
}
