namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>
/// The names of one scope. Jinja decides before running which scope a name belongs to, and templates depend on the outcome: an
/// assignment in a loop is forgotten at the end of the iteration, one inside of an <c>if</c> is not, and a name that is assigned
/// anywhere in a scope is that scope's everywhere in it. The rules are those of Jinja 3.1 (idtracking.py).
/// </summary>
internal sealed class Symbols
{
    private readonly HashSet<string> names;
    private readonly HashSet<string> stores;
    private readonly OrderedDictionary<string, Load> loads;

    /// <summary>An empty scope within another, in the given function.</summary>
    public Symbols(Symbols? parent, FunctionLayout function)
    {
        Parent = parent;
        Function = function;
        Level = parent is null ? 0 : parent.Level + 1;
        names = new(StringComparer.Ordinal);
        stores = new(StringComparer.Ordinal);
        loads = new(StringComparer.Ordinal);
    }

    private Symbols(Symbols original)
    {
        (Parent, Function, Level) = (original.Parent, original.Function, original.Level);
        names = new(original.names, StringComparer.Ordinal);
        stores = new(original.stores, StringComparer.Ordinal);
        loads = new(original.loads, StringComparer.Ordinal);
    }

    /// <summary>The scope around this one.</summary>
    public Symbols? Parent { get; }

    /// <summary>The function in which the scope's variables live.</summary>
    public FunctionLayout Function { get; }

    /// <summary>How many scopes are around this one.</summary>
    public int Level { get; }

    /// <summary>The names that the scope assigns.</summary>
    public IReadOnlySet<string> Stores => stores;

    /// <summary>How the scope's variables get their first values, in order.</summary>
    public IEnumerable<KeyValuePair<string, Load>> Loads => loads;

    /// <summary>The scope that a name belongs to, this one or an outer one; null where none knows it.</summary>
    public Symbols? OwnerOf(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Parent)
            if (scope.names.Contains(name))
                return scope;
        return null;
    }

    /// <summary>A name is read.</summary>
    public void Read(string name)
    {
        if (OwnerOf(name) is null)
            Define(name, Load.Resolve);
    }

    /// <summary>A name is assigned.</summary>
    public void Store(string name)
    {
        stores.Add(name);
        if (!names.Contains(name))
            Define(name, Parent?.OwnerOf(name) is null ? Load.Undefined : Load.Alias);
    }

    /// <summary>A name is given a value from outside.</summary>
    public void Declare(string name)
    {
        stores.Add(name);
        Define(name, Load.Parameter);
    }

    /// <summary>A copy to follow one branch of an <c>if</c> with.</summary>
    public Symbols Branch() => new(this);

    /// <summary>Takes over what the branches did. What only some assign may be left with its value from before.</summary>
    public void Merge(params ReadOnlySpan<Symbols> branches)
    {
        var added = new List<string>();
        foreach (var branch in branches)
            foreach (var name in branch.stores)
                if (!stores.Contains(name) && !added.Contains(name))
                    added.Add(name);

        foreach (var branch in branches)
        {
            names.UnionWith(branch.names);
            stores.UnionWith(branch.stores);
            foreach (var (name, load) in branch.loads)
                loads[name] = load;
        }

        foreach (var name in added)
            loads[name] = Parent?.OwnerOf(name) is null ? Load.Resolve : Load.Alias;
    }

    private void Define(string name, Load load)
    {
        names.Add(name);
        loads[name] = load;
    }
}
