namespace Shimmy.Jinja.Runtime;

/// <summary>A dict: keeps the order of insertion, and is immutable because the sandbox forbids what would change it.</summary>
internal sealed class DictionaryValue : Value
{
    // Up to this many entries a linear scan is faster than a hash index.
    private const int SmallCount = 8;

    private readonly KeyValuePair<Value, Value>[] _entries;
    private Dictionary<string, int>? _index;

    private DictionaryValue(KeyValuePair<Value, Value>[] entries) => _entries = entries;

    /// <summary>The empty dict.</summary>
    public static DictionaryValue Empty { get; } = new([]);

    /// <summary>The entries in order.</summary>
    public ReadOnlySpan<KeyValuePair<Value, Value>> Entries => _entries;

    public override string TypeName => "dict";

    public override bool IsTrue => _entries.Length > 0;

    public override bool IsIterable => true;

    public override bool IsSequence => true;

    public override bool IsHashable => false;

    public override bool HasLength => true;

    /// <summary>A dict of entries whose keys are known to differ.</summary>
    public static DictionaryValue OfDistinct(KeyValuePair<Value, Value>[] entries) =>
        entries.Length == 0 ? Empty : new DictionaryValue(entries);

    /// <summary>A dict of entries of which later ones replace earlier ones of an equal key, in the earlier one's place.</summary>
    public static DictionaryValue Of(IReadOnlyList<KeyValuePair<Value, Value>> entries, RenderContext context)
    {
        context.ReserveValues(2L * entries.Count);
        var kept = new List<KeyValuePair<Value, Value>>(entries.Count);
        var places = new Dictionary<Value, int>(new ValueComparer(context));
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

    public override int Length(RenderContext context) => _entries.Length;

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        foreach (var entry in _entries)
            yield return entry.Key;
    }

    /// <summary>The value of a text key, or null.</summary>
    public Value? Get(string key)
    {
        if (_entries.Length > SmallCount)
            return Index().TryGetValue(key, out var found) ? _entries[found].Value : null;
        foreach (var entry in _entries)
        {
            if (entry.Key is TextValue text && string.Equals(text.Text, key, StringComparison.Ordinal))
                return entry.Value;
        }

        return null;
    }

    /// <summary>The value of a key, or null.</summary>
    public Value? Get(Value key, RenderContext context)
    {
        if (key is TextValue text)
        {
            context.Scan(text.Text.Length);
            return Get(text.Text);
        }

        foreach (var entry in _entries)
        {
            context.Step();
            if (entry.Key is not TextValue && entry.Key.EqualTo(key, context))
                return entry.Value;
        }

        return null;
    }

    public override Value? Item(Value key, RenderContext context) => key.IsHashable ? Get(key, context) : null;

    public override bool Contains(Value item, RenderContext context) => item.IsHashable
        ? Get(item, context) is not null
        : throw TemplateException.Evaluation($"unhashable type: '{item.TypeName}'");

    /// <summary>Whether the sandbox forbids a method because it changes the dict.</summary>
    public static bool IsMutator(string name) => name is "clear" or "pop" or "popitem" or "setdefault" or "update";

    public override bool IsUnsafe(string name) => IsMutator(name) || base.IsUnsafe(name);

    public override bool EqualTo(Value other, RenderContext context)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (other is not DictionaryValue dictionary || dictionary._entries.Length != _entries.Length)
            return false;
        context.Descend();
        foreach (var entry in _entries)
        {
            context.Step();
            if (dictionary.Get(entry.Key, context) is not { } value || !entry.Value.EqualTo(value, context))
                return false;
        }

        return true;
    }

    public override void WriteRepr(TextBuilder text)
    {
        text.Context.Descend();
        text.Append('{');
        for (var i = 0; i < _entries.Length; i++)
        {
            if (i > 0)
                text.Append(", ");
            _entries[i].Key.WriteRepr(text);
            text.Append(": ");
            _entries[i].Value.WriteRepr(text);
        }

        text.Append('}');
    }

    private Dictionary<string, int> Index()
    {
        if (_index is not null)
            return _index;
        var built = new Dictionary<string, int>(_entries.Length, StringComparer.Ordinal);
        for (var i = 0; i < _entries.Length; i++)
        {
            if (_entries[i].Key is TextValue text)
                built[text.Text] = i;
        }

        return _index = built;
    }
}

/// <summary>A view of a dict, as <c>keys()</c>, <c>values()</c> and <c>items()</c> return it.</summary>
internal sealed class DictionaryViewValue(DictionaryValue dictionary, DictionaryViewKind kind) : Value
{
    public override string TypeName => kind switch
    {
        DictionaryViewKind.Keys => "dict_keys",
        DictionaryViewKind.Values => "dict_values",
        _ => "dict_items",
    };

    public override bool IsTrue => dictionary.IsTrue;

    public override bool IsIterable => true;

    public override bool IsHashable => kind == DictionaryViewKind.Values;

    public override bool HasLength => true;

    public override int Length(RenderContext context) => dictionary.Length(context);

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        for (var i = 0; i < dictionary.Entries.Length; i++)
            yield return Element(i);
    }

    public override bool EqualTo(Value other, RenderContext context)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (kind == DictionaryViewKind.Values || other is not DictionaryViewValue view || view.TypeName != TypeName ||
            view.Length(context) != Length(context))
        {
            return false;
        }

        for (var i = 0; i < dictionary.Entries.Length; i++)
        {
            if (!view.Contains(Element(i), context))
                return false;
        }

        return true;
    }

    public override void WriteRepr(TextBuilder text)
    {
        text.Context.Descend();
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

/// <summary>The side of a dict that a view shows.</summary>
internal enum DictionaryViewKind
{
    /// <summary>The keys.</summary>
    Keys,

    /// <summary>The values.</summary>
    Values,

    /// <summary>Pairs of both.</summary>
    Items,
}

/// <summary>Equality of values as keys of a dictionary; the work counts as steps of a rendering.</summary>
internal sealed class ValueComparer(RenderContext context) : IEqualityComparer<Value>
{
    public bool Equals(Value? x, Value? y) => ReferenceEquals(x, y) || (x is not null && y is not null && x.EqualTo(y, context));

    public int GetHashCode(Value obj)
    {
        context.Step();
        return obj.Hash(context);
    }
}
