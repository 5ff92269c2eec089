using System.Globalization;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>The <c>loop</c> variable, which also goes through the elements: it looks one ahead only where it is asked to.</summary>
/// <param name="iterable">What the loop goes through.</param>
/// <param name="depth0">Recursive loops around this one.</param>
/// <param name="recurse">Renders the loop's body over other elements; null where the loop is not recursive.</param>
/// <param name="rendering">The rendering.</param>
internal sealed class LoopValue(Value iterable, int depth0, Func<Value, int, TextValue>? recurse, Rendering rendering) : Value
{
    private IEnumerator<Value> items = iterable.Iterate(rendering);
    private int index0 = -1;
    private int length = -1;
    private Value? before;
    private Value? current;
    private Value? after;
    private Value[]? lastChanged;

    /// <inheritdoc/>
    public override string TypeName => "LoopContext";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.runtime.LoopContext object";

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsCallable => true;

    /// <inheritdoc/>
    public override bool HasLength => true;

    /// <inheritdoc/>
    public override bool IsTrue => Length(rendering) > 0;

    /// <summary>Goes to the next element; null at the end.</summary>
    public Value? Next()
    {
        var next = after ?? (items.MoveNext() ? items.Current : null);
        after = null;
        if (next is null)
            return null;
        index0++;
        before = current;
        return current = next;
    }

    /// <inheritdoc/>
    public override int Length(Rendering rendering)
    {
        if (length >= 0)
            return length;
        if (iterable.HasLength)
            return length = iterable.Length(rendering);

        // An iterator has no length: the rest is taken out to be counted.
        var rest = new List<Value>();
        while (items.MoveNext())
            rest.Add(items.Current);
        items = rest.GetEnumerator();
        return length = rest.Count + index0 + 1 + (after is null ? 0 : 1);
    }

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        while (Next() is { } item)
            yield return new TupleValue([item, this]);
    }

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "index" => IntegerValue.Of(index0 + 1),
        "index0" => IntegerValue.Of(index0),
        "first" => BooleanValue.Of(index0 == 0),
        "last" => BooleanValue.Of(PeekNext() is null),
        "length" => IntegerValue.Of(Length(rendering)),
        "revindex" => IntegerValue.Of(Length(rendering) - index0),
        "revindex0" => IntegerValue.Of(Length(rendering) - index0 - 1),
        "depth" => IntegerValue.Of(depth0 + 1),
        "depth0" => IntegerValue.Of(depth0),
        "previtem" => index0 == 0 ? UndefinedValue.Because("there is no previous item") : before ?? NoneValue.Instance,
        "nextitem" => PeekNext() ?? UndefinedValue.Because("there is no next item"),
        "cycle" => new BuiltIn(name, "method", (arguments, _) => Cycle(arguments.Positional)),
        "changed" => new BuiltIn(name, "method", (arguments, _) => Changed(arguments.Positional)),
        _ => null,
    };

    /// <inheritdoc/>
    public override Value Call(Arguments arguments, Rendering rendering)
    {
        if (recurse is null)
            throw TemplateException.Evaluation("The loop must have the 'recursive' marker to be called recursively.");
        return recurse(new Signature("iterable").Bind("loop", arguments)[0]!, depth0 + 1);
    }

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append(
        string.Create(CultureInfo.InvariantCulture, $"<LoopContext {index0 + 1}/{Length(text.Rendering)}>"));

    private Value? PeekNext()
    {
        if (after is null && items.MoveNext())
            after = items.Current;
        return after;
    }

    private Value Cycle(Value[] choices) => choices.Length > 0
        ? choices[index0 % choices.Length]
        : throw TemplateException.Evaluation("no items for cycling given");

    private BooleanValue Changed(Value[] values)
    {
        if (lastChanged is not null && new TupleValue(lastChanged).EqualTo(new TupleValue(values), rendering))
            return BooleanValue.False;
        lastChanged = values;
        return BooleanValue.True;
    }
}
