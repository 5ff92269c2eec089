using Shimmy.Chat.Templates.Jinja.Expressions;
using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary><c>{% macro name(parameters) %}…{% endmacro %}</c>.</summary>
internal sealed class MacroStatement(NameTarget target, Macro macro) : Statement
{
    private Export? export;

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [macro];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => target.Collect(symbols);

    /// <inheritdoc/>
    public override void Bind(Scope scope)
    {
        macro.Bind(scope);
        target.Bind(scope);
        export = Export.For(target, scope);
    }

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        target.Assign(frame, new MacroValue(macro, frame));
        export?.Run(frame);
        return Completion.Normal;
    }
}

/// <summary><c>{% call(parameters) callee(arguments) %}…{% endcall %}</c>, and <c>{% generation %}</c>, which calls its body.</summary>
internal sealed class CallStatement(CallExpression call, Macro macro) : Statement
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => [call, macro];

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => call.Collect(symbols);

    /// <summary>
    /// <c>{% generation %}</c> of transformers, which marks what the assistant generated: for rendering only that it is a scope
    /// of its own matters.
    /// </summary>
    public static CallStatement Generation(Body body, int line) => new(
        new CallExpression(new ConstantExpression(CallIt), ArgumentList.None) { Line = line },
        new Macro(null, [], [], body) { Line = line }) { Line = line };

    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        OutputStatement.Write(call.Evaluate(frame, new MacroValue(macro, frame)), frame.Rendering, output);
        return Completion.Normal;
    }

    private static BuiltIn CallIt { get; } = BuiltIn.Function("_generation_support",
        (arguments, rendering) => arguments.Find("caller")!.Call(Arguments.None, rendering));
}
