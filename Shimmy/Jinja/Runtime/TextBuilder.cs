using Shimmy.Engine;

namespace Shimmy.Jinja.Runtime;

/// <summary>Collects text together with its provenance, within the memory that the rendering may use.</summary>
internal sealed class TextBuilder(Rendering rendering)
{
    private char[] buffer = new char[256];
    private int length;
    private int[] flips = new int[4];
    private int flipCount;

    /// <summary>The rendering that pays for the memory.</summary>
    public Rendering Rendering => rendering;

    /// <summary>UTF-16 units so far.</summary>
    public int Length => length;

    /// <summary>Appends text of one origin.</summary>
    public void Append(ReadOnlySpan<char> text, bool fromRequest = false)
    {
        if (text.IsEmpty)
            return;
        SwitchTo(fromRequest);
        text.CopyTo(Extend(text.Length));
    }

    /// <summary>Appends one unit.</summary>
    public void Append(char unit, bool fromRequest = false)
    {
        SwitchTo(fromRequest);
        Extend(1)[0] = unit;
    }

    /// <summary>Appends one unit several times.</summary>
    public void Append(char unit, int count, bool fromRequest = false)
    {
        if (count <= 0)
            return;
        SwitchTo(fromRequest);
        Extend(count).Fill(unit);
    }

    /// <summary>Appends a text with its provenance.</summary>
    public void Append(TextValue text)
    {
        if (text.Provenance.IsUniform)
            Append(text.Text, text.Provenance.HasRequest);
        else
            AppendMixed(text, 0, text.Text.Length);
    }

    /// <summary>Appends a stretch of a text with its provenance; positions count UTF-16 units.</summary>
    public void Append(TextValue text, int start, int count)
    {
        if (count <= 0)
            return;
        if (text.Provenance.IsUniform)
            Append(text.Text.AsSpan(start, count), text.Provenance.HasRequest);
        else
            AppendMixed(text, start, count);
    }

    /// <summary>Appends <c>str()</c> of a value.</summary>
    public void Append(Value value)
    {
        if (value is TextValue text)
            Append(text);
        else
            value.Write(this);
    }

    /// <summary>What was collected, as a value.</summary>
    public TextValue ToText(bool isMarkup = false)
    {
        if (length == 0)
            return isMarkup ? TextValue.EmptyMarkup : TextValue.Empty;
        rendering.Reserve(length);
        return new TextValue(new string(buffer, 0, length), Provenance.Of(flips.AsSpan(0, flipCount)), isMarkup);
    }

    /// <summary>What was collected, as parts of a prompt; no two neighbours are of the same origin.</summary>
    public IReadOnlyList<PromptPart> ToParts()
    {
        rendering.Reserve(length);
        var parts = new List<PromptPart>(flipCount + 1);
        var start = 0;
        for (var i = 0; i <= flipCount; i++)
        {
            var end = i < flipCount ? flips[i] : length;
            if (end > start)
                parts.Add(new PromptPart(new string(buffer, start, end - start), ParseSpecial: (i & 1) == 0));
            start = end;
        }

        return parts;
    }

    /// <summary>Empties the builder to use it again.</summary>
    public void Clear() => (length, flipCount) = (0, 0);

    private void AppendMixed(TextValue text, int start, int count)
    {
        var provenance = text.Provenance.Slice(start, count);
        SwitchTo(provenance.StartsInRequest);
        var at = length;
        text.Text.AsSpan(start, count).CopyTo(Extend(count));
        foreach (var flip in provenance.Flips)
            if (flip > 0)
                AddFlip(at + flip);
    }

    private void SwitchTo(bool fromRequest)
    {
        if (fromRequest != ((flipCount & 1) == 1))
            AddFlip(length);
    }

    private void AddFlip(int position)
    {
        if (flipCount == flips.Length)
        {
            rendering.Reserve(flipCount * 2L);
            Array.Resize(ref flips, flipCount * 2);
        }

        flips[flipCount++] = position;
    }

    private Span<char> Extend(int count)
    {
        var start = length;
        if (count > buffer.Length - start)
            Grow(start + (long)count);
        length = start + count;
        return buffer.AsSpan(start, count);
    }

    private void Grow(long needed)
    {
        var capacity = Math.Max(needed, buffer.Length * 2L);
        rendering.Reserve(capacity);
        Array.Resize(ref buffer, (int)capacity);
    }
}

/// <summary>
/// Which stretches of a text came in with the request, and which are the template's own. Kept as the positions (in UTF-16
/// units, ascending) at which the origin changes, a text beginning as the template's own; most texts are of one origin and
/// share one instance.
/// </summary>
internal readonly struct Provenance
{
    private static readonly int[] FromTheStart = [0];

    private readonly int[]? flips;

    private Provenance(int[] flips) => this.flips = flips;

    /// <summary>The template's own text.</summary>
    public static Provenance Template => default;

    /// <summary>Text of the request.</summary>
    public static Provenance Request => new(FromTheStart);

    /// <summary>Whether all of the text is of one origin.</summary>
    public bool IsUniform => flips is null || ReferenceEquals(flips, FromTheStart);

    /// <summary>Whether the text begins with text of the request.</summary>
    public bool StartsInRequest => flips is not null && flips[0] == 0;

    /// <summary>Whether any of the text is the request's.</summary>
    public bool HasRequest => flips is not null;

    /// <summary>The positions at which the origin changes.</summary>
    public ReadOnlySpan<int> Flips => flips;

    /// <summary>A provenance with these changes.</summary>
    public static Provenance Of(ReadOnlySpan<int> flips) => flips switch
    {
        [] => default,
        [0] => Request,
        _ => new Provenance(flips.ToArray()),
    };

    /// <summary>The provenance of one origin.</summary>
    public static Provenance Of(bool fromRequest) => fromRequest ? Request : default;

    /// <summary>Whether the unit at this position came in with the request.</summary>
    public bool IsRequestAt(int position) => IsUniform ? HasRequest : (FlipsUpTo(position) & 1) == 1;

    /// <summary>The provenance of a stretch of the text.</summary>
    public Provenance Slice(int start, int length)
    {
        if (IsUniform || length == 0)
            return this;

        var first = FlipsUpTo(start);
        var last = FlipsUpTo(start + length - 1);
        var inRequest = (first & 1) == 1;
        if (first == last)
            return Of(inRequest);

        var shift = inRequest ? 1 : 0;
        var slice = new int[last - first + shift];
        for (var i = first; i < last; i++)
            slice[i - first + shift] = flips![i] - start;
        return new Provenance(slice);
    }

    /// <summary>How many changes lie at or before a position.</summary>
    private int FlipsUpTo(int position)
    {
        var found = Array.BinarySearch(flips!, position);
        return found >= 0 ? found + 1 : ~found;
    }
}
