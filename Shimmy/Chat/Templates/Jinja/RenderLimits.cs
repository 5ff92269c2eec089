namespace Shimmy.Chat.Templates.Jinja;

/// <summary>
/// How much one rendering may take. Conversations may be long, so time and memory grow with what the request brought in; a
/// template alone, however hostile, ends within the fixed share.
/// </summary>
internal sealed record RenderLimits
{
    /// <summary>The limits in force.</summary>
    public static RenderLimits Default { get; } = new();

    /// <summary>Milliseconds of a rendering without regard to the request's size.</summary>
    public double Milliseconds { get; init; } = 60;

    /// <summary>Further milliseconds for each MiB of the request's text.</summary>
    public double MillisecondsPerMebibyte { get; init; } = 200;

    /// <summary>Bytes that a rendering may allocate, what it no longer holds included.</summary>
    public long Bytes { get; init; } = 40 << 20;

    /// <summary>Further bytes for each byte of the request's text.</summary>
    public int BytesPerByte { get; init; } = 32;

    /// <summary>Macros, recursive loops and blocks within one another.</summary>
    public int Depth { get; init; } = 200;

    /// <summary>
    /// Steps that are granted before the clock is looked at, so that a machine that pauses the process for a while does not make
    /// an ordinary conversation fail: a model that computes on all cores does that all the time. A step is about one node of the tree,
    /// and a hundred thousand take a few milliseconds.
    /// </summary>
    public int FreeSteps { get; init; } = 100_000;

    /// <summary>Further such steps for each KiB of the request's text.</summary>
    public int FreeStepsPerKibibyte { get; init; } = 200;
}
