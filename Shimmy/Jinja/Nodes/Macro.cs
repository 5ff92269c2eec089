using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>
/// The definition of a macro, or of the body of a call block: parameters, default values of the last of them, and statements. Has
/// variables of its own, as a function has.
/// </summary>
internal sealed class Macro(string? name, NameTarget[] parameters, Expression[] defaults, Body body) : Node
{
    private Location[] _locations = [];
    private string[] _names = [];
    private FunctionLayout _layout = null!;
    private ScopeEntry _entry = null!;
    private Location? _caller;
    private Location? _keywords;
    private Location? _rest;
    private bool _declaresCaller;

    /// <summary>The name; null for a call block's body.</summary>
    public string? Name => name;

    /// <summary>The parameters' names.</summary>
    public IReadOnlyList<string> Parameters => _names;

    /// <summary>Whether the body reads <c>kwargs</c>, and so takes any named argument.</summary>
    public bool TakesKeywords => _keywords is not null;

    /// <summary>Whether the body reads <c>varargs</c>, and so takes any number of arguments.</summary>
    public bool TakesRest => _rest is not null;

    /// <summary>Whether the body reads <c>caller</c>.</summary>
    public bool TakesCaller { get; private set; }

    public override IEnumerable<Node> Children => [.. parameters, .. defaults, body];

    public override void Collect(Symbols symbols)
    {
        // The names belong to a scope of its own, which Bind makes; none of them is the outer scope's.
    }

    public override void Bind(Scope scope)
    {
        var inner = scope.InnerFunction();
        var symbols = inner.Symbols;
        _layout = symbols.Function;
        _names = [.. parameters.SelectMany(parameter => parameter.Names)];
        var specials = FindReads([body], "caller", "kwargs", "varargs");
        _declaresCaller = _names.Contains("caller");
        TakesCaller = specials.Contains("caller");
        if (TakesCaller && _declaresCaller && Array.IndexOf(_names, "caller") < _names.Length - defaults.Length)
        {
            throw TemplateException.Syntax("When defining macros or call blocks the special \"caller\" argument must be omitted " +
                "or be given a default.", Line, 0);
        }

        foreach (var parameter in parameters)
            parameter.Declare(symbols);
        string[] extra = [.. specials.Where(special => !_names.Contains(special))];
        foreach (var special in extra)
            symbols.Declare(special);
        foreach (var value in defaults)
            value.Collect(symbols);
        body.Collect(symbols);

        _entry = inner.Entry();
        _locations = Array.ConvertAll(_names, inner.Locate);
        _caller = extra.Contains("caller") ? inner.Locate("caller") : null;
        _keywords = extra.Contains("kwargs") ? inner.Locate("kwargs") : null;
        _rest = extra.Contains("varargs") ? inner.Locate("varargs") : null;
        foreach (var child in Children)
            child.Bind(inner);
    }

    /// <summary>Calls the macro.</summary>
    /// <param name="parent">The frame in which it was defined.</param>
    /// <param name="arguments">The arguments.</param>
    public TextValue Call(Frame parent, Arguments arguments)
    {
        var context = parent.Context;
        context.Enter();
        var frame = new Frame(_layout, parent, context);
        BindArguments(frame, arguments);
        _entry.Run(frame);
        for (var i = 0; i < _locations.Length; i++)
        {
            if (frame.Read(_locations[i]) is not null)
                continue;
            var fromEnd = i - (_locations.Length - defaults.Length);
            frame.Write(_locations[i], fromEnd >= 0
                ? defaults[fromEnd].Evaluate(frame)
                : UndefinedValue.Because($"parameter '{_names[i]}' was not provided"));
        }

        var builder = context.Rent();
        body.Run(frame, builder);
        context.Leave();
        return context.Finish(builder, context.AutoEscape);
    }

