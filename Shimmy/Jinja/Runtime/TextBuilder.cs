using Shimmy.Engine;

namespace Shimmy.Jinja.Runtime;

/// <summary>Collects text together with its provenance, within the memory that the rendering may use.</summary>
internal sealed class TextBuilder(RenderContext context)
{
    private char[] _buffer = new char[256];
    private int _length;
    private int[] _flips = new int[4];
    private int _flipCount;

    /// <summary>The rendering whose memory limit counts the text.</summary>
    public RenderContext Context => context;

    /// <summary>UTF-16 units so far.</summary>
    public int Length => _length;

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

    /// <summary>The collected text as a value.</summary>
    public TextValue ToText(bool isMarkup = false)
    {
        if (_length == 0)
            return isMarkup ? TextValue.EmptyMarkup : TextValue.Empty;
        context.Reserve(_length);
        return new TextValue(new string(_buffer, 0, _length), Provenance.Of(_flips.AsSpan(0, _flipCount)), isMarkup);
    }

    /// <summary>The collected text as parts of a prompt; no two neighbours are of the same origin.</summary>
    public IReadOnlyList<PromptPart> ToParts()
    {
        context.Reserve(_length);
        var parts = new List<PromptPart>(_flipCount + 1);
        var start = 0;
        for (var i = 0; i <= _flipCount; i++)
        {
            var end = i < _flipCount ? _flips[i] : _length;
            if (end > start)
                parts.Add(new PromptPart(new string(_buffer, start, end - start), ParseSpecial: (i & 1) == 0));
            start = end;
        }

        return parts;
    }

    /// <summary>Empties the builder to use it again.</summary>
    public void Clear() => (_length, _flipCount) = (0, 0);

    private void AppendMixed(TextValue text, int start, int count)
    {
        var provenance = text.Provenance.Slice(start, count);
        SwitchTo(provenance.StartsInRequest);
        var at = _length;
        text.Text.AsSpan(start, count).CopyTo(Extend(count));
        foreach (var flip in provenance.Flips)
        {
            if (flip > 0)
                AddFlip(at + flip);
        }
    }

    private void SwitchTo(bool fromRequest)
    {
        if (fromRequest != ((_flipCount & 1) == 1))
            AddFlip(_length);
    }

    private void AddFlip(int position)
    {
        if (_flipCount == _flips.Length)
        {
            context.Reserve(_flipCount * 2L);
            Array.Resize(ref _flips, _flipCount * 2);
        }

        _flips[_flipCount++] = position;
    }

    private Span<char> Extend(int count)
    {
        var start = _length;
        if (count > _buffer.Length - start)
            Grow(start + (long)count);
        _length = start + count;
        return _buffer.AsSpan(start, count);
    }

    private void Grow(long needed)
    {
        var capacity = Math.Max(needed, _buffer.Length * 2L);
        context.Reserve(capacity);
        Array.Resize(ref _buffer, (int)capacity);
    }
}

/// <summary>
/// The origin of a text: which stretches came in with the request, and which are the template's own. Kept as the positions (in UTF-16
/// units, ascending) at which the origin changes, a text beginning as the template's own; most texts are of one origin and
/// share one instance.
/// </summary>
internal readonly struct Provenance
{
    private static readonly int[] FromTheStart = [0];

    private readonly int[]? _flips;

    private Provenance(int[] flips) => _flips = flips;

    /// <summary>Text of the request.</summary>
    public static Provenance Request => new(FromTheStart);

    /// <summary>Whether all of the text is of one origin.</summary>
    public bool IsUniform => _flips is null || ReferenceEquals(_flips, FromTheStart);

    /// <summary>Whether the text begins with text of the request.</summary>
    public bool StartsInRequest => _flips is not null && _flips[0] == 0;

    /// <summary>Whether any of the text is the request's.</summary>
    public bool HasRequest => _flips is not null;

    /// <summary>The positions at which the origin changes.</summary>
    public ReadOnlySpan<int> Flips => _flips;

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
            slice[i - first + shift] = _flips![i] - start;
        return new Provenance(slice);
    }

    /// <summary>The number of changes of origin at or before a position.</summary>
    private int FlipsUpTo(int position)
    {
        var found = Array.BinarySearch(_flips!, position);
        return found >= 0 ? found + 1 : ~found;
    }
}
