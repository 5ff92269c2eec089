using Shimmy.Chat.Templates.Jinja.Methods;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>What a value can be assigned to.</summary>
internal abstract class Target : Node
{
    /// <summary>Assigns a value.</summary>
    public abstract void Assign(Frame frame, Value value);

    /// <summary>Checks before the value is computed that the target can take one.</summary>
    public virtual void Check(Frame frame)
    {
    }

    /// <summary>Reads back what was assigned.</summary>
    public abstract Value Read(Frame frame);

    /// <summary>The names in the target are given values from outside, as a loop's are.</summary>
    public abstract void Declare(Symbols symbols);

    /// <summary>The plain names that the target assigns.</summary>
    public abstract IEnumerable<string> Names { get; }

    /// <summary>A target of the same names, to be bound in another function.</summary>
    public abstract Target Copy();
}

/// <summary>A variable to assign to.</summary>
internal sealed class NameTarget(string name) : Target
{
    private Location location;

    /// <inheritdoc/>
    public override IEnumerable<string> Names => [name];

    /// <inheritdoc/>
    public override void Assign(Frame frame, Value value) => frame.Write(location, value);

    /// <inheritdoc/>
    public override Value Read(Frame frame) => frame.Read(location) ?? UndefinedValue.Variable(name);

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => symbols.Store(name);

    /// <inheritdoc/>
    public override void Declare(Symbols symbols) => symbols.Declare(name);

    /// <inheritdoc/>
    public override void Bind(Scope scope) => location = scope.Locate(name);

    /// <inheritdoc/>
    public override void FindReads(HashSet<string> sought, HashSet<string> found) => sought.Remove(name);

    /// <inheritdoc/>
    public override Target Copy() => new NameTarget(name) { Line = Line };
}

/// <summary>An attribute of a namespace to assign to.</summary>
internal sealed class NamespaceTarget(string name, string attribute) : Target
{
    private Location location;

    /// <inheritdoc/>
    public override IEnumerable<string> Names => [];

    /// <inheritdoc/>
    public override void Check(Frame frame) => Namespace(frame);

    /// <inheritdoc/>
    public override void Assign(Frame frame, Value value) => Namespace(frame).Set(attribute, value);

    /// <inheritdoc/>
    public override Value Read(Frame frame) => Lookup.Attribute(Namespace(frame), attribute, frame.Rendering);

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => symbols.Read(name);

    /// <inheritdoc/>
    public override void Declare(Symbols symbols) => symbols.Read(name);

    /// <inheritdoc/>
    public override void Bind(Scope scope) => location = scope.Locate(name);

    /// <inheritdoc/>
    public override Target Copy() => new NamespaceTarget(name, attribute) { Line = Line };

    private NamespaceValue Namespace(Frame frame) => frame.Read(location) as NamespaceValue ??
        throw new TemplateException(TemplateFailure.Undefined, "cannot assign attribute on non-namespace object");
}

/// <summary>Several targets that take the elements of a value.</summary>
internal sealed class TupleTarget(Target[] targets) : Target
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => targets;

    /// <inheritdoc/>
    public override IEnumerable<string> Names => targets.SelectMany(target => target.Names);

    /// <inheritdoc/>
    public override void Check(Frame frame)
    {
        foreach (var target in targets)
            target.Check(frame);
    }

    /// <inheritdoc/>
    public override void Assign(Frame frame, Value value)
    {
        if (!value.IsIterable)
            throw TemplateException.Evaluation($"cannot unpack non-iterable {value.TypeName} object");
        var elements = Methods.Parameters.Elements(value, frame.Rendering);
        if (elements.Length != targets.Length)
            throw TemplateException.Evaluation(elements.Length > targets.Length
                ? $"too many values to unpack (expected {targets.Length})"
                : $"not enough values to unpack (expected {targets.Length}, got {elements.Length})");
        for (var i = 0; i < targets.Length; i++)
            targets[i].Assign(frame, elements[i]);
    }

    /// <inheritdoc/>
    public override Value Read(Frame frame) => new TupleValue(Array.ConvertAll(targets, target => target.Read(frame)));

    /// <inheritdoc/>
    public override void Declare(Symbols symbols)
    {
        foreach (var target in targets)
            target.Declare(symbols);
    }

    /// <inheritdoc/>
    public override Target Copy() => new TupleTarget(Array.ConvertAll(targets, target => target.Copy())) { Line = Line };
}
