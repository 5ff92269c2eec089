using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>
/// <c>{% block name %}…{% endblock %}</c>. No chat template extends another, so a block renders where it stands; what it sees are
/// the variables of the rendering and of the template's top level, and those around it where it is <c>scoped</c>.
/// </summary>
internal sealed class BlockStatement(string name, bool isScoped, Body body) : Statement
{
    private FunctionLayout _layout = null!;
    private ScopeEntry _entry = null!;
    private KeyValuePair<string, Location>[] _visible = [];

    /// <summary>Whether the block sees the variables around it.</summary>
    public bool IsScoped => isScoped;

    public override IEnumerable<Node> Children => [body];

    public override void Collect(Symbols symbols)
    {
    }

    public override void FindReads(HashSet<string> sought, HashSet<string> found)
    {
    }

    public override void Bind(Scope scope)
    {
        if (!scope.Blocks.TryAdd(name, this))
            throw TemplateException.Syntax($"block '{name}' defined twice", Line, 0);
        var inner = Scope.Root(scope.Blocks, isTopLevel: false);
        _layout = inner.Symbols.Function;
        body.Collect(inner.Symbols);
        _entry = inner.Entry();
        body.Bind(inner);
        if (isScoped)
        {
            _visible = [.. inner.Symbols.Loads.Where(load => load.Value == Load.Resolve && scope.Symbols.OwnerOf(load.Key) is not null)
                .Select(load => KeyValuePair.Create(load.Key, scope.Locate(load.Key)))];
        }
    }

    /// <summary>The rendered text of the block, for <c>self.name()</c>.</summary>
    public TextValue Render(RenderContext context)
    {
        var builder = context.Rent();
        Render(context, null, builder);
        return context.Finish(builder, context.AutoEscape);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        Render(frame.Context, frame, output);
        return Completion.Normal;
    }

    private void Render(RenderContext context, Frame? around, TextBuilder output)
    {
        context.Enter();
        var frame = new Frame(_layout, null, context);
        _entry.Run(frame);
        if (around is not null)
        {
            foreach (var (variable, location) in _visible)
            {
                if (around.Read(location) is { } value)
                    frame.Slots[_layout.SlotOf(0, variable)] = value;
            }
        }

        body.Run(frame, output);
        context.Leave();
    }
}

/// <summary>The <c>self</c> variable: has the template's blocks as functions.</summary>
internal sealed class SelfValue(IReadOnlyDictionary<string, BlockStatement> blocks) : Value
{
    public override string TypeName => "TemplateReference";

    public override string ObjectName => "jinja2.runtime.TemplateReference object";

    public override Value? Attribute(string name, RenderContext context) => blocks.TryGetValue(name, out var block)
        ? FunctionValue.WithoutArguments(name, () => block.Render(context))
        : null;

    public override void WriteRepr(TextBuilder text) => text.Append("<TemplateReference None>");
}
