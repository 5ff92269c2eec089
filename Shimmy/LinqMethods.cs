using System.Collections;
using System.Runtime.CompilerServices;

namespace Shimmy;

/// <summary>
/// The operations on sequences that Shimmy uses most, in place of those of LINQ with the same names: the compiler finds them first, because
/// they are in the namespace around all of ours. LINQ's have a class for each kind of source, each with a dozen methods, compiled for every
/// pair of types: a megabyte of the native executable. These are one plain loop each; what they return and when they run is the same.
/// </summary>
internal static class LinqMethods
{
    public static IEnumerable<TResult> Select<T, TResult>(this IEnumerable<T> source, Func<T, TResult> selector) =>
        new Selected<T, TResult>(source, selector);

    public static IEnumerable<T> Where<T>(this IEnumerable<T> source, Func<T, bool> predicate) => new Chosen<T>(source, predicate);

    public static IEnumerable<T> Concat<T>(this IEnumerable<T> first, IEnumerable<T> second) => new Joined<T>(first, second);

    public static IEnumerable<T> Take<T>(this IEnumerable<T> source, int count) => count <= 0 ? [] : new Taken<T>(source, count);

    public static IEnumerable<T> Skip<T>(this IEnumerable<T> source, int count) => new Skipped<T>(source, count);

    public static IEnumerable<TResult> Select<T, TResult>(this IEnumerable<T> source, Func<T, int, TResult> selector)
    {
        var index = 0;
        foreach (var item in source)
            yield return selector(item, index++);
    }

    public static IEnumerable<TResult> SelectMany<T, TResult>(this IEnumerable<T> source, Func<T, IEnumerable<TResult>> selector)
    {
        foreach (var item in source)
        {
            foreach (var part in selector(item))
                yield return part;
        }
    }

    public static IEnumerable<T> Append<T>(this IEnumerable<T> source, T last) => source.Concat([last]);

    public static IEnumerable<T> Prepend<T>(this IEnumerable<T> source, T first) => Concat([first], source);

    public static IEnumerable<T> Distinct<T>(this IEnumerable<T> source, IEqualityComparer<T>? comparer = null)
    {
        var seen = new HashSet<T>(comparer);
        foreach (var item in source)
        {
            if (seen.Add(item))
                yield return item;
        }
    }

    public static IEnumerable<T> OfType<T>(this IEnumerable source)
    {
        foreach (var item in source)
        {
            if (item is T one)
                yield return one;
        }
    }

    public static T[] ToArray<T>(this IEnumerable<T> source)
    {
        if (source is not ICollection<T> known)
            return new List<T>(source).ToArray();
        if (known.Count == 0)
            return [];
        var all = new T[known.Count];
        known.CopyTo(all, 0);
        return all;
    }

    public static List<T> ToList<T>(this IEnumerable<T> source) => new(source);

    public static HashSet<T> ToHashSet<T>(this IEnumerable<T> source, IEqualityComparer<T>? comparer = null) => new(source, comparer);

    public static Dictionary<TKey, T> ToDictionary<T, TKey>(
        this IEnumerable<T> source, Func<T, TKey> key, IEqualityComparer<TKey>? comparer = null)
        where TKey : notnull => source.ToDictionary(key, item => item, comparer);

    public static Dictionary<TKey, TValue> ToDictionary<T, TKey, TValue>(
        this IEnumerable<T> source, Func<T, TKey> key, Func<T, TValue> value, IEqualityComparer<TKey>? comparer = null)
        where TKey : notnull
    {
        var all = new Dictionary<TKey, TValue>(comparer);
        foreach (var item in source)
            all.Add(key(item), value(item));
        return all;
    }

    public static bool Any<T>(this IEnumerable<T> source)
    {
        if (source is ICollection<T> known)
            return known.Count != 0;
        using var items = source.GetEnumerator();
        return items.MoveNext();
    }

    public static bool Any<T>(this IEnumerable<T> source, Func<T, bool> predicate)
    {
        foreach (var item in source)
        {
            if (predicate(item))
                return true;
        }
        return false;
    }

    public static bool All<T>(this IEnumerable<T> source, Func<T, bool> predicate)
    {
        foreach (var item in source)
        {
            if (!predicate(item))
                return false;
        }
        return true;
    }

    public static int Count<T>(this IEnumerable<T> source, Func<T, bool> predicate)
    {
        var count = 0;
        foreach (var item in source)
        {
            if (predicate(item))
                count++;
        }
        return count;
    }

    public static T? FirstOrDefault<T>(this IEnumerable<T> source)
    {
        using var items = source.GetEnumerator();
        return items.MoveNext() ? items.Current : default;
    }

    public static T? FirstOrDefault<T>(this IEnumerable<T> source, Func<T, bool> predicate)
    {
        foreach (var item in source)
        {
            if (predicate(item))
                return item;
        }
        return default;
    }

    public static Sorted<T> OrderBy<T, TKey>(this IEnumerable<T> source, Func<T, TKey> key, IComparer<TKey>? comparer = null) =>
        new(source, null, Sorted<T>.Level(key, comparer, 1));

    public static Sorted<T> OrderByDescending<T, TKey>(this IEnumerable<T> source, Func<T, TKey> key, IComparer<TKey>? comparer = null) =>
        new(source, null, Sorted<T>.Level(key, comparer, -1));

    public static Sorted<T> Order<T>(this IEnumerable<T> source, IComparer<T>? comparer = null) => source.OrderBy(item => item, comparer);
}

