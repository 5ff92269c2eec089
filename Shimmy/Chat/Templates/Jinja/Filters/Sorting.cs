using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Filters;

/// <summary>Sorting as Python does it: stable, by <c>&lt;</c> alone, failing where two keys have no order.</summary>
internal static class Sorting
{
    /// <summary>The elements in the order of their keys; equal ones keep theirs, in reverse too.</summary>
    public static T[] Sort<T>(T[] elements, Func<T, Value> keyOf, bool reverse, Rendering rendering)
    {
        rendering.ReserveValues(4L * elements.Length);
        var keyed = Array.ConvertAll(elements, element =>
        {
            rendering.Step(4);
            return (Key: keyOf(element), Element: element);
        });
        var spare = new (Value, T)[keyed.Length];
        Sort(keyed, spare, 0, keyed.Length, reverse, rendering);
        return Array.ConvertAll(keyed, pair => pair.Element);
    }

    // A merge sort: it never compares an element with itself and cannot be led astray by an order that contradicts itself.
    private static void Sort<T>((Value Key, T)[] pairs, (Value Key, T)[] spare, int start, int end, bool reverse, Rendering rendering)
    {
        if (end - start < 2)
            return;
        var middle = (start + end) / 2;
        Sort(pairs, spare, start, middle, reverse, rendering);
        Sort(pairs, spare, middle, end, reverse, rendering);
        Array.Copy(pairs, start, spare, start, end - start);
        var (left, right) = (start, middle);
        for (var at = start; at < end; at++)
        {
            var takeRight = left == middle || (right < end && Precedes(spare[right].Key, spare[left].Key));
            pairs[at] = takeRight ? spare[right++] : spare[left++];
        }

        bool Precedes(Value later, Value earlier)
        {
            rendering.Step();
            return reverse ? Ordering.Less(earlier, later, rendering) : Ordering.Less(later, earlier, rendering);
        }
    }
}
