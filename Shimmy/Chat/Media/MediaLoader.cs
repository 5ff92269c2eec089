using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Models.Residency;

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

    /// <summary>
    /// Most bytes of all media of a request, decoded: a file of kilobytes can be a sound of an hour, and they go to the worker in one
    /// frame.
    /// </summary>
    public long MostBytes { get; init; } = 512L << 20;

    /// <summary>Most bytes of decoded media that all running requests hold together.</summary>
    public long MostHeld { get; init; } = Math.Max(1L << 30, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);

    // Decoding takes up to a dozen bytes a pixel for a moment, so few pictures of the whole process are decoded at once. Sounds, of which
    // an hour takes a minute, keep no picture waiting.
    private static readonly SemaphoreSlim DecodingPictures = new(2);
    private static readonly SemaphoreSlim DecodingSounds = new(2);

    // Who counts tokens holds nothing that is bounded, and so does not stand in the way of requests.
    private static readonly SemaphoreSlim CountingPictures = new(1);

    private long _held;

    /// <summary>Of default limits, without URLs.</summary>
    public static MediaLoader Default { get; } = new(PictureDecoder.DefaultMostPixels, new MediaFetch([]));

    /// <summary>
    /// The conversation with its media decoded or replaced by words. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.InvalidRequest"/>) with the field of the one that is wrong.
    /// </summary>
    /// <param name="lease">The request's lease of the model that reads it, with which the media count as held.</param>
    /// <param name="request">The conversation.</param>
    /// <param name="logger">Learns what was replaced.</param>
    /// <param name="cancellation">Ends a fetch.</param>
    public Task<ChatRequest> DecodeAsync(ModelLease lease, ChatRequest request, ILogger? logger, CancellationToken cancellation) =>
        LoadAsync(lease.Model, request, lease, logger, cancellation);

    /// <summary>
    /// The same without pixels and samples, which take no part in counting tokens. What <see cref="DecodeAsync"/> refuses or replaces by
    /// words, this does: a count is that of the request itself.
    /// </summary>
    public Task<ChatRequest> MeasureAsync(ILoadedModel model, ChatRequest request, ILogger? logger, CancellationToken cancellation) =>
        LoadAsync(model, request, null, logger, cancellation);

    private async Task<ChatRequest> LoadAsync(
        ILoadedModel model, ChatRequest request, ModelLease? lease, ILogger? logger, CancellationToken cancellation)
    {
        if (!request.Messages.Any(IsOpen))
            return request;
        var messages = request.Messages.ToArray();
        // An assistant message at the end is one to go on with, and belongs to the newest turn.
        var newest = Array.FindLastIndex(messages, messages.Length - 1,
            message => message.Role == "assistant" && message != messages[^1]) + 1;
        // What the newest turn asks first, then back in time: what memory allows goes to what was said last.
        var left = MostBytes;
        var fetches = new MediaFetches(fetch, cancellation);
        for (var i = newest; i < messages.Length; i++)
        {
            if (messages[i].Role != "tool")
                await LoadMessageAsync(i).ConfigureAwait(false);
        }
        for (var i = messages.Length - 1; i >= 0; i--)
            await LoadMessageAsync(i).ConfigureAwait(false);
        return request with { Messages = messages };

        async Task LoadMessageAsync(int i)
        {
            if (!IsOpen(messages[i]))
                return;
            var parts = new List<ContentPart>();
            // Neither history nor what a tool gives is a reason to refuse what was said; nor what the dialect has let pass.
            var isStrict = i >= newest && messages[i].Role != "tool";
            var wordsBefore = false;
            foreach (var part in messages[i].Content)
            {
                var loaded = part.Source is { } source
                    ? await LoadPartAsync(source, i >= newest, isStrict && source.Unreadable is null).ConfigureAwait(false)
                    : part;
                // Words in a medium's place are a line of their own.
                var areWords = part.IsMedium && !loaded.IsMedium;
                if ((areWords || wordsBefore) && parts is [.., { IsMedium: false, Text: var said }] && !loaded.IsMedium
                    && !said.EndsWith('\n') && !loaded.Text.StartsWith('\n'))
                {
                    parts.Add(new ContentPart("\n"));
                }
                parts.Add(loaded);
                wordsBefore = areWords;
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
                var medium = await LoadAsync(model.Facts, source, fetches, left, lease, cancellation).ConfigureAwait(false);
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

    // Decoded; only what its tokens are counted by where there is no lease.
    private async Task<Medium> LoadAsync(
        ModelFacts facts, MediaSource source, MediaFetches fetches, long most, ModelLease? lease, CancellationToken cancellation)
    {
        try
        {
            if (source.Unreadable is { } reason)
                throw new FormatException(reason);
            var file = source.Url is { } url ? await fetches.GetAsync(url).ConfigureAwait(false) : source.File;
            if (source.Kind == MediumKind.Sound)
            {
                var sound = await DecodedAsync(DecodingSounds, () => lease is null
                    ? SoundDecoder.Measure(file, facts.SampleRate, SecondsFor(facts), cancellation)
                    : SoundDecoder.Decode(file, facts.SampleRate, SecondsFor(facts), cancellation), cancellation).ConfigureAwait(false);
                CheckLength(source, sound, most);
                if (lease is not null)
                    Hold(sound, lease);
                return sound;
            }
            // What its header says is known before it is decoded.
            var picture = PictureDecoder.Measure(file.Span, mostPixels);
            CheckLength(source, picture, most);
            var release = lease is null ? null : Hold(picture, lease);
            try
            {
                var decoded = await DecodedAsync(lease is null ? CountingPictures : DecodingPictures,
                    () => PictureDecoder.Decode(file, mostPixels, cancellation), cancellation).ConfigureAwait(false);
                // Whether it is damaged shows only when it is decoded.
                return lease is null ? picture : decoded;
            }
            catch
            {
                release?.Invoke();
                throw;
            }
        }
        catch (FormatException e)
        {
            throw Refusal(source, e.Message, MediaSource.CodeOf(source.Kind));
        }
    }

    private static async Task<Medium> DecodedAsync(SemaphoreSlim places, Func<Medium> decode, CancellationToken cancellation)
    {
        await places.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            return await Task.Run(decode, cancellation).ConfigureAwait(false);
        }
        finally
        {
            places.Release();
        }
    }

    private void CheckLength(MediaSource source, Medium medium, long most)
    {
        if (medium.DataLength > most)
            throw Refusal(source, $"pictures and sounds of one request may have {MostBytes >> 20} MiB together, decoded");
    }

    // Counts a medium until the request ends, or the answer is called.
    private Action Hold(Medium medium, ModelLease lease)
    {
        var bytes = medium.DataLength;
        if (Interlocked.Add(ref _held, bytes) is var held && held > MostHeld)
        {
            Interlocked.Add(ref _held, -bytes);
            throw EngineException.Held("decoded pictures and sounds of running requests", held - bytes, MostHeld);
        }
        Action release = () => Interlocked.Add(ref _held, -Interlocked.Exchange(ref bytes, 0));
        lease.OnEnd(release);
        return release;
    }

    // The longest sound whose tokens fit into the context of one request.
    private static double SecondsFor(ModelFacts facts) => facts.SoundTokens > 0 && facts.ContextLength > 0
        ? Math.Min(SoundDecoder.MostSeconds, (double)facts.SoundSeconds * (facts.ContextLength / facts.SoundTokens))
        : SoundDecoder.MostSeconds;

    // Why a model does not take media of a kind, in a text that names it.
    private static string WhyNot(ILoadedModel model, MediumKind kind) => UnsupportedMedium.Text(model.Spec.Name, kind,
        (kind == MediumKind.Sound ? model.Facts.AudioUnsupportedReason : null) ?? model.Facts.ProjectorSkipReason
            ?? (model.Facts.CanSee || model.Facts.CanHear
                ? $"its multimodal projector (mmproj) takes no {Name(kind)}s" : UnsupportedMedium.NoProjector));

    private static ContentPart Omitted(MediaSource source, string words, string reason, ILogger? logger)
    {
        // An error begins with the field.
        var field = $"{source.Field}: ";
        if (logger is not null)
            LogOmitted(logger, source.Field, reason.StartsWith(field, StringComparison.Ordinal) ? reason[field.Length..] : reason);
        return new ContentPart($"[{(source.Kind == MediumKind.Picture ? "image" : "audio")} omitted: {words}]");
    }

    private static bool Takes(ILoadedModel model, MediumKind kind) =>
        kind == MediumKind.Picture ? model.Facts.CanSee : model.Facts.CanHear;

    private static string Name(MediumKind kind) => kind == MediumKind.Picture ? "picture" : "sound";

    private static EngineException Refusal(MediaSource source, string reason, string? code = null) =>
        new(EngineFailure.InvalidRequest,
            reason.StartsWith($"{source.Field}: ", StringComparison.Ordinal) ? reason : $"{source.Field}: {reason}")
        {
            Option = source.Field,
            Code = code,
        };

    [LoggerMessage(LogLevel.Warning, "{Field}: {Reason}; replaced by a text placeholder")]
    private static partial void LogOmitted(ILogger logger, string field, string reason);
}
