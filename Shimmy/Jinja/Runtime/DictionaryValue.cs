namespace Shimmy.Jinja.Runtime;

/// <summary>A dict: keeps the order of insertion, and is immutable because the sandbox forbids what would change it.</summary>
internal sealed class DictionaryValue : Value
{
    // Up to this many entries a scan is faster than an index.
    private const int SmallCount = 8;

    private readonly KeyValuePair<Value, Value>[] entries;
    private Dictionary<string, int>? index;

    private DictionaryValue(KeyValuePair<Value, Value>[] entries) => this.entries = entries;

    /// <summary>The empty dict.</summary>
    public static DictionaryValue Empty { get; } = new([]);

    /// <summary>The entries in order.</summary>
    public ReadOnlySpan<KeyValuePair<Value, Value>> Entries => entries;

    /// <inheritdoc/>
    public override string TypeName => "dict";

    /// <inheritdoc/>
    public override bool IsTrue => entries.Length > 0;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsSequence => true;

    /// <inheritdoc/>
    public override bool IsHashable => false;

    /// <inheritdoc/>
    public override bool HasLength => true;

    /// <summary>A dict of entries whose keys are known to differ.</summary>
    public static DictionaryValue OfDistinct(KeyValuePair<Value, Value>[] entries) =>
        entries.Length == 0 ? Empty : new DictionaryValue(entries);

    /// <summary>A dict of entries of which later ones replace earlier ones of an equal key, in the earlier one's place.</summary>
    public static DictionaryValue Of(IReadOnlyList<KeyValuePair<Value, Value>> entries, Rendering rendering)
    {
        rendering.ReserveValues(2L * entries.Count);
        var kept = new List<KeyValuePair<Value, Value>>(entries.Count);
        var places = new Dictionary<Value, int>(new ValueComparer(rendering));
        foreach (var entry in entries)
        {
            if (!entry.Key.IsHashable)
                throw TemplateException.Evaluation($"unhashable type: '{entry.Key.TypeName}'");
            if (places.TryGetValue(entry.Key, out var place))
            {
                kept[place] = new(kept[place].Key, entry.Value);
                continue;
            }

            places.Add(entry.Key, kept.Count);
            kept.Add(entry);
        }

        return OfDistinct([.. kept]);
    }

    /// <inheritdoc/>
    public override int Length(Rendering rendering) => entries.Length;

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        foreach (var entry in entries)
            yield return entry.Key;
    }

    /// <summary>The value of a text key, or null.</summary>
    public Value? Get(string key)
    {
        if (entries.Length > SmallCount)
            return Index().TryGetValue(key, out var found) ? entries[found].Value : null;
        foreach (var entry in entries)
            if (entry.Key is TextValue text && string.Equals(text.Text, key, StringComparison.Ordinal))
                return entry.Value;
        return null;
    }

    /// <summary>The value of a key, or null.</summary>
    public Value? Get(Value key, Rendering rendering)
    {
        if (key is TextValue text)
        {
            rendering.Scan(text.Text.Length);
            return Get(text.Text);
        }

        foreach (var entry in entries)
        {
            rendering.Step();
            if (entry.Key is not TextValue && entry.Key.EqualTo(key, rendering))
                return entry.Value;
        }

        return null;
    }

    /// <inheritdoc/>
    public override Value? Item(Value key, Rendering rendering) => key.IsHashable ? Get(key, rendering) : null;

    /// <inheritdoc/>
    public override bool Contains(Value item, Rendering rendering) => item.IsHashable
        ? Get(item, rendering) is not null
        : throw TemplateException.Evaluation($"unhashable type: '{item.TypeName}'");

    /// <summary>Whether the sandbox forbids a method because it changes the dict.</summary>
    public static bool IsMutator(string name) => name is "clear" or "pop" or "popitem" or "setdefault" or "update";

    /// <inheritdoc/>
    public override bool IsUnsafe(string name) => IsMutator(name) || base.IsUnsafe(name);

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (other is not DictionaryValue dictionary || dictionary.entries.Length != entries.Length)
            return false;
        rendering.Descend();
        foreach (var entry in entries)
        {
            rendering.Step();
            if (dictionary.Get(entry.Key, rendering) is not { } value || !entry.Value.EqualTo(value, rendering))
                return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        text.Rendering.Descend();
        text.Append('{');
        for (var i = 0; i < entries.Length; i++)
        {
            if (i > 0)
                text.Append(", ");
            entries[i].Key.WriteRepr(text);
            text.Append(": ");
            entries[i].Value.WriteRepr(text);
        }

        text.Append('}');
    }

    private Dictionary<string, int> Index()
    {
        if (index is not null)
            return index;
        var built = new Dictionary<string, int>(entries.Length, StringComparer.Ordinal);
        for (var i = 0; i < entries.Length; i++)
            if (entries[i].Key is TextValue text)
                built[text.Text] = i;
        return index = built;
    }
}

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

/// <summary>Equality of values as keys, paid for by a rendering.</summary>
internal sealed class ValueComparer(Rendering rendering) : IEqualityComparer<Value>
{
    /// <inheritdoc/>
    public bool Equals(Value? x, Value? y) => ReferenceEquals(x, y) || (x is not null && y is not null && x.EqualTo(y, rendering));

    /// <inheritdoc/>
    public int GetHashCode(Value obj)
    {
        rendering.Step();
        return obj.Hash(rendering);
    }
}
