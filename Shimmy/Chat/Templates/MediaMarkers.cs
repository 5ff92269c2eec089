using System.Globalization;
using Shimmy.Engine;

namespace Shimmy.Chat.Templates;

/// <summary>
/// The places of media in a rendered prompt. They are the template's own text: either a marker of <see cref="Of"/>, which stood in the
/// content of a message, or what the template itself writes for a picture. Text of the request is never searched, so no user can write one.
/// </summary>
internal static class MediaMarkers
{
    /// <summary>How a medium is shown in a prompt that people read.</summary>
    public const string Shown = "<__media__>";

    private const char End = 'z';

    // New with every process, and of letters and digits alone, which no filter of a template escapes.
    private static readonly string Begin = $"ShimmyMedium{Guid.NewGuid():N}";

    /// <summary>Stands for a medium in a content, and says which it is: templates may move messages.</summary>
    /// <param name="medium">Its index.</param>
    public static string Of(int medium) => $"{Begin}{medium}{End}";

    /// <summary>
    /// The prompt with its media at their markers; null where not each of them has one, or the prompt has more.
    /// </summary>
    /// <param name="parts">The rendered parts.</param>
    /// <param name="imageMarker">What the template writes for a picture; null where only our own markers are searched.</param>
    /// <param name="media">The media in the order in which the template was given them.</param>
    /// <param name="pictures">The order in which the template writes pictures, as indices; null for that of the media.</param>
    public static IReadOnlyList<PromptPart>? Place(
        IReadOnlyList<PromptPart> parts, string? imageMarker, IReadOnlyList<Medium> media, List<int>? pictures = null)
    {
        if (media.Count == 0)
            return parts;
        var placed = new List<PromptPart>(parts.Count + (2 * media.Count));
        var isPlaced = new bool[media.Count];
        var (count, seen) = (0, 0);
        foreach (var part in parts)
        {
            if (!part.ParseSpecial)
            {
                placed.Add(part);
                continue;
            }
            var rest = part.Text.AsSpan();
            while (Find(rest, imageMarker, out var length, out var medium) is >= 0 and var at)
            {
                medium ??= NextPicture();
                if (medium is not { } index || (uint)index >= (uint)media.Count || isPlaced[index])
                    return null;
                isPlaced[index] = true;
                count++;
                if (at > 0)
                    placed.Add(new PromptPart(rest[..at].ToString(), ParseSpecial: true));
                placed.Add(new PromptPart("", ParseSpecial: true, index));
                rest = rest[(at + length)..];
            }
            if (!rest.IsEmpty)
                placed.Add(new PromptPart(rest.ToString(), ParseSpecial: true));
        }
        return count == media.Count ? placed : null;

        int? NextPicture()
        {
            if (pictures is not null)
                return seen < pictures.Count ? pictures[seen++] : null;
            while (seen < media.Count && media[seen].Kind != MediumKind.Picture)
                seen++;
            return seen < media.Count ? seen++ : null;
        }
    }

    /// <summary>The pictures of a prompt in their order, as indices.</summary>
    public static List<int> PicturesOf(IReadOnlyList<PromptPart> parts, IReadOnlyList<Medium> media)
    {
        var pictures = new List<int>();
        foreach (var part in parts)
        {
            if (part.Medium is { } medium && media[medium].Kind == MediumKind.Picture)
                pictures.Add(medium);
        }
        return pictures;
    }

    // Where the next marker begins, how long it is, and which medium it names, which the template's own does not; -1 where there is none.
    private static int Find(ReadOnlySpan<char> text, string? imageMarker, out int length, out int? medium)
    {
        (length, medium) = (imageMarker?.Length ?? 0, null);
        var image = imageMarker is null ? -1 : text.IndexOf(imageMarker, StringComparison.Ordinal);
        var own = text.IndexOf(Begin, StringComparison.Ordinal);
        if (own < 0 || (image >= 0 && image < own))
            return image;
        var number = text[(own + Begin.Length)..];
        var digits = number.IndexOf(End);
        medium = digits > 0 && int.TryParse(number[..digits], NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : -1;
        length = Begin.Length + digits + 1;
        return own;
    }

    /// <summary>A prompt as one text, media shown as <see cref="Shown"/>.</summary>
    public static string TextOf(Prompt prompt) =>
        string.Concat(prompt.Parts.Select(part => part.Medium is null ? part.Text : Shown));
}