/// <summary>The part of <see cref="Steps{T}"/> that does not depend on the type of its items.</summary>
internal abstract class Steps
{
    private IDisposable? _items;

    public void Dispose() => _items?.Dispose();

    protected bool Next<TSource>(IEnumerable<TSource> source, out TSource item)
    {
        _items ??= source.GetEnumerator();
        var items = Unsafe.As<IEnumerator<TSource>>(_items);
        if (items.MoveNext())
        {
            item = items.Current;
            return true;
        }
        items.Dispose();
        item = default!;
        return false;
    }

    protected void Begin<TSource>(IEnumerable<TSource> source) => _items = source.GetEnumerator();
}

/// <summary>
/// A sequence made of another, item by item; the first who reads it gets the object itself. What the compiler makes of <c>yield</c> does
/// the same with nine methods for each pair of types; here a pair has two of its own.
/// </summary>
internal abstract class Steps<T> : Steps, IEnumerable<T>, IEnumerator<T>
{
    private int _read;

    public T Current { get; protected set; } = default!;

    object? IEnumerator.Current => Current;

    public abstract bool MoveNext();

    public void Reset() => throw new NotSupportedException();

    public IEnumerator<T> GetEnumerator() => Interlocked.Exchange(ref _read, 1) == 0 ? this : Again().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The same sequence, unread.</summary>
    protected abstract Steps<T> Again();
}

/// <summary>The results of a function for the items of a sequence.</summary>
internal sealed class Selected<T, TResult>(IEnumerable<T> source, Func<T, TResult> selector) : Steps<TResult>
{
    public override bool MoveNext()
    {
        if (!Next(source, out var item))
            return false;
        Current = selector(item);
        return true;
    }

    protected override Steps<TResult> Again() => new Selected<T, TResult>(source, selector);
}

/// <summary>The items of a sequence that satisfy a condition.</summary>
internal sealed class Chosen<T>(IEnumerable<T> source, Func<T, bool> predicate) : Steps<T>
{
    public override bool MoveNext()
    {
        while (Next(source, out var item))
        {
            if (predicate(item))
            {
                Current = item;
                return true;
            }
        }
        return false;
    }

    protected override Steps<T> Again() => new Chosen<T>(source, predicate);
}

/// <summary>Two sequences, one after the other.</summary>
internal sealed class Joined<T>(IEnumerable<T> first, IEnumerable<T> second) : Steps<T>
{
    private bool _isSecond;

    public override bool MoveNext()
    {
        if (!Next(first, out var item))
        {
            if (_isSecond)
                return false;
            _isSecond = true;
            Begin(second);
            if (!Next(second, out item))
                return false;
        }
        Current = item;
        return true;
    }

    protected override Steps<T> Again() => new Joined<T>(first, second);
}

/// <summary>The first items of a sequence; it is read no further.</summary>
internal sealed class Taken<T>(IEnumerable<T> source, int count) : Steps<T>
{
    private int _taken;

    public override bool MoveNext()
    {
        if (_taken == count || !Next(source, out var item))
            return false;
        Current = item;
        _taken++;
        return true;
    }

    protected override Steps<T> Again() => new Taken<T>(source, count);
}

/// <summary>A sequence without its first items.</summary>
internal sealed class Skipped<T>(IEnumerable<T> source, int count) : Steps<T>
{
    private int _skipped;

    public override bool MoveNext()
    {
        while (Next(source, out var item))
        {
            if (_skipped < count)
            {
                _skipped++;
                continue;
            }
            Current = item;
            return true;
        }
        return false;
    }

    protected override Steps<T> Again() => new Skipped<T>(source, count);
}

/// <summary>A sequence sorted when it is read; items whose keys are equal stay in their order.</summary>
internal sealed class Sorted<T>(IEnumerable<T> source, Sorted<T>? before, Func<T[], Comparison<int>> level) : IEnumerable<T>
{
    public Sorted<T> ThenBy<TKey>(Func<T, TKey> key, IComparer<TKey>? comparer = null) => new(source, this, Level(key, comparer, 1));

    public Sorted<T> ThenByDescending<TKey>(Func<T, TKey> key, IComparer<TKey>? comparer = null) =>
        new(source, this, Level(key, comparer, -1));

    public IEnumerator<T> GetEnumerator()
    {
        var items = source.ToArray();
        var compare = Comparison(items);
        var order = new int[items.Length];
        for (var i = 0; i < order.Length; i++)
            order[i] = i;
        Array.Sort(order, (left, right) => compare(left, right) is var different and not 0 ? different : left.CompareTo(right));
        foreach (var i in order)
            yield return items[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>One key of the order: of items, how two of them compare by it. A key is made once an item.</summary>
    public static Func<T[], Comparison<int>> Level<TKey>(Func<T, TKey> key, IComparer<TKey>? comparer, int sign) => items =>
    {
        comparer ??= Comparer<TKey>.Default;
        var keys = new TKey[items.Length];
        for (var i = 0; i < keys.Length; i++)
            keys[i] = key(items[i]);
        return (left, right) => sign * Math.Sign(comparer.Compare(keys[left], keys[right]));
    };

    private Comparison<int> Comparison(T[] items)
    {
        var last = level(items);
        if (before is null)
            return last;
        var first = before.Comparison(items);
        return (left, right) => first(left, right) is var different and not 0 ? different : last(left, right);
    }
}
