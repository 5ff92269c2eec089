namespace Shimmy.Jinja.Runtime;

/// <summary>
/// Searches one text in another, in time that grows with their lengths, not with their product: a hostile template may search a
/// long text for a long one.
/// </summary>
internal static class TextSearch
{
    // For parts up to this length .NET's vectorized search is fast even in its worst case.
    private const int ShortPart = 16;

    /// <summary>The first position, at or after <paramref name="start"/>, or -1.</summary>
    public static int IndexOf(string text, string part, int start, RenderContext context)
    {
        if (part.Length > text.Length - start)
            return -1;
        if (part.Length <= ShortPart || text.Length - start < 1024)
        {
            var found = text.AsSpan(start).IndexOf(part);
            context.Scan(found < 0 ? text.Length - start : found);
            return found < 0 ? -1 : found + start;
        }

        return new Pattern(part, context).Find(text, start, text.Length, last: false, context);
    }

    /// <summary>The last position before <paramref name="end"/>, or -1.</summary>
    public static int LastIndexOf(string text, string part, int start, int end, RenderContext context)
    {
        if (part.Length > end - start)
            return -1;
        if (part.Length <= ShortPart)
        {
            context.Scan(end - start);
            var found = text.AsSpan(start, end - start).LastIndexOf(part);
            return found < 0 ? -1 : found + start;
        }

        return new Pattern(part, context).Find(text, start, end, last: true, context);
    }

    /// <summary>Knuth, Morris and Pratt's search: never looks at a unit of the text twice.</summary>
    private sealed class Pattern
    {
        private readonly string _part;
        private readonly int[] _borders;

        public Pattern(string part, RenderContext context)
        {
            context.Reserve(part.Length * 2L);
            context.Step(part.Length / 8);
            _part = part;
            _borders = new int[part.Length];
            for (int i = 1, border = 0; i < part.Length; i++)
            {
                while (border > 0 && part[i] != part[border])
                    border = _borders[border - 1];
                if (part[i] == part[border])
                    border++;
                _borders[i] = border;
            }
        }

        public int Find(string text, int start, int end, bool last, RenderContext context)
        {
            var (matched, found) = (0, -1);
            for (var i = start; i < end; i++)
            {
                if ((i & 1023) == 0)
                    context.Step(128);
                while (matched > 0 && text[i] != _part[matched])
                    matched = _borders[matched - 1];
                if (text[i] == _part[matched])
                    matched++;
                if (matched < _part.Length)
                    continue;
                found = i - _part.Length + 1;
                if (!last)
                    break;
                matched = _borders[matched - 1];
            }

            return found;
        }
    }
}
