namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Python's comparison operators.</summary>
internal static class Comparison
{
    /// <summary>Whether <c>left operator right</c> holds, for the operators of equality, order and membership.</summary>
    public static bool Holds(Value left, string @operator, Value right, RenderContext context) => @operator switch
    {
        "==" => left.EqualTo(right, context),
        "!=" => !left.EqualTo(right, context),
        "in" => right.Contains(left, context),
        "not in" => !right.Contains(left, context),
        _ => HoldsInOrder(left, @operator, right, context),
    };

    /// <summary>Whether <c>left &lt; right</c>, as sorting asks.</summary>
    public static bool Less(Value left, Value right, RenderContext context) => HoldsInOrder(left, "<", right, context);

    /// <summary>Whether <c>left operator right</c> holds, for an operator of order; fails where the types have no order.</summary>
    private static bool HoldsInOrder(Value left, string @operator, Value right, RenderContext context)
    {
        if (left is UndefinedValue undefinedLeft)
            throw undefinedLeft.Fail();
        if (right is UndefinedValue undefinedRight)
            throw undefinedRight.Fail();
        if (Compare(left, right, @operator, context) is not { } order)
            return false;
        return @operator switch
        {
            "<" => order < 0,
            "<=" => order <= 0,
            ">" => order > 0,
            _ => order >= 0,
        };
    }

    private static int? Compare(Value left, Value right, string @operator, RenderContext context)
    {
        switch (left, right)
        {
            case (NumberValue a, NumberValue b):
                return NumberValue.Compare(a, b);
            case (TextValue a, TextValue b):
                context.Scan(Math.Min(a.Text.Length, b.Text.Length));
                return CompareTexts(a.Text, b.Text);
            case (SequenceValue a, SequenceValue b) when a is ListValue == b is ListValue:
                return CompareSequences(a, b, @operator, context);
            default:
                throw TemplateException.Evaluation(
                    $"'{@operator}' not supported between instances of '{left.TypeName}' and '{right.TypeName}'");
        }
    }

    /// <summary>Compares by code points, as Python does; UTF-16 puts characters beyond the basic plane before U+E000 to U+FFFF.</summary>
    private static int CompareTexts(string left, string right)
    {
        var common = left.AsSpan().CommonPrefixLength(right);
        if (common == left.Length || common == right.Length)
            return left.Length.CompareTo(right.Length);
        var (a, b) = (left[common], right[common]);
        return char.IsSurrogate(a) != char.IsSurrogate(b) ? (char.IsSurrogate(a) ? 1 : -1) : a.CompareTo(b);
    }

    private static int? CompareSequences(SequenceValue left, SequenceValue right, string @operator, RenderContext context)
    {
        context.Descend();
        var common = Math.Min(left.Items.Length, right.Items.Length);
        for (var i = 0; i < common; i++)
        {
            context.Step();
            var (a, b) = (left.Items[i], right.Items[i]);
            if (ReferenceEquals(a, b) || a.EqualTo(b, context))
                continue;
            // The first elements that differ decide, by the operator that was asked for.
            if (a is UndefinedValue undefinedLeft)
                throw undefinedLeft.Fail();
            if (b is UndefinedValue undefinedRight)
                throw undefinedRight.Fail();
            return Compare(a, b, @operator, context);
        }

        return left.Items.Length.CompareTo(right.Items.Length);
    }
}

/// <summary>Sorting as Python does it: stable, by <c>&lt;</c> alone, failing where two keys have no order.</summary>
internal static class Sorting
{
    /// <summary>The elements in the order of their keys; equal ones keep theirs, in reverse too.</summary>
    public static T[] Sort<T>(T[] elements, Func<T, Value> keyOf, bool reverse, RenderContext context)
    {
        context.ReserveValues(4L * elements.Length);
        var keyed = Array.ConvertAll(elements, element =>
        {
            context.Step(4);
            return (Key: keyOf(element), Element: element);
        });
        var spare = new (Value, T)[keyed.Length];
        Sort(keyed, spare, 0, keyed.Length, reverse, context);
        return Array.ConvertAll(keyed, pair => pair.Element);
    }

    // A merge sort: it never compares an element with itself and cannot be led astray by an order that contradicts itself.
    private static void Sort<T>((Value Key, T)[] pairs, (Value Key, T)[] spare, int start, int end, bool reverse, RenderContext context)
    {
        if (end - start < 2)
            return;
        var middle = (start + end) / 2;
        Sort(pairs, spare, start, middle, reverse, context);
        Sort(pairs, spare, middle, end, reverse, context);
        Array.Copy(pairs, start, spare, start, end - start);
        var (left, right) = (start, middle);
        for (var at = start; at < end; at++)
        {
            var takeRight = left == middle || (right < end && Precedes(spare[right].Key, spare[left].Key));
            pairs[at] = takeRight ? spare[right++] : spare[left++];
        }

        bool Precedes(Value later, Value earlier)
        {
            context.Step();
            return reverse ? Comparison.Less(earlier, later, context) : Comparison.Less(later, earlier, context);
        }
    }
}
