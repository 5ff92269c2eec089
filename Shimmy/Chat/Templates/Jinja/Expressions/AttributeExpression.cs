using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary><c>owner.name</c>.</summary>
internal sealed class AttributeExpression(Expression owner, string name) : Expression
{
    private readonly TextValue key = TextValue.Own(name);

    /// <summary>The object.</summary>
    public Expression Owner => owner;

    /// <summary>The attribute's name.</summary>
    public string Name => name;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [owner];

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) => Of(owner.Evaluate(frame), frame.Rendering);

    /// <summary>The attribute of an object.</summary>
    public Value Of(Value value, Rendering rendering) => Lookup.Attribute(value, name, key, rendering);
}
