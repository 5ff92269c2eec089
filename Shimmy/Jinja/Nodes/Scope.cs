namespace Shimmy.Jinja.Nodes;

/// <summary>
/// The names of one scope. Jinja decides before running which scope a name belongs to, and templates depend on the outcome: an
/// assignment in a loop is forgotten at the end of the iteration, one inside of an <c>if</c> is not, and a name that is assigned
/// anywhere in a scope is that scope's everywhere in it. The rules are those of Jinja 3.1 (idtracking.py).
/// </summary>
internal sealed class Symbols
{
    private readonly HashSet<string> _names;
    private readonly HashSet<string> _stores;
    private readonly OrderedDictionary<string, Load> _loads;

    /// <summary>An empty scope within another, in the given function.</summary>
    public Symbols(Symbols? parent, FunctionLayout function)
    {
        Parent = parent;
        Function = function;
        Level = parent is null ? 0 : parent.Level + 1;
        _names = new(StringComparer.Ordinal);
        _stores = new(StringComparer.Ordinal);
        _loads = new(StringComparer.Ordinal);
    }

    private Symbols(Symbols original)
    {
        (Parent, Function, Level) = (original.Parent, original.Function, original.Level);
        _names = new(original._names, StringComparer.Ordinal);
        _stores = new(original._stores, StringComparer.Ordinal);
        _loads = new(original._loads, StringComparer.Ordinal);
    }

    /// <summary>The scope around this one.</summary>
    public Symbols? Parent { get; }

    /// <summary>The function in which the scope's variables live.</summary>
    public FunctionLayout Function { get; }

    /// <summary>The depth of the scope: the number of scopes around this one.</summary>
    public int Level { get; }

    /// <summary>The source of each variable's first value, in the order of definition.</summary>
    public IEnumerable<KeyValuePair<string, Load>> Loads => _loads;

    /// <summary>The scope that a name belongs to, this one or an outer one; null where none knows it.</summary>
    public Symbols? OwnerOf(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._names.Contains(name))
                return scope;
        }

        return null;
    }

    /// <summary>Notes that the scope reads a name.</summary>
    public void Read(string name)
    {
        if (OwnerOf(name) is null)
            Define(name, Load.Resolve);
    }

    /// <summary>Notes that the scope assigns a name.</summary>
    public void Store(string name)
    {
        _stores.Add(name);
        if (!_names.Contains(name))
            Define(name, Parent?.OwnerOf(name) is null ? Load.Undefined : Load.Alias);
    }

    /// <summary>Notes that a name is given its value from outside, as a parameter is.</summary>
    public void Declare(string name)
    {
        _stores.Add(name);
        Define(name, Load.Parameter);
    }

    /// <summary>A copy to follow one branch of an <c>if</c> with.</summary>
    public Symbols Branch() => new(this);

    /// <summary>Joins the branches of an <c>if</c>. A name that only some of them assign may keep its value from before.</summary>
    public void Merge(params ReadOnlySpan<Symbols> branches)
    {
        var added = new List<string>();
        foreach (var branch in branches)
        {
            foreach (var name in branch._stores)
            {
                if (!_stores.Contains(name) && !added.Contains(name))
                    added.Add(name);
            }
        }

        foreach (var branch in branches)
        {
            _names.UnionWith(branch._names);
            _stores.UnionWith(branch._stores);
            foreach (var (name, load) in branch._loads)
                _loads[name] = load;
        }

        foreach (var name in added)
            _loads[name] = Parent?.OwnerOf(name) is null ? Load.Resolve : Load.Alias;
    }

    private void Define(string name, Load load)
    {
        _names.Add(name);
        _loads[name] = load;
    }
}

/// <summary>The source of a variable's first value where its scope is entered.</summary>
internal enum Load
{
    /// <summary>A value given from outside: a parameter of a macro, the target of a loop.</summary>
    Parameter,

    /// <summary>The variables of the rendering, else the global functions.</summary>
    Resolve,

    /// <summary>The variable of the same name in an outer scope.</summary>
    Alias,

    /// <summary>No value until the variable is assigned.</summary>
    Undefined,
}

/// <summary>
/// The surroundings in which a node is bound: the names of its scope, and whether it is at the top level, in a loop or in an <c>if</c>.
/// </summary>
internal sealed record Scope
{
    /// <summary>The symbols of the scope.</summary>
    public required Symbols Symbols { get; init; }

    /// <summary>The blocks of the template by name, collected while binding.</summary>
    public required Dictionary<string, BlockStatement> Blocks { get; init; }

    /// <summary>Whether assignments here are the template's own variables, which blocks see.</summary>
    public bool IsTopLevel { get; init; }

    /// <summary>Whether the scope is inside of an <c>if</c>, where unknown filters and tests fail only if they are reached.</summary>
    public bool IsConditional { get; init; }

    /// <summary>Whether a loop of the same function is around, so that <c>break</c> and <c>continue</c> have one to act on.</summary>
    public bool IsInLoop { get; init; }

    /// <summary>The scope of a template's root or of a block, which sees no other scope.</summary>
    public static Scope Root(Dictionary<string, BlockStatement> blocks, bool isTopLevel) => new()
    {
        Symbols = new Symbols(null, new FunctionLayout(null)),
        Blocks = blocks,
        IsTopLevel = isTopLevel,
    };

    /// <summary>An inner scope of the same function.</summary>
    public Scope Inner() => Within(Symbols.Function, IsInLoop);

    /// <summary>An inner scope that is a function of its own.</summary>
    public Scope InnerFunction() => Within(new FunctionLayout(Symbols.Function), isInLoop: false);

    /// <summary>A further scope of a function that another inner scope began.</summary>
    public Scope InnerFunction(FunctionLayout function) => Within(function, isInLoop: false);

    /// <summary>The place at run time of the variable of a name.</summary>
    public Location Locate(string name) => Symbols.OwnerOf(name) is { } owner
        ? Locate(owner, name)
        : throw new InvalidOperationException($"The name '{name}' was not collected before it was bound.");

    /// <summary>The initialization of the scope's variables, to run where the scope is entered.</summary>
    public ScopeEntry Entry()
    {
        var actions = new List<ScopeEntry.Action>();
        foreach (var (name, load) in Symbols.Loads)
        {
            if (load == Load.Parameter)
                continue;
            var slot = Symbols.Function.SlotOf(Symbols.Level, name);
            var source = load == Load.Alias ? Locate(Symbols.Parent!.OwnerOf(name)!, name) : default;
            actions.Add(new ScopeEntry.Action(slot, load, name, source));
        }

        return new ScopeEntry([.. actions]);
    }

    private Scope Within(FunctionLayout function, bool isInLoop) => new()
    {
        Symbols = new Symbols(Symbols, function),
        Blocks = Blocks,
        IsInLoop = isInLoop,
    };

    private Location Locate(Symbols owner, string name)
    {
        var hops = 0;
        for (var function = Symbols.Function; function != owner.Function; function = function!.Parent)
            hops++;
        return new Location(hops, owner.Function.SlotOf(owner.Level, name));
    }
}
