using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A function, or a method bound to its object, that the engine itself provides.</summary>
internal sealed class BuiltIn(string name, string typeName, Func<Arguments, Rendering, Value> body) : Value
{
    /// <inheritdoc/>
    public override string TypeName => typeName;

    /// <inheritdoc/>
    public override bool IsCallable => true;

    /// <summary>A global function.</summary>
    public static BuiltIn Function(string name, Func<Arguments, Rendering, Value> body) => new(name, "function", body);

    /// <summary>A method bound to its object.</summary>
    public static BuiltIn Method(string name, Signature signature, Func<Value?[], Rendering, Value> body) =>
        new(name, "builtin_function_or_method", (arguments, rendering) => body(signature.Bind(name, arguments), rendering));

    /// <summary>A method that takes no arguments.</summary>
    public static BuiltIn WithoutArguments(string name, Func<Value> body) => Method(name, Signature.Empty, (_, _) => body());

    /// <inheritdoc/>
    public override Value Call(Arguments arguments, Rendering rendering) => body(arguments, rendering);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        text.Append("<built-in ");
        text.Append(name);
        text.Append('>');
    }
}
