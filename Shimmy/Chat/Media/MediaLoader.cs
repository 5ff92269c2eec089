using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Engine;

namespace Shimmy.Chat.Media;

/// <summary>
/// Turns the pictures and sounds of a conversation from files and URLs into pixels and samples, for a model that takes them. For one that
/// does not, one in the newest turn is refused, and an older one, or one in the result of a tool, becomes words. So does one of those that
/// cannot be read: neither history nor a tool is ever the reason for a refusal.
/// </summary>
/// <param name="mostPixels">Most pixels of a picture.</param>
/// <param name="fetch">Fetches media by URL.</param>
internal sealed partial class MediaLoader(long mostPixels, MediaFetch fetch)
{
    /// <summary>The exception for a medium that the model does not take; null is one that names field and model.</summary>
    public Func<MediumKind, Exception>? Refuses { get; init; }

    // Of all media of a request, decoded: a file of kilobytes can be a sound of an hour, and they go to the worker in one frame.
    private const long MostBytes = 512L << 20;

    // Decoding takes up to a dozen bytes a pixel for a moment, so few pictures of the whole process are decoded at once.
    private static readonly SemaphoreSlim Decoding = new(2);

    /// <summary>Of default limits, without URLs.</summary>
    public static MediaLoader Default { get; } = new(PictureDecoder.DefaultMostPixels, new MediaFetch([]));

    /// <summary>
    /// The conversation with its media decoded or replaced by words. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.InvalidRequest"/>) with the field of the one that is wrong.
    /// </summary>
    /// <param name="model">The model that reads it.</param>
    /// <param name="request">The conversation.</param>
    /// <param name="logger">Learns what was replaced.</param>
    /// <param name="cancellation">Ends a fetch.</param>
    public Task<ChatRequest> DecodeAsync(ILoadedModel model, ChatRequest request, ILogger? logger, CancellationToken cancellation) =>
        LoadAsync(model, request, decodes: true, logger, cancellation);

    /// <summary>The same with the sizes of the pictures alone, which is enough to count their tokens.</summary>
    public Task<ChatRequest> MeasureAsync(ILoadedModel model, ChatRequest request, ILogger? logger, CancellationToken cancellation) =>
        LoadAsync(model, request, decodes: false, logger, cancellation);

    private async Task<ChatRequest> LoadAsync(
        ILoadedModel model, ChatRequest request, bool decodes, ILogger? logger, CancellationToken cancellation)
    {
        if (!request.Messages.Any(IsOpen))
            return request;
        var messages = request.Messages.ToArray();
        // An assistant message at the end is one to go on with, and belongs to the newest turn.
        var newest = Array.FindLastIndex(messages, messages.Length - 1,
            message => message.Role == "assistant" && message != messages[^1]) + 1;
        // The newest turn first, then back in time: what memory allows goes to what was said last.
        var left = MostBytes;
        for (var i = newest; i < messages.Length; i++)
            await LoadMessageAsync(i).ConfigureAwait(false);
        for (var i = newest - 1; i >= 0; i--)
            await LoadMessageAsync(i).ConfigureAwait(false);
        return request with { Messages = messages };

        async Task LoadMessageAsync(int i)
        {
            if (!IsOpen(messages[i]))
                return;
            var parts = new List<ContentPart>();
            // Neither history nor what a tool gives is a reason to refuse what was said; nor what the dialect has let pass.
            var isStrict = i >= newest && messages[i].Role != "tool";
            foreach (var part in messages[i].Content)
            {
                parts.Add(part.Source is { } source
                    ? await LoadPartAsync(source, i >= newest, isStrict && source.Unreadable is null).ConfigureAwait(false)
                    : part);
            }
            messages[i] = messages[i] with { Content = ContentPart.Merge(parts) };
        }

        async Task<ContentPart> LoadPartAsync(MediaSource source, bool isNewest, bool isStrict)
        {
            if (!Takes(model, source.Kind))
            {
                if (isStrict || (isNewest && Refuses is not null))
                    throw Refuses?.Invoke(source.Kind) ?? Refusal(source, WhyNot(model, source.Kind));
                return Omitted(source, $"{model.Spec.Name} cannot {(source.Kind == MediumKind.Picture ? "see" : "hear")}",
                    WhyNot(model, source.Kind), logger);
            }
            try
            {
                var medium = await LoadAsync(model.Facts, source, decodes, cancellation).ConfigureAwait(false);
                if (medium.DataLength > left)
                    throw Refusal(source, $"pictures and sounds of one request may have {MostBytes >> 20} MiB together, decoded");
                left -= medium.DataLength;
                return new ContentPart("") { Medium = medium };
            }
            catch (EngineException e) when (!isStrict && e.Failure == EngineFailure.InvalidRequest)
            {
                return Omitted(source, "it cannot be read", e.Message, logger);
            }
        }
    }

