using System.Globalization;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>
/// <c>{% for target in iterable if test recursive %}…{% else %}…{% endfor %}</c>. As in Jinja the body has a scope that begins
/// anew with each element, the test is a function of its own that picks elements while the loop runs, and a recursive loop is a
/// function whose output comes back as a text.
/// </summary>
internal sealed class ForStatement(
    Target target, Expression iterable, Expression? test, Body body, Body otherwise, bool isRecursive) : Statement
{
    private readonly Target testTarget = target.Copy();
    private bool hasLoopVariable;
    private Location loopVariable;
    private FunctionLayout? function;
    private FunctionLayout? testFunction;
    private ScopeEntry bodyEntry = null!;
    private ScopeEntry? otherwiseEntry;
    private ScopeEntry? testEntry;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children =>
        test is null ? [target, iterable, body, otherwise] : [target, iterable, body, otherwise, test];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => iterable.Collect(symbols);

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        iterable.Bind(scope);
        if (target.Names.Contains("loop") || body.Any<NameTarget>(inner => inner.Names.Contains("loop")))
            throw TemplateException.Syntax("Can't assign to special loop variable in for-loop target", Line, 0);

        var inner = (isRecursive ? scope.InnerFunction() : scope.Inner()) with { IsInLoop = true };
        function = isRecursive ? inner.Symbols.Function : null;
        hasLoopVariable = isRecursive || FindReads([body], "loop").Count > 0 || body.Any<BlockStatement>(block => block.IsScoped);
        if (hasLoopVariable)
            inner.Symbols.Declare("loop");
        target.Declare(inner.Symbols);
        body.Collect(inner.Symbols);
        bodyEntry = inner.Entry();
        if (hasLoopVariable)
            loopVariable = inner.Locate("loop");
        target.Bind(inner);
        body.Bind(inner);

        if (!otherwise.IsEmpty)
        {
            // The else branch stands outside of the loop, but inside of a recursive loop's function.
            var other = function is null ? scope.Inner() : scope.InnerFunction(function);
            otherwise.Collect(other.Symbols);
            otherwiseEntry = other.Entry();
            otherwise.Bind(other);
        }

        if (test is not null)
            BindTest(scope);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        var elements = iterable.Evaluate(frame);
        if (!isRecursive)
            return Loop(frame, elements, 0, null, output);
        OutputStatement.Write(Recurse(frame, elements, 0), frame.Rendering, output);
        return Completion.Normal;
    }

    private void BindTest(Scope scope)
    {
        var inner = scope.InnerFunction();
        testFunction = inner.Symbols.Function;
        testTarget.Declare(inner.Symbols);
        test!.Collect(inner.Symbols);
        testEntry = inner.Entry();
        testTarget.Bind(inner);
        test.Bind(inner);
    }

    private TextValue Recurse(Frame frame, Value elements, int depth)
    {
        var rendering = frame.Rendering;
        rendering.Enter();
        var builder = rendering.Rent();
        var inner = new Frame(function!, frame, rendering);
        Loop(inner, elements, depth, (others, at) => Recurse(frame, others, at), builder);
        rendering.Leave();
        return rendering.Finish(builder, rendering.AutoEscape);
    }

    private Completion Loop(Frame frame, Value elements, int depth, Func<Value, int, TextValue>? recurse, TextBuilder output)
    {
        var rendering = frame.Rendering;
        if (test is not null)
            elements = IteratorValue.Generator(Picked(isRecursive ? frame.Parent! : frame, elements));
        var completed = hasLoopVariable
            ? LoopWithVariable(frame, new LoopValue(elements, depth, recurse, rendering), output)
            : LoopPlainly(frame, elements, output);
        if (completed || otherwiseEntry is null)
            return Completion.Normal;
        otherwiseEntry.Run(frame);
        return otherwise.Run(frame, output);
    }

    /// <summary>
    /// Whether the body came to its end at least once: only then the else branch is left out, so that a loop that breaks or
    /// continues on every element still takes it, as Jinja's does.
    /// </summary>
    private bool LoopWithVariable(Frame frame, LoopValue loop, TextBuilder output)
    {
        var completed = false;
        while (loop.Next() is { } element)
        {
            frame.Rendering.Begin(Line, 1);
            target.Assign(frame, element);
            frame.Write(loopVariable, loop);
            bodyEntry.Run(frame);
            var completion = body.Run(frame, output);
            if (completion == Completion.Break)
                break;
            completed |= completion == Completion.Normal;
        }

        return completed;
    }

    private bool LoopPlainly(Frame frame, Value elements, TextBuilder output)
    {
        var completed = false;
        using var iterator = elements.Iterate(frame.Rendering);
        while (iterator.MoveNext())
        {
            frame.Rendering.Begin(Line, 1);
            target.Assign(frame, iterator.Current);
            bodyEntry.Run(frame);
            var completion = body.Run(frame, output);
            if (completion == Completion.Break)
                break;
            completed |= completion == Completion.Normal;
        }

        return completed;
    }

    private IEnumerator<Value> Picked(Frame frame, Value elements)
    {
        var inner = new Frame(testFunction!, frame, frame.Rendering);
        testEntry!.Run(inner);
        using var iterator = elements.Iterate(frame.Rendering);
        while (iterator.MoveNext())
        {
            frame.Rendering.Step();
            testTarget.Assign(inner, iterator.Current);
            if (test!.Evaluate(inner).IsTrue)
                yield return iterator.Current;
        }
    }
}

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
