using Shimmy.Engine;

namespace Shimmy.Chat.Templates;

/// <summary>
/// The places of media in a rendered prompt. They are the template's own text: either <see cref="Marker"/>, which stood in the content of a
/// message, or what the template itself writes for a picture. Text of the request is never searched, so no user can write one.
/// </summary>
internal static class MediaMarkers
{
    /// <summary>
    /// Stands for a medium in a content. New with every process, and of letters and digits alone, which no filter of a template escapes.
    /// </summary>
    public static string Marker { get; } = $"ShimmyMedium{Guid.NewGuid():N}";

    /// <summary>How a medium is shown in a prompt that people read.</summary>
    public const string Shown = "<__media__>";

    /// <summary>
    /// The prompt with its media at their markers; null where there are not as many markers as media.
    /// </summary>
    /// <param name="parts">The rendered parts.</param>
    /// <param name="imageMarker">What the template writes for a picture; null where only the marker is searched.</param>
    /// <param name="media">The media in their order.</param>
    public static IReadOnlyList<PromptPart>? Place(IReadOnlyList<PromptPart> parts, string? imageMarker, IReadOnlyList<Medium> media)
    {
        if (media.Count == 0)
            return parts;
        var placed = new List<PromptPart>(parts.Count + (2 * media.Count));
        var count = 0;
        foreach (var part in parts)
        {
            if (!part.ParseSpecial)
            {
                placed.Add(part);
                continue;
            }
            var rest = part.Text.AsSpan();
            while (Next(rest) is var (at, length) && length > 0)
            {
                if (at > 0)
                    placed.Add(new PromptPart(rest[..at].ToString(), ParseSpecial: true));
                placed.Add(new PromptPart("", ParseSpecial: true, count++));
                rest = rest[(at + length)..];
            }
            if (!rest.IsEmpty)
                placed.Add(new PromptPart(rest.ToString(), ParseSpecial: true));
        }
        return count == media.Count ? placed : null;

        (int At, int Length) Next(ReadOnlySpan<char> text)
        {
            var marker = text.IndexOf(Marker, StringComparison.Ordinal);
            var image = imageMarker is null ? -1 : text.IndexOf(imageMarker, StringComparison.Ordinal);
            return marker >= 0 && (image < 0 || marker < image) ? (marker, Marker.Length)
                : image >= 0 ? (image, imageMarker!.Length)
                : (0, 0);
        }
    }

    /// <summary>A prompt as one text, media shown as <see cref="Shown"/>.</summary>
    public static string TextOf(Prompt prompt) =>
        string.Concat(prompt.Parts.Select(part => part.Medium is null ? part.Text : Shown));
}
