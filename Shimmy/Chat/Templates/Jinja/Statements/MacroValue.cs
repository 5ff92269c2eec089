using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary>A macro together with the variables around its definition.</summary>
internal sealed class MacroValue(Macro macro, Frame parent) : Value
{
    /// <inheritdoc/>
    public override string TypeName => "Macro";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.runtime.Macro object";

    /// <inheritdoc/>
    public override bool IsCallable => true;

    /// <inheritdoc/>
    public override Value Call(Arguments arguments, Rendering rendering) => macro.Call(parent, arguments);

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "name" => macro.Name is { } own ? TextValue.Own(own) : NoneValue.Instance,
        "arguments" => new TupleValue([.. macro.Parameters.Select(TextValue.Own)]),
        "catch_kwargs" => BooleanValue.Of(macro.TakesKeywords),
        "catch_varargs" => BooleanValue.Of(macro.TakesRest),
        "caller" => BooleanValue.Of(macro.TakesCaller),
        // What the sandbox forbids must exist to be forbidden.
        "_func" or "_argument_count" or "_environment" or "_default_autoescape" or "_invoke" => NoneValue.Instance,
        _ => null,
    };

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        text.Append("<Macro ");
        text.Append(macro.Name is { } name ? $"'{name}'" : "anonymous");
        text.Append('>');
    }
}
