using System.Text;
using Microsoft.CodeAnalysis;

// The compiler takes this type for the interpolated strings of this assembly, before that of .NET with the same name.
#pragma warning disable CS0436, IDE0130
namespace System.Runtime.CompilerServices;

/// <summary>
/// Puts an interpolated string together. .NET's own is compiled into each place that has one, a hundred bytes for each of its parts: 400 KB
/// of the native executable, mostly for the messages of errors. This one is called, and gives the same text.
/// </summary>
[Embedded]
[InterpolatedStringHandler]
internal readonly ref struct DefaultInterpolatedStringHandler
{
    private const int LongestKept = 1024;

    [ThreadStatic]
    private static StringBuilder? _kept;

    private readonly StringBuilder _text;

    [MethodImpl(MethodImplOptions.NoInlining)]
    public DefaultInterpolatedStringHandler(int literalLength, int formattedCount)
    {
        // Taken, for what stands in a hole may be an interpolated string itself.
        _text = _kept ?? new StringBuilder(literalLength + (formattedCount * 8));
        _kept = null;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void AppendLiteral(string value) => _text.Append(value);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void AppendFormatted(string? value) => _text.Append(value);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void AppendFormatted(int value) => _text.Append(value);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void AppendFormatted(long value) => _text.Append(value);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void AppendFormatted(ReadOnlySpan<char> value) => _text.Append(value);

    // Of every other type, so that no value is converted to one of those above, as a char would be to its number.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AppendFormatted<T>(T value, int alignment = 0, string? format = null) => Append(value, alignment, format);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AppendFormatted<T>(T value, string? format) => Append(value, 0, format);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Append(object? value, int alignment, string? format)
    {
        var text = (value is IFormattable number ? number.ToString(format, null) : value?.ToString()) ?? "";
        _text.Append(alignment < 0 ? text.PadRight(-alignment) : text.PadLeft(alignment));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public string ToStringAndClear()
    {
        var text = _text.ToString();
        if (_text.Capacity <= LongestKept)
        {
            _text.Clear();
            _kept = _text;
        }
        return text;
    }
}
