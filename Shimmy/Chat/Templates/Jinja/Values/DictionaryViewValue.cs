using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>What <c>keys()</c>, <c>values()</c> and <c>items()</c> of a dict give.</summary>
internal sealed class DictionaryViewValue(DictionaryValue dictionary, DictionaryViewKind kind) : Value
{
    /// <inheritdoc/>
    public override string TypeName => kind switch
    {
        DictionaryViewKind.Keys => "dict_keys",
        DictionaryViewKind.Values => "dict_values",
        _ => "dict_items",
    };

    /// <inheritdoc/>
    public override bool IsTrue => dictionary.IsTrue;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsHashable => kind == DictionaryViewKind.Values;

    /// <inheritdoc/>
    public override bool HasLength => true;

    /// <inheritdoc/>
    public override int Length(Rendering rendering) => dictionary.Length(rendering);

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        for (var i = 0; i < dictionary.Entries.Length; i++)
            yield return Element(i);
    }

    /// <summary>The elements from last to first.</summary>
    public IEnumerator<Value> IterateBackwards()
    {
        for (var i = dictionary.Entries.Length - 1; i >= 0; i--)
            yield return Element(i);
    }

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (kind == DictionaryViewKind.Values || other is not DictionaryViewValue view || view.TypeName != TypeName ||
            view.Length(rendering) != Length(rendering))
            return false;
        for (var i = 0; i < dictionary.Entries.Length; i++)
            if (!view.Contains(Element(i), rendering))
                return false;
        return true;
    }

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        text.Rendering.Descend();
        text.Append(TypeName);
        text.Append("([");
        for (var i = 0; i < dictionary.Entries.Length; i++)
        {
            if (i > 0)
                text.Append(", ");
            Element(i).WriteRepr(text);
        }

        text.Append("])");
    }

    private Value Element(int index) => kind switch
    {
        DictionaryViewKind.Keys => dictionary.Entries[index].Key,
        DictionaryViewKind.Values => dictionary.Entries[index].Value,
        _ => new TupleValue([dictionary.Entries[index].Key, dictionary.Entries[index].Value]),
    };
}

/// <summary>Which side of a dict a view shows.</summary>
internal enum DictionaryViewKind
{
    /// <summary>The keys.</summary>
    Keys,

    /// <summary>The values.</summary>
    Values,

    /// <summary>Pairs of both.</summary>
    Items,
}
