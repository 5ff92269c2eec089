namespace Shimmy.Jinja.Runtime;

/// <summary>
/// A string with its provenance. Python counts code points where .NET counts UTF-16 units; the two differ only where a text
/// holds characters beyond the basic plane, and only then positions are converted.
/// </summary>
internal sealed class TextValue(string text, Provenance provenance = default, bool isMarkup = false) : Value
{
    private int _codePoints = -1;

    /// <summary>The empty text.</summary>
    public static TextValue Empty { get; } = new("");

    /// <summary>The empty text, marked as safe HTML.</summary>
    public static TextValue EmptyMarkup { get; } = new("", default, isMarkup: true);

    /// <summary>The text.</summary>
    public string Text { get; } = text;

    /// <summary>The origin of the text: the template or the request, stretch by stretch.</summary>
    public Provenance Provenance { get; } = provenance;

    /// <summary>Whether the text is marked as safe HTML (Python's Markup).</summary>
    public bool IsMarkup { get; } = isMarkup;

    /// <summary>Length in code points, as Python counts.</summary>
    public int CodePoints => _codePoints >= 0 ? _codePoints : _codePoints = CountCodePoints(Text);

    /// <summary>Whether every character is one UTF-16 unit.</summary>
    public bool IsNarrow => CodePoints == Text.Length;

    public override string TypeName => IsMarkup ? "Markup" : "str";

    public override string ObjectName => IsMarkup ? "markupsafe.Markup object" : "str object";

    public override bool IsTrue => Text.Length > 0;

    public override bool IsIterable => true;

    public override bool IsSequence => true;

    public override bool HasLength => true;

    /// <summary>Text of the template's own.</summary>
    public static TextValue Own(string text) => text.Length == 0 ? Empty : new TextValue(text);

    /// <summary>Text of the request.</summary>
    public static TextValue FromRequest(string text) => text.Length == 0 ? Empty : new TextValue(text, Provenance.Request);

    public override int Length(RenderContext context)
    {
        context.Scan(_codePoints >= 0 ? 0 : Text.Length);
        return CodePoints;
    }

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        for (var i = 0; i < Text.Length;)
        {
            var size = char.IsHighSurrogate(Text[i]) && i + 1 < Text.Length && char.IsLowSurrogate(Text[i + 1]) ? 2 : 1;
            context.Step();
            yield return Substring(i, size).Marked(false);
            i += size;
        }
    }

    public override Value? Item(Value key, RenderContext context)
    {
        if (key is not IntegerLikeValue index)
            return null;
        var length = Length(context);
        if (index.Number >= length || index.Number < -length)
            return null;
        var position = (int)index.Number;
        position = UnitOf(position < 0 ? position + length : position);
        var size = !IsNarrow && char.IsHighSurrogate(Text[position]) && position + 1 < Text.Length &&
            char.IsLowSurrogate(Text[position + 1]) ? 2 : 1;
        return Substring(position, size);
    }

    public override Value Slice(Value start, Value stop, Value step, RenderContext context)
    {
        var bounds = SliceBounds.Resolve(start, stop, step, Length(context));
        if (bounds.Step == 1)
        {
            var from = UnitOf(bounds.Start);
            return Substring(from, UnitOf(bounds.Start + bounds.Count) - from);
        }

        var builder = context.Rent();
        for (var i = 0; i < bounds.Count; i++)
        {
            context.Step();
            if (Item(IntegerValue.Of(bounds.Start + (long)i * bounds.Step), context) is TextValue character)
                builder.Append(character);
        }

        return context.Finish(builder, IsMarkup);
    }

    public override bool Contains(Value item, RenderContext context) => item is TextValue part
        ? TextSearch.IndexOf(Text, part.Text, 0, context) >= 0
        : throw TemplateException.Evaluation($"'in <string>' requires string as left operand, not {item.TypeName}");

    public override bool EqualTo(Value other, RenderContext context)
    {
        if (other is not TextValue text || text.Text.Length != Text.Length)
            return false;
        context.Scan(Text.Length);
        return string.Equals(Text, text.Text, StringComparison.Ordinal);
    }

    public override int Hash(RenderContext context)
    {
        context.Scan(Text.Length);
        return string.GetHashCode(Text, StringComparison.Ordinal);
    }

    public override void Write(TextBuilder text) => text.Append(this);

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
        {
            if (char.IsHighSurrogate(text[i]) && char.IsLowSurrogate(text[i + 1]))
                count--;
        }

        return count;
    }
}