    private void BindArguments(Frame frame, Arguments arguments)
    {
        var positional = arguments.Positional;
        for (var i = 0; i < Math.Min(positional.Length, _locations.Length); i++)
            frame.Write(_locations[i], positional[i]);
        if (_rest is { } restLocation)
        {
            frame.Write(restLocation, positional.Length > _locations.Length
                ? new TupleValue(positional[_locations.Length..])
                : TupleValue.Empty);
        }

        var foundCaller = positional.Length >= _locations.Length && _declaresCaller;
        List<KeyValuePair<Value, Value>>? others = null;
        Value? callerValue = null;
        foreach (var (argument, value) in arguments.Named)
        {
            var index = Array.IndexOf(_names, argument);
            if (index >= positional.Length)
                frame.Write(_locations[index], value);
            else if (argument == "caller" && _caller is not null && !foundCaller)
                callerValue = value;
            else
                (others ??= []).Add(new(TextValue.Own(argument), value));
        }

        if (_caller is { } callerLocation)
            frame.Write(callerLocation, callerValue ?? UndefinedValue.Because("No caller defined"));
        if (_keywords is { } keywordsLocation)
            frame.Write(keywordsLocation, others is null ? DictionaryValue.Empty : DictionaryValue.OfDistinct([.. others]));
        else if (others is not null)
            throw Unexpected(others);
        if (_rest is null && positional.Length > _locations.Length)
            throw TemplateException.Evaluation($"macro {Quoted} takes not more than {_locations.Length} argument(s)");
    }

    private string Quoted => name is null ? "None" : $"'{name}'";

    private TemplateException Unexpected(List<KeyValuePair<Value, Value>> others)
    {
        var first = ((TextValue)others[0].Key).Text;
        return TemplateException.Evaluation(others.Exists(other => ((TextValue)other.Key).Text == "caller")
            ? $"macro {Quoted} was invoked with two values for the special caller argument. This is most likely a bug."
            : $"macro {Quoted} takes no keyword argument '{first}'");
    }
}

/// <summary>A macro together with the variables around its definition.</summary>
internal sealed class MacroValue(Macro macro, Frame parent) : Value
{
    public override string TypeName => "Macro";

    public override string ObjectName => "jinja2.runtime.Macro object";

    public override bool IsCallable => true;

    public override Value Call(Arguments arguments, RenderContext context) => macro.Call(parent, arguments);

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "name" => macro.Name is { } own ? TextValue.Own(own) : NoneValue.Instance,
        "arguments" => new TupleValue([.. macro.Parameters.Select(TextValue.Own)]),
        "catch_kwargs" => BooleanValue.Of(macro.TakesKeywords),
        "catch_varargs" => BooleanValue.Of(macro.TakesRest),
        "caller" => BooleanValue.Of(macro.TakesCaller),
        // Attributes that the sandbox forbids: they must exist, since only then the message says that they are unsafe.
        "_func" or "_argument_count" or "_environment" or "_default_autoescape" or "_invoke" => NoneValue.Instance,
        _ => null,
    };

    public override void WriteRepr(TextBuilder text)
    {
        text.Append("<Macro ");
        text.Append(macro.Name is { } name ? $"'{name}'" : "anonymous");
        text.Append('>');
    }
}

/// <summary><c>{% macro name(parameters) %}…{% endmacro %}</c>.</summary>
internal sealed class MacroStatement(NameTarget target, Macro macro) : Statement
{
    private Export? _export;

    public override IEnumerable<Node> Children => [macro];

    public override void Collect(Symbols symbols) => target.Collect(symbols);

    public override void Bind(Scope scope)
    {
        macro.Bind(scope);
        target.Bind(scope);
        _export = Export.For(target, scope);
    }

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        target.Assign(frame, new MacroValue(macro, frame));
        _export?.Run(frame);
        return Completion.Normal;
    }
}

/// <summary><c>{% call(parameters) callee(arguments) %}…{% endcall %}</c>, and <c>{% generation %}</c>, which calls its body.</summary>
internal sealed class CallStatement(CallExpression call, Macro macro) : Statement
{
    public override IEnumerable<Node> Children => [call, macro];

    public override void Collect(Symbols symbols) => call.Collect(symbols);

    /// <summary>
    /// <c>{% generation %}</c> of transformers, which marks what the assistant generated: for rendering only that it is a scope
    /// of its own matters.
    /// </summary>
    public static CallStatement Generation(Body body, int line) => new(
        new CallExpression(new ConstantExpression(CallIt), ArgumentList.None) { Line = line },
        new Macro(null, [], [], body) { Line = line })
    { Line = line };

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        OutputStatement.Write(call.Evaluate(frame, new MacroValue(macro, frame)), frame.Context, output);
        return Completion.Normal;
    }

    private static FunctionValue CallIt { get; } = FunctionValue.Function("_generation_support",
        (arguments, context) => arguments.Find("caller")!.Call(Arguments.None, context));
}
