namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>What the nodes of a template are bound in: a scope, and what may be done in it.</summary>
internal sealed record Scope
{
    /// <summary>The names of the scope.</summary>
    public required Symbols Symbols { get; init; }

    /// <summary>What is collected while binding.</summary>
    public required TemplateFeatures Features { get; init; }

    /// <summary>Whether assignments here are the template's own variables, which blocks see.</summary>
    public bool IsTopLevel { get; init; }

    /// <summary>Whether the scope is inside of an <c>if</c>, where unknown filters and tests fail only if they are reached.</summary>
    public bool IsConditional { get; init; }

    /// <summary>Whether a loop of the same function is around, so that <c>break</c> and <c>continue</c> have one to act on.</summary>
    public bool IsInLoop { get; init; }

    /// <summary>The scope of a template's root or of a block, which sees no other scope.</summary>
    public static Scope Root(TemplateFeatures features, bool isTopLevel) => new()
    {
        Symbols = new Symbols(null, new FunctionLayout(null)),
        Features = features,
        IsTopLevel = isTopLevel,
    };

    /// <summary>An inner scope of the same function.</summary>
    public Scope Inner() => Within(Symbols.Function, IsInLoop);

    /// <summary>An inner scope that is a function of its own.</summary>
    public Scope InnerFunction() => Within(new FunctionLayout(Symbols.Function), isInLoop: false);

    /// <summary>A further scope of a function that another inner scope began.</summary>
    public Scope InnerFunction(FunctionLayout function) => Within(function, isInLoop: false);

    /// <summary>Where the variable of a name is at run time.</summary>
    public Location Locate(string name) => Symbols.OwnerOf(name) is { } owner
        ? Locate(owner, name)
        : throw new InvalidOperationException($"The name '{name}' was not collected before it was bound.");

    /// <summary>What happens to the scope's variables where it is entered.</summary>
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
        Features = Features,
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
