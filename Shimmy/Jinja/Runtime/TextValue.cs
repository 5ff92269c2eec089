namespace Shimmy.Jinja.Runtime;

/// <summary>
/// A string with its provenance. Python counts code points where .NET counts UTF-16 units; the two differ only where a text
/// holds characters beyond the basic plane, and only then positions are converted.
/// </summary>
internal sealed class TextValue(string text, Provenance provenance = default, bool isMarkup = false) : Value
{
    private int codePoints = -1;

    /// <summary>The empty text.</summary>
    public static TextValue Empty { get; } = new("");

    /// <summary>The empty text, marked as safe HTML.</summary>
    public static TextValue EmptyMarkup { get; } = new("", default, isMarkup: true);

    /// <summary>The text.</summary>
    public string Text { get; } = text;

    /// <summary>Which stretches came in with the request.</summary>
    public Provenance Provenance { get; } = provenance;

    /// <summary>Whether the text is marked as safe HTML (Python's Markup).</summary>
    public bool IsMarkup { get; } = isMarkup;

    /// <summary>Length in code points, as Python counts.</summary>
    public int CodePoints => codePoints >= 0 ? codePoints : codePoints = CountCodePoints(Text);

    /// <summary>Whether every character is one UTF-16 unit.</summary>
    public bool IsNarrow => CodePoints == Text.Length;

    /// <inheritdoc/>
    public override string TypeName => IsMarkup ? "Markup" : "str";

    /// <inheritdoc/>
    public override string ObjectName => IsMarkup ? "markupsafe.Markup object" : "str object";

    /// <inheritdoc/>
    public override bool IsTrue => Text.Length > 0;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsSequence => true;

    /// <inheritdoc/>
    public override bool HasLength => true;

    /// <summary>Text of the template's own.</summary>
    public static TextValue Own(string text) => text.Length == 0 ? Empty : new TextValue(text);

    /// <summary>Text of the request.</summary>
    public static TextValue FromRequest(string text) => text.Length == 0 ? Empty : new TextValue(text, Provenance.Request);

    /// <inheritdoc/>
    public override int Length(Rendering rendering)
    {
        rendering.Scan(codePoints >= 0 ? 0 : Text.Length);
        return CodePoints;
    }

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        for (var i = 0; i < Text.Length;)
        {
            var size = char.IsHighSurrogate(Text[i]) && i + 1 < Text.Length && char.IsLowSurrogate(Text[i + 1]) ? 2 : 1;
            rendering.Step();
            yield return Substring(i, size).Marked(false);
            i += size;
        }
    }

    /// <inheritdoc/>
    public override Value? Item(Value key, Rendering rendering)
    {
        if (key is not IntegerLikeValue index)
            return null;
        var length = Length(rendering);
        if (index.Number >= length || index.Number < -length)
            return null;
        var position = (int)index.Number;
        position = UnitOf(position < 0 ? position + length : position);
        var size = !IsNarrow && char.IsHighSurrogate(Text[position]) && position + 1 < Text.Length &&
            char.IsLowSurrogate(Text[position + 1]) ? 2 : 1;
        return Substring(position, size);
    }

    /// <inheritdoc/>
    public override Value Slice(Value start, Value stop, Value step, Rendering rendering)
    {
        var bounds = SliceBounds.Resolve(start, stop, step, Length(rendering));
        if (bounds.Step == 1)
        {
            var from = UnitOf(bounds.Start);
            return Substring(from, UnitOf(bounds.Start + bounds.Count) - from);
        }

        var builder = rendering.Rent();
        for (var i = 0; i < bounds.Count; i++)
        {
            rendering.Step();
            if (Item(IntegerValue.Of(bounds.Start + (long)i * bounds.Step), rendering) is TextValue character)
                builder.Append(character);
        }

        return rendering.Finish(builder, IsMarkup);
    }

    /// <inheritdoc/>
    public override bool Contains(Value item, Rendering rendering) => item is TextValue part
        ? TextSearch.IndexOf(Text, part.Text, 0, rendering) >= 0
        : throw TemplateException.Evaluation($"'in <string>' requires string as left operand, not {item.TypeName}");

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering)
    {
        if (other is not TextValue text || text.Text.Length != Text.Length)
            return false;
        rendering.Scan(Text.Length);
        return string.Equals(Text, text.Text, StringComparison.Ordinal);
    }

    /// <inheritdoc/>
    public override int Hash(Rendering rendering)
    {
        rendering.Scan(Text.Length);
        return string.GetHashCode(Text, StringComparison.Ordinal);
    }

    /// <inheritdoc/>
    public override void Write(TextBuilder text) => text.Append(this);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        if (!IsMarkup)
        {
            TextRepr.Write(this, text);
            return;
        }

        text.Append("Markup(");
        TextRepr.Write(this, text);
        text.Append(')');
    }

    /// <summary>A stretch, with positions in UTF-16 units.</summary>
    public TextValue Substring(int start, int length)
    {
        if (length == Text.Length)
            return this;
        if (length <= 0)
            return IsMarkup ? EmptyMarkup : Empty;
        return new TextValue(Text.Substring(start, length), Provenance.Slice(start, length), IsMarkup);
    }

    /// <summary>The same text, marked or not marked as safe HTML.</summary>
    public TextValue Marked(bool asMarkup) => asMarkup == IsMarkup ? this : new TextValue(Text, Provenance, asMarkup);

    /// <summary>The UTF-16 position of a code point.</summary>
    public int UnitOf(int codePoint)
    {
        if (IsNarrow)
            return codePoint;
        var unit = 0;
        for (; codePoint > 0; codePoint--)
            unit += char.IsHighSurrogate(Text[unit]) && unit + 1 < Text.Length && char.IsLowSurrogate(Text[unit + 1]) ? 2 : 1;
        return unit;
    }

    /// <summary>The code point at a UTF-16 position.</summary>
    public int CodePointOf(int unit) => IsNarrow ? unit : CountCodePoints(Text.AsSpan(0, unit));

    private static int CountCodePoints(ReadOnlySpan<char> text)
    {
        var count = text.Length;
        for (var i = text.IndexOfAnyInRange('\uD800', '\uDBFF'); i >= 0 && i + 1 < text.Length; i++)
            if (char.IsHighSurrogate(text[i]) && char.IsLowSurrogate(text[i + 1]))
                count--;
        return count;
    }
}
