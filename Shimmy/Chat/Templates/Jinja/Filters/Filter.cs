using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Filters;

/// <summary>A filter: makes a value of another.</summary>
internal sealed class Filter(string name, Signature? signature, Func<Value, Value?[], Arguments, Rendering, Value> body)
{
    /// <summary>A filter with parameters.</summary>
    public static Filter Of(string name, Signature signature, Func<Value, Value?[], Rendering, Value> body) =>
        new(name, signature, (value, bound, _, rendering) => body(value, bound, rendering));

    /// <summary>A filter that takes any arguments.</summary>
    public static Filter OfAny(string name, Func<Value, Arguments, Rendering, Value> body) =>
        new(name, null, (value, _, arguments, rendering) => body(value, arguments, rendering));

    /// <summary>Applies the filter.</summary>
    public Value Apply(Value value, Arguments arguments, Rendering rendering)
    {
        rendering.Step();
        return body(value, signature?.Bind(name, arguments) ?? [], arguments, rendering);
    }
}
