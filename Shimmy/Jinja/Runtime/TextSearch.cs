namespace Shimmy.Jinja.Runtime;

/// <summary>
/// Finds one text in another in time that grows with their lengths, not with their product: a hostile template may search a
/// long text for a long one.
/// </summary>
internal static class TextSearch
{
    // Up to this length the vectorized search is fast even in its worst case.
    private const int ShortPart = 16;

    /// <summary>The first position, at or after <paramref name="start"/>, or -1.</summary>
    public static int IndexOf(string text, string part, int start, Rendering rendering)
    {
        if (part.Length > text.Length - start)
            return -1;
        if (part.Length <= ShortPart || text.Length - start < 1024)
        {
            var found = text.AsSpan(start).IndexOf(part);
            rendering.Scan(found < 0 ? text.Length - start : found);
            return found < 0 ? -1 : found + start;
        }

        return new Pattern(part, rendering).Find(text, start, text.Length, last: false, rendering);
    }

    /// <summary>The last position before <paramref name="end"/>, or -1.</summary>
    public static int LastIndexOf(string text, string part, int start, int end, Rendering rendering)
    {
        if (part.Length > end - start)
            return -1;
        if (part.Length <= ShortPart)
        {
            rendering.Scan(end - start);
            var found = text.AsSpan(start, end - start).LastIndexOf(part);
            return found < 0 ? -1 : found + start;
        }

        return new Pattern(part, rendering).Find(text, start, end, last: true, rendering);
    }

    /// <summary>Knuth, Morris and Pratt's search: never looks at a unit of the text twice.</summary>
    private sealed class Pattern
    {
        private readonly string part;
        private readonly int[] borders;

        public Pattern(string part, Rendering rendering)
        {
            rendering.Reserve(part.Length * 2L);
            rendering.Step(part.Length / 8);
            this.part = part;
            borders = new int[part.Length];
            for (int i = 1, border = 0; i < part.Length; i++)
            {
                while (border > 0 && part[i] != part[border])
                    border = borders[border - 1];
                if (part[i] == part[border])
                    border++;
                borders[i] = border;
            }
        }

        public int Find(string text, int start, int end, bool last, Rendering rendering)
        {
            var (matched, found) = (0, -1);
            for (var i = start; i < end; i++)
            {
                if ((i & 1023) == 0)
                    rendering.Step(128);
                while (matched > 0 && text[i] != part[matched])
                    matched = borders[matched - 1];
                if (text[i] == part[matched])
                    matched++;
                if (matched < part.Length)
                    continue;
                found = i - part.Length + 1;
                if (!last)
                    break;
                matched = borders[matched - 1];
            }

            return found;
        }
    }
}
