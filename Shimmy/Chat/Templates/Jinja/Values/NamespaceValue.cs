using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>What <c>namespace()</c> gives: the only value that a template can change.</summary>
internal sealed class NamespaceValue(DictionaryValue initial) : Value
{
    private readonly OrderedDictionary<string, Value> attributes = Copy(initial);

    /// <inheritdoc/>
    public override string TypeName => "Namespace";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.utils.Namespace object";

    /// <summary>Sets an attribute.</summary>
    public void Set(string name, Value value) => attributes[name] = value;

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => attributes.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        text.Rendering.Descend();
        text.Append("<Namespace {");
        var first = true;
        foreach (var (name, value) in attributes)
        {
            if (!first)
                text.Append(", ");
            first = false;
            TextRepr.Write(TextValue.Own(name), text);
            text.Append(": ");
            value.WriteRepr(text);
        }

        text.Append("}>");
    }

    private static OrderedDictionary<string, Value> Copy(DictionaryValue initial)
    {
        var copy = new OrderedDictionary<string, Value>(StringComparer.Ordinal);
        foreach (var entry in initial.Entries)
            if (entry.Key is TextValue name)
                copy[name.Text] = entry.Value;
        return copy;
    }
}
