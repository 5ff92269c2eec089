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
    private readonly Target _testTarget = target.Copy();
    private bool _hasLoopVariable;
    private Location _loopVariable;
    private FunctionLayout? _function;
    private FunctionLayout? _testFunction;
    private ScopeEntry _bodyEntry = null!;
    private ScopeEntry? _otherwiseEntry;
    private ScopeEntry? _testEntry;

    public override IEnumerable<Node> Children =>
        test is null ? [target, iterable, body, otherwise] : [target, iterable, body, otherwise, test];

    public override void Collect(Symbols symbols) => iterable.Collect(symbols);

    public override void Bind(Scope scope)
    {
        iterable.Bind(scope);
        if (target.Names.Contains("loop") || body.Any<NameTarget>(inner => inner.Names.Contains("loop")))
            throw TemplateException.Syntax("Can't assign to special loop variable in for-loop target", Line, 0);

        var inner = (isRecursive ? scope.InnerFunction() : scope.Inner()) with { IsInLoop = true };
        _function = isRecursive ? inner.Symbols.Function : null;
        _hasLoopVariable = isRecursive || FindReads([body], "loop").Count > 0 || body.Any<BlockStatement>(block => block.IsScoped);
        if (_hasLoopVariable)
            inner.Symbols.Declare("loop");
        target.Declare(inner.Symbols);
        body.Collect(inner.Symbols);
        _bodyEntry = inner.Entry();
        if (_hasLoopVariable)
            _loopVariable = inner.Locate("loop");
        target.Bind(inner);
        body.Bind(inner);

        if (!otherwise.IsEmpty)
        {
            // The else branch stands outside of the loop, but inside of a recursive loop's function.
            var other = _function is null ? scope.Inner() : scope.InnerFunction(_function);
            otherwise.Collect(other.Symbols);
            _otherwiseEntry = other.Entry();
            otherwise.Bind(other);
        }

        if (test is not null)
            BindTest(scope);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        var elements = iterable.Evaluate(frame);
        if (!isRecursive)
            return Loop(frame, elements, 0, null, output);
        OutputStatement.Write(Recurse(frame, elements, 0), frame.Context, output);
        return Completion.Normal;
    }

    private void BindTest(Scope scope)
    {
        var inner = scope.InnerFunction();
        _testFunction = inner.Symbols.Function;
        _testTarget.Declare(inner.Symbols);
        test!.Collect(inner.Symbols);
        _testEntry = inner.Entry();
        _testTarget.Bind(inner);
        test.Bind(inner);
    }

    private TextValue Recurse(Frame frame, Value elements, int depth)
    {
        var context = frame.Context;
        context.Enter();
        var builder = context.Rent();
        var inner = new Frame(_function!, frame, context);
        Loop(inner, elements, depth, (others, at) => Recurse(frame, others, at), builder);
        context.Leave();
        return context.Finish(builder, context.AutoEscape);
    }

    private Completion Loop(Frame frame, Value elements, int depth, Func<Value, int, TextValue>? recurse, TextBuilder output)
    {
        var context = frame.Context;
        if (test is not null)
            elements = IteratorValue.Generator(Picked(isRecursive ? frame.Parent! : frame, elements));
        var completed = _hasLoopVariable
            ? LoopWithVariable(frame, new LoopValue(elements, depth, recurse, context), output)
            : LoopPlainly(frame, elements, output);
        if (completed || _otherwiseEntry is null)
            return Completion.Normal;
        _otherwiseEntry.Run(frame);
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
            frame.Context.Begin(Line, 1);
            target.Assign(frame, element);
            frame.Write(_loopVariable, loop);
            _bodyEntry.Run(frame);
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
        using var iterator = elements.Iterate(frame.Context);
        while (iterator.MoveNext())
        {
            frame.Context.Begin(Line, 1);
            target.Assign(frame, iterator.Current);
            _bodyEntry.Run(frame);
            var completion = body.Run(frame, output);
            if (completion == Completion.Break)
                break;
            completed |= completion == Completion.Normal;
        }

        return completed;
    }

    private IEnumerator<Value> Picked(Frame frame, Value elements)
    {
        var inner = new Frame(_testFunction!, frame, frame.Context);
        _testEntry!.Run(inner);
        using var iterator = elements.Iterate(frame.Context);
        while (iterator.MoveNext())
        {
            frame.Context.Step();
            _testTarget.Assign(inner, iterator.Current);
            if (test!.Evaluate(inner).IsTrue)
                yield return iterator.Current;
        }
    }
}

