using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Bounds of a number; null is unbounded.</summary>
internal readonly record struct NumberBounds
{
    /// <summary>The least value.</summary>
    public decimal? Minimum { get; init; }

    /// <summary>Whether <see cref="Minimum"/> itself is excluded.</summary>
    public bool AboveMinimum { get; init; }

    /// <summary>The greatest value.</summary>
    public decimal? Maximum { get; init; }

    /// <summary>Whether <see cref="Maximum"/> itself is excluded.</summary>
    public bool BelowMaximum { get; init; }

    /// <summary>Whether there is no bound.</summary>
    public bool IsOpen => Minimum is null && Maximum is null;

    /// <summary>The least integer allowed.</summary>
    public decimal? LeastWhole => Minimum is { } least ? AboveMinimum && least == decimal.Floor(least)
        ? least + 1
        : decimal.Ceiling(least) : null;

    /// <summary>The greatest integer allowed.</summary>
    public decimal? GreatestWhole => Maximum is { } most ? BelowMaximum && most == decimal.Floor(most)
        ? most - 1
        : decimal.Floor(most) : null;

    /// <summary>These bounds, narrowed by a lower bound.</summary>
    public NumberBounds AtLeast(decimal value, bool excluded) =>
        Minimum is { } now && (now > value || (now == value && (AboveMinimum || !excluded)))
            ? this
            : this with { Minimum = value, AboveMinimum = excluded };

    /// <summary>These bounds, narrowed by an upper bound.</summary>
    public NumberBounds AtMost(decimal value, bool excluded) =>
        Maximum is { } now && (now < value || (now == value && (BelowMaximum || !excluded)))
            ? this
            : this with { Maximum = value, BelowMaximum = excluded };

    /// <summary>Whether a number is within the bounds.</summary>
    public bool Contains(JsonElement number)
    {
        if (IsOpen)
            return true;
        if (!number.TryGetDecimal(out var value))
        {
            // Outside the range of decimal, so outside every bound.
            var large = number.GetDouble();
            return large > 0 ? Maximum is null : Minimum is null;
        }
        return !(value < Minimum || (AboveMinimum && value == Minimum) || value > Maximum || (BelowMaximum && value == Maximum));
    }
}
