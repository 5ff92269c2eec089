using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>
/// <c>{% block name %}…{% endblock %}</c>. No chat template extends another, so a block renders where it stands; what it sees are
/// the variables of the rendering and of the template's top level, and those around it where it is <c>scoped</c>.
/// </summary>
internal sealed class BlockStatement(string name, bool isScoped, Body body) : Statement
{
    private FunctionLayout layout = null!;
    private ScopeEntry entry = null!;
    private KeyValuePair<string, Location>[] visible = [];

    /// <summary>Whether the block sees the variables around it.</summary>
    public bool IsScoped => isScoped;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [body];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols)
    {
    }

    /// <inheritdoc/>
    public override void FindReads(HashSet<string> sought, HashSet<string> found)
    {
    }

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        if (!scope.Blocks.TryAdd(name, this))
            throw TemplateException.Syntax($"block '{name}' defined twice", Line, 0);
        var inner = Scope.Root(scope.Blocks, isTopLevel: false);
        layout = inner.Symbols.Function;
        body.Collect(inner.Symbols);
        entry = inner.Entry();
        body.Bind(inner);
        if (isScoped)
            visible = [.. inner.Symbols.Loads.Where(load => load.Value == Load.Resolve && scope.Symbols.OwnerOf(load.Key) is not null)
                .Select(load => KeyValuePair.Create(load.Key, scope.Locate(load.Key)))];
    }

    /// <summary>What the block renders, for <c>self.name()</c>.</summary>
    public TextValue Render(Rendering rendering)
    {
        var builder = rendering.Rent();
        Render(rendering, null, builder);
        return rendering.Finish(builder, rendering.AutoEscape);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        Render(frame.Rendering, frame, output);
        return Completion.Normal;
    }

    private void Render(Rendering rendering, Frame? around, TextBuilder output)
    {
        rendering.Enter();
        var frame = new Frame(layout, null, rendering);
        entry.Run(frame);
        if (around is not null)
            foreach (var (variable, location) in visible)
                if (around.Read(location) is { } value)
                    frame.Slots[layout.SlotOf(0, variable)] = value;
        body.Run(frame, output);
        rendering.Leave();
    }
}

/// <summary>The <c>self</c> variable: has the template's blocks as functions.</summary>
internal sealed class SelfValue(IReadOnlyDictionary<string, BlockStatement> blocks) : Value
{
    /// <inheritdoc/>
    public override string TypeName => "TemplateReference";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.runtime.TemplateReference object";

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => blocks.TryGetValue(name, out var block)
        ? BuiltIn.WithoutArguments(name, () => block.Render(rendering))
        : null;

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append("<TemplateReference None>");
}
