namespace Shimmy.Chat.Templates.Jinja.Text;

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