    // Whether some medium is still a file or a URL.
    private static bool IsOpen(ChatMessage message) => message.Content.Any(part => part.Source is not null);

    private async Task<Medium> LoadAsync(ModelFacts facts, MediaSource source, bool decodes, CancellationToken cancellation)
    {
        try
        {
            if (source.Unreadable is { } reason)
                throw new FormatException(reason);
            var file = source.Url is { } url ? await fetch.GetAsync(url, cancellation).ConfigureAwait(false) : source.File;
            if (!decodes && source.Kind == MediumKind.Picture)
                return PictureDecoder.Measure(file.Span, mostPixels);
            await Decoding.WaitAsync(cancellation).ConfigureAwait(false);
            try
            {
                return await Task.Run(() => source.Kind == MediumKind.Picture ? PictureDecoder.Decode(file, mostPixels, cancellation)
                    : decodes ? SoundDecoder.Decode(file, facts.SampleRate, SecondsFor(facts), cancellation)
                    : SoundDecoder.Measure(file, facts.SampleRate, SecondsFor(facts), cancellation), cancellation).ConfigureAwait(false);
            }
            finally
            {
                Decoding.Release();
            }
        }
        catch (FormatException e)
        {
            throw Refusal(source, e.Message);
        }
    }

    // The longest sound whose tokens fit into the context of one request.
    private static double SecondsFor(ModelFacts facts) => facts.SoundTokens > 0 && facts.ContextLength > 0
        ? Math.Min(SoundDecoder.MostSeconds, (double)facts.SoundSeconds * (facts.ContextLength / facts.SoundTokens))
        : SoundDecoder.MostSeconds;

    // Why a model does not take media of a kind, in a text that names it.
    private static string WhyNot(ILoadedModel model, MediumKind kind) => $"the model '{model.Spec.Name}' takes no {Name(kind)}s: "
        + ((kind == MediumKind.Sound ? model.Facts.AudioUnsupportedReason : null) ?? model.Facts.ProjectorSkipReason
            ?? "it has no projector for them");

    private static ContentPart Omitted(MediaSource source, string words, string reason, ILogger? logger)
    {
        if (logger is not null)
            LogOmitted(logger, source.Field, reason);
        return new ContentPart($"[{(source.Kind == MediumKind.Picture ? "image" : "audio")} omitted: {words}]");
    }

    private static bool Takes(ILoadedModel model, MediumKind kind) =>
        kind == MediumKind.Picture ? model.Facts.CanSee : model.Facts.CanHear;

    private static string Name(MediumKind kind) => kind == MediumKind.Picture ? "picture" : "sound";

    private static EngineException Refusal(MediaSource source, string reason) =>
        new(EngineFailure.InvalidRequest,
            reason.StartsWith($"{source.Field}: ", StringComparison.Ordinal) ? reason : $"{source.Field}: {reason}")
        {
            Option = source.Field,
        };

    [LoggerMessage(LogLevel.Warning, "{Field}: {Reason}; words stand in its place")]
    private static partial void LogOmitted(ILogger logger, string field, string reason);
}
