using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Nodes;

/// <summary>The left side of an assignment: a name, an attribute of a namespace, or a tuple of targets.</summary>
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

    /// <summary>Declares the names of the target, whose values come from outside, as those of a loop do.</summary>
    public abstract void Declare(Symbols symbols);

    /// <summary>The plain names that the target assigns.</summary>
    public abstract IEnumerable<string> Names { get; }

    /// <summary>A target of the same names, to be bound in another function.</summary>
    public abstract Target Copy();
}

/// <summary>A variable to assign to.</summary>
internal sealed class NameTarget(string name) : Target
{
    private Location _location;

    public override IEnumerable<string> Names => [name];

    public override void Assign(Frame frame, Value value) => frame.Write(_location, value);

    public override Value Read(Frame frame) => frame.Read(_location) ?? UndefinedValue.Variable(name);

    public override void Collect(Symbols symbols) => symbols.Store(name);

    public override void Declare(Symbols symbols) => symbols.Declare(name);

    public override void Bind(Scope scope) => _location = scope.Locate(name);

    public override void FindReads(HashSet<string> sought, HashSet<string> found) => sought.Remove(name);

    public override Target Copy() => new NameTarget(name) { Line = Line };
}

/// <summary>An attribute of a namespace to assign to.</summary>
internal sealed class NamespaceTarget(string name, string attribute) : Target
{
    private Location _location;

    public override IEnumerable<string> Names => [];

    public override void Check(Frame frame) => Namespace(frame);

    public override void Assign(Frame frame, Value value) => Namespace(frame).Set(attribute, value);

    public override Value Read(Frame frame) => Lookup.Attribute(Namespace(frame), attribute, frame.Context);

    public override void Collect(Symbols symbols) => symbols.Read(name);

    public override void Declare(Symbols symbols) => symbols.Read(name);

    public override void Bind(Scope scope) => _location = scope.Locate(name);

    public override Target Copy() => new NamespaceTarget(name, attribute) { Line = Line };

    private NamespaceValue Namespace(Frame frame) => frame.Read(_location) as NamespaceValue ??
        throw new TemplateException(TemplateFailure.Undefined, "cannot assign attribute on non-namespace object");
}

/// <summary>Several targets that take the elements of a value.</summary>
internal sealed class TupleTarget(Target[] targets) : Target
{
    public override IEnumerable<Node> Children => targets;

    public override IEnumerable<string> Names => targets.SelectMany(target => target.Names);

    public override void Check(Frame frame)
    {
        foreach (var target in targets)
            target.Check(frame);
    }

    public override void Assign(Frame frame, Value value)
    {
        if (!value.IsIterable)
            throw TemplateException.Evaluation($"cannot unpack non-iterable {value.TypeName} object");
        var elements = Parameters.Elements(value, frame.Context);
        if (elements.Length != targets.Length)
        {
            throw TemplateException.Evaluation(elements.Length > targets.Length
                ? $"too many values to unpack (expected {targets.Length})"
                : $"not enough values to unpack (expected {targets.Length}, got {elements.Length})");
        }

        for (var i = 0; i < targets.Length; i++)
            targets[i].Assign(frame, elements[i]);
    }

    public override Value Read(Frame frame) => new TupleValue(Array.ConvertAll(targets, target => target.Read(frame)));

    public override void Declare(Symbols symbols)
    {
        foreach (var target in targets)
            target.Declare(symbols);
    }

    public override Target Copy() => new TupleTarget(Array.ConvertAll(targets, target => target.Copy())) { Line = Line };
}

/// <summary><c>{% set target = value %}</c>.</summary>
internal sealed class SetStatement(Target target, Expression value) : Statement
{
    private Export? _export;

    public override IEnumerable<Node> Children => [target, value];

    public override void Collect(Symbols symbols)
    {
        // The value comes before the target, so that {% set x = x %} reads the x of an outer scope.
        value.Collect(symbols);
        target.Collect(symbols);
    }

    public override void Bind(Scope scope)
    {
        base.Bind(scope);
        _export = Export.For(target, scope);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        target.Check(frame);
        target.Assign(frame, value.Evaluate(frame));
        _export?.Run(frame);
        return Completion.Normal;
    }
}

/// <summary><c>{% set target %}…{% endset %}</c>, perhaps with a filter.</summary>
internal sealed class SetBlockStatement(Target target, FilterExpression? filter, Body body) : Statement
{
    private Export? _export;
    private ScopeEntry _entry = null!;

    public override IEnumerable<Node> Children => filter is null ? [target, body] : [target, filter, body];

    public override void Collect(Symbols symbols) => target.Collect(symbols);

    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        filter?.Collect(inner.Symbols);
        body.Collect(inner.Symbols);
        _entry = inner.Entry();
        body.Bind(inner);
        filter?.Bind(inner);
        target.Bind(scope);
        _export = Export.For(target, scope);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        target.Check(frame);
        _entry.Run(frame);
        if (body.Capture(frame, frame.Context.AutoEscape, out var completion) is not { } content)
            return completion;
        target.Assign(frame, filter is null ? content : filter.Apply(frame, content));
        _export?.Run(frame);
        return Completion.Normal;
    }
}

/// <summary>Makes what a template's top level assigns visible to its blocks, which do not see its scopes.</summary>
internal sealed class Export(string[] names, Location[] locations)
{
    /// <summary>The export of a target's names, to run after each assignment; null where the assignment is not at the top level.</summary>
    public static Export? For(Target target, Scope scope)
    {
        string[] names = [.. target.Names];
        return scope.IsTopLevel && names.Length > 0 ? new Export(names, Array.ConvertAll(names, scope.Locate)) : null;
    }

    /// <summary>Exports the values.</summary>
    public void Run(Frame frame)
    {
        for (var i = 0; i < names.Length; i++)
        {
            if (frame.Read(locations[i]) is { } value)
                frame.Context.Export(names[i], value);
        }
    }
}

/// <summary><c>{% with target = value, … %}…{% endwith %}</c>: the values are those outside of the block.</summary>
internal sealed class WithStatement(Target[] targets, Expression[] values, Body body) : Statement
{
    private ScopeEntry _entry = null!;

    public override IEnumerable<Node> Children => [.. targets, .. values, body];

    public override void Collect(Symbols symbols)
    {
        foreach (var value in values)
            value.Collect(symbols);
    }

    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        foreach (var target in targets)
            target.Declare(inner.Symbols);
        body.Collect(inner.Symbols);
        _entry = inner.Entry();
        foreach (var value in values)
            value.Bind(scope);
        foreach (var target in targets)
            target.Bind(inner);
        body.Bind(inner);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        _entry.Run(frame);
        for (var i = 0; i < targets.Length; i++)
            targets[i].Assign(frame, values[i].Evaluate(frame));
        return body.Run(frame, output);
    }
}