/// <summary>
/// The <c>loop</c> variable, which also is the loop's iterator: it looks one element ahead only where the template asks for it.
/// </summary>
/// <param name="iterable">The value that the loop iterates over.</param>
/// <param name="depth0">Recursive loops around this one.</param>
/// <param name="recurse">Renders the loop's body over other elements; null where the loop is not recursive.</param>
/// <param name="context">The state of the rendering.</param>
internal sealed class LoopValue(Value iterable, int depth0, Func<Value, int, TextValue>? recurse, RenderContext context) : Value
{
    private IEnumerator<Value> _items = iterable.Iterate(context);
    private int _index0 = -1;
    private int _length = -1;
    private Value? _before;
    private Value? _current;
    private Value? _after;
    private Value[]? _lastChanged;

    public override string TypeName => "LoopContext";

    public override string ObjectName => "jinja2.runtime.LoopContext object";

    public override bool IsIterable => true;

    public override bool IsCallable => true;

    public override bool HasLength => true;

    public override bool IsTrue => Length(context) > 0;

    /// <summary>Goes to the next element; null at the end.</summary>
    public Value? Next()
    {
        var next = _after ?? (_items.MoveNext() ? _items.Current : null);
        _after = null;
        if (next is null)
            return null;
        _index0++;
        _before = _current;
        return _current = next;
    }

    public override int Length(RenderContext context)
    {
        if (_length >= 0)
            return _length;
        if (iterable.HasLength)
            return _length = iterable.Length(context);

        // An iterator has no length: the rest is taken out to be counted.
        var rest = new List<Value>();
        while (_items.MoveNext())
            rest.Add(_items.Current);
        _items = rest.GetEnumerator();
        return _length = rest.Count + _index0 + 1 + (_after is null ? 0 : 1);
    }

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        while (Next() is { } item)
            yield return new TupleValue([item, this]);
    }

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "index" => IntegerValue.Of(_index0 + 1),
        "index0" => IntegerValue.Of(_index0),
        "first" => BooleanValue.Of(_index0 == 0),
        "last" => BooleanValue.Of(PeekNext() is null),
        "length" => IntegerValue.Of(Length(context)),
        "revindex" => IntegerValue.Of(Length(context) - _index0),
        "revindex0" => IntegerValue.Of(Length(context) - _index0 - 1),
        "depth" => IntegerValue.Of(depth0 + 1),
        "depth0" => IntegerValue.Of(depth0),
        "previtem" => _index0 == 0 ? UndefinedValue.Because("there is no previous item") : _before ?? NoneValue.Instance,
        "nextitem" => PeekNext() ?? UndefinedValue.Because("there is no next item"),
        "cycle" => new FunctionValue(name, "method", (arguments, _) => Cycle(arguments.Positional)),
        "changed" => new FunctionValue(name, "method", (arguments, _) => Changed(arguments.Positional)),
        _ => null,
    };

    public override Value Call(Arguments arguments, RenderContext context)
    {
        if (recurse is null)
            throw TemplateException.Evaluation("The loop must have the 'recursive' marker to be called recursively.");
        return recurse(new Signature("iterable").Bind("loop", arguments)[0]!, depth0 + 1);
    }

    public override void WriteRepr(TextBuilder text) => text.Append(
        string.Create(CultureInfo.InvariantCulture, $"<LoopContext {_index0 + 1}/{Length(text.Context)}>"));

    private Value? PeekNext()
    {
        if (_after is null && _items.MoveNext())
            _after = _items.Current;
        return _after;
    }

    private Value Cycle(Value[] choices) => choices.Length > 0
        ? choices[_index0 % choices.Length]
        : throw TemplateException.Evaluation("no items for cycling given");

    private BooleanValue Changed(Value[] values)
    {
        if (_lastChanged is not null && new TupleValue(_lastChanged).EqualTo(new TupleValue(values), context))
            return BooleanValue.False;
        _lastChanged = values;
        return BooleanValue.True;
    }
}
