using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Shimmy.Jinja.Runtime;

/// <summary>The state of one rendering: the variables given to it, the clock, and how much of its limits is used up.</summary>
internal sealed class RenderContext
{
    private const int StepsPerCheck = 1024;

    // Operations that allocate less than this are found by the regular check afterwards; larger ones are checked before they allocate.
    private const int LargeUnits = 4096;

    private readonly IReadOnlyDictionary<string, Value> _variables;
    private readonly Dictionary<string, Value> _exported = new(StringComparer.Ordinal);
    private readonly Stack<TextBuilder> _builders = new();
    private readonly RenderLimits _limits;
    private readonly long _startTime = Stopwatch.GetTimestamp();
    private readonly long _startBytes = GC.GetAllocatedBytesForCurrentThread();
    private readonly double _milliseconds;
    private readonly long _bytes;
    private long _steps;
    private long _nextCheck;
    private int _depth;

    /// <summary>Begins a rendering.</summary>
    /// <param name="variables">The variables by name.</param>
    /// <param name="inputBytes">Bytes of text that the request brought in; widens the limits.</param>
    /// <param name="clock">The clock that <c>strftime_now</c> reads.</param>
    /// <param name="limits">The limits.</param>
    public RenderContext(IReadOnlyDictionary<string, Value> variables, long inputBytes, TimeProvider clock, RenderLimits limits)
    {
        _variables = variables;
        _limits = limits;
        Clock = clock;
        _milliseconds = limits.Milliseconds + limits.MillisecondsPerMebibyte * inputBytes / (1 << 20);
        _bytes = limits.Bytes + limits.BytesPerByte * inputBytes;
        _nextCheck = limits.FreeSteps + limits.FreeStepsPerKibibyte * inputBytes / 1024;
    }

    /// <summary>The clock that <c>strftime_now</c> reads.</summary>
    public TimeProvider Clock { get; }

    /// <summary>Whether output is escaped for HTML: only inside <c>{% autoescape true %}</c>.</summary>
    public bool AutoEscape { get; set; }

    /// <summary>The line of the statement that runs, for messages.</summary>
    public int Line { get; private set; }

    /// <summary>Looks a variable up where no scope of the template has it; null where there is none.</summary>
    public Value? Resolve(string name) =>
        _exported.TryGetValue(name, out var value) || _variables.TryGetValue(name, out value) ? value : null;

    /// <summary>Makes an assignment at the top level visible to blocks.</summary>
    public void Export(string name, Value value) => _exported[name] = value;

    /// <summary>Begins a statement: notes its line for messages and counts its nodes as steps.</summary>
    public void Begin(int line, int weight)
    {
        Line = line;
        Step(weight);
    }

    /// <summary>Counts work, one for about as much as evaluating one node takes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Step(long count = 1)
    {
        _steps += count;
        if (_steps >= _nextCheck)
            Check(0);
    }

    /// <summary>Counts the work of one pass over text or memory of this many UTF-16 units.</summary>
    public void Scan(long units)
    {
        if (units > 64)
            Step(units >> 6);
    }

    /// <summary>Asks for memory of this many UTF-16 units before it is allocated.</summary>
    public void Reserve(long units)
    {
        if (units < LargeUnits)
            return;
        _steps += units >> 6;
        Check(units * sizeof(char));
    }

    /// <summary>Asks for memory for this many values before it is allocated.</summary>
    public void ReserveValues(long count) => Reserve(count * (IntPtr.Size / sizeof(char)));

    /// <summary>Enters a macro, a recursive loop or a block.</summary>
    public void Enter()
    {
        if (++_depth > _limits.Depth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw TooDeep();
    }

    /// <summary>Leaves what was entered.</summary>
    public void Leave() => _depth--;

    /// <summary>Guards a recursion over nested values.</summary>
    public void Descend()
    {
        Step();
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw TooDeep();
    }

    /// <summary>An empty builder; give it back with <see cref="Return"/>.</summary>
    public TextBuilder Rent() => _builders.TryPop(out var builder) ? builder : new TextBuilder(this);

    /// <summary>Gives a builder back.</summary>
    public void Return(TextBuilder builder)
    {
        builder.Clear();
        _builders.Push(builder);
    }

    /// <summary>Gives a builder back and returns what it collected.</summary>
    public TextValue Finish(TextBuilder builder, bool isMarkup = false)
    {
        var text = builder.ToText(isMarkup);
        Return(builder);
        return text;
    }

    private TemplateException TooDeep() =>
        TemplateException.Limit($"macros, loops or values nest too deeply (macros at most {_limits.Depth} levels)");

    private void Check(long wanted)
    {
        if (GC.GetAllocatedBytesForCurrentThread() - _startBytes + wanted > _bytes)
            throw TemplateException.Limit($"it needs more than {_bytes >> 20} MiB of memory");
        if (_steps < _nextCheck)
            return;
        _nextCheck = _steps + StepsPerCheck;
        if (Stopwatch.GetElapsedTime(_startTime).TotalMilliseconds > _milliseconds)
            throw TemplateException.Limit($"it takes longer than {_milliseconds:0} ms");
    }
}

/// <summary>
/// The limits of one rendering: time, memory and depth. Conversations may be long, so time and memory grow with the request's text;
/// a hostile template alone ends within the fixed share.
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

    /// <summary>The most macros, recursive loops and blocks within one another.</summary>
    public int Depth { get; init; } = 200;

    /// <summary>
    /// Steps that are granted before the clock is looked at, so that a machine that pauses the process for a while does not make
    /// an ordinary conversation fail: a model that computes on all cores does that all the time. A step is about one node of the tree,
    /// and a hundred thousand take a few milliseconds.
    /// </summary>
    public int FreeSteps { get; init; } = 100_000;

    /// <summary>Further free steps for each KiB of the request's text.</summary>
    public int FreeStepsPerKibibyte { get; init; } = 200;
}
