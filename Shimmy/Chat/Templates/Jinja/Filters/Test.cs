using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Filters;

/// <summary>A test: whether something holds of a value.</summary>
internal sealed class Test(string name, Signature signature, Func<Value, Value?[], Rendering, bool> body)
{
    /// <summary>Whether the test holds.</summary>
    public bool Holds(Value value, Arguments arguments, Rendering rendering)
    {
        rendering.Step();
        return body(value, signature.Bind(name, arguments), rendering);
    }
}
