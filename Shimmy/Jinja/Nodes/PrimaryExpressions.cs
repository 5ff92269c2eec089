using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>A variable that is read.</summary>
internal sealed class NameExpression(string name) : Expression
{
    private Location _location;

    /// <summary>The variable's name.</summary>
    public string Name => name;

    public override Value Evaluate(Frame frame) =>
        (_location.Hops == 0 ? frame.Slots[_location.Slot] : frame.Read(_location)) ?? UndefinedValue.Variable(name);

    public override void Collect(Symbols symbols) => symbols.Read(name);

    public override void Bind(Scope scope) => _location = scope.Locate(name);

    public override void FindReads(HashSet<string> sought, HashSet<string> found)
    {
        if (sought.Contains(name))
            found.Add(name);
    }
}

/// <summary>A literal, or a list, tuple or dict of literals: such values never change, so one serves all renderings.</summary>
internal sealed class ConstantExpression(Value value) : Expression
{
    /// <summary>The value.</summary>
    public Value Value => value;

    public override Value Evaluate(Frame frame) => value;
}

/// <summary>A list or tuple literal.</summary>
internal sealed class SequenceExpression(Expression[] items, bool isTuple) : Expression
{
    /// <summary>The elements.</summary>
    public Expression[] Items => items;

    public override IEnumerable<Node> Children => items;

    public override Value Evaluate(Frame frame)
    {
        var values = new Value[items.Length];
        for (var i = 0; i < items.Length; i++)
            values[i] = items[i].Evaluate(frame);
        return isTuple ? new TupleValue(values) : new ListValue(values);
    }
}

/// <summary>A dict literal.</summary>
internal sealed class DictionaryExpression(KeyValuePair<Expression, Expression>[] pairs) : Expression
{
    public override IEnumerable<Node> Children => pairs.SelectMany(pair => new[] { pair.Key, pair.Value });

    public override Value Evaluate(Frame frame)
    {
        if (pairs.Length == 0)
            return DictionaryValue.Empty;
        var entries = new KeyValuePair<Value, Value>[pairs.Length];
        for (var i = 0; i < pairs.Length; i++)
            entries[i] = new(pairs[i].Key.Evaluate(frame), pairs[i].Value.Evaluate(frame));
        return DictionaryValue.Of(entries, frame.Context);
    }
}
