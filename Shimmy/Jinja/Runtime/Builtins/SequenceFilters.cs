namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Filters over the elements of an iterable.</summary>
internal static class SequenceFilters
{
    /// <summary><c>first</c>.</summary>
    public static Value First(Value value, RenderContext context)
    {
        using var items = value.Iterate(context);
        return items.MoveNext() ? items.Current : UndefinedValue.Because("No first item, sequence was empty.");
    }

    /// <summary><c>last</c>.</summary>
    public static Value Last(Value value, RenderContext context) =>
        Backwards(value, context) is [var last, ..] ? last : UndefinedValue.Because("No last item, sequence was empty.");

    /// <summary><c>reverse</c>: a text backwards, or an iterator over the elements from the last; of an iterator a list of them.</summary>
    public static Value Reverse(Value value, RenderContext context) => value switch
    {
        TextValue text => text.Slice(NoneValue.Instance, NoneValue.Instance, IntegerValue.Of(-1), context),
        IteratorValue => new ListValue(Reversed(value, context)),
        _ => IteratorValue.Generator(((IEnumerable<Value>)Reversed(value, context)).GetEnumerator()),
    };

    /// <summary><c>min</c> or <c>max</c>.</summary>
    public static Value Extreme(Value value, Value?[] arguments, bool largest, RenderContext context)
    {
        var caseSensitive = Parameters.Flag(arguments[0]);
        var path = AttributePath.Of(arguments[1]);
        Value? best = null;
        Value? bestKey = null;
        using var items = value.Iterate(context);
        while (items.MoveNext())
        {
            context.Step();
            var key = path.Key(items.Current, caseSensitive, context);
            if (bestKey is null || (largest ? Comparison.Less(bestKey, key, context) : Comparison.Less(key, bestKey, context)))
                (best, bestKey) = (items.Current, key);
        }

        return best ?? UndefinedValue.Because("No aggregated item, sequence was empty.");
    }

    /// <summary><c>sort</c>.</summary>
    public static ListValue Sort(Value value, Value?[] arguments, RenderContext context)
    {
        var caseSensitive = Parameters.Flag(arguments[1]);
        var paths = AttributePath.AllOf(arguments[2]);
        return new ListValue(Sorting.Sort(Parameters.Elements(value, context),
            element => new ListValue(Array.ConvertAll(paths, path => path.Key(element, caseSensitive, context))),
            Parameters.Flag(arguments[0]), context));
    }

    /// <summary><c>dictsort</c>.</summary>
    public static ListValue SortDictionary(Value value, Value?[] arguments, RenderContext context)
    {
        var caseSensitive = Parameters.Flag(arguments[0]);
        var position = arguments[1] is null ? "key" : (arguments[1] as TextValue)?.Text;
        if (position is not ("key" or "value"))
            throw TemplateException.Evaluation("You can only sort by either \"key\" or \"value\"");
        var path = AttributePath.Of(IntegerValue.Of(position == "key" ? 0 : 1));
        return new ListValue(Sorting.Sort(Pairs(value),
            pair => path.Key(pair, caseSensitive, context), Parameters.Flag(arguments[2]), context));
    }

    /// <summary><c>items</c>.</summary>
    public static Value Items(Value value)
    {
        return IteratorValue.Generator(Go());

        IEnumerator<Value> Go()
        {
            if (value is UndefinedValue)
                yield break;
            if (value is not DictionaryValue)
                throw TemplateException.Evaluation("Can only get item pairs from a mapping.");
            foreach (var pair in Pairs(value))
                yield return pair;
        }
    }

    /// <summary><c>unique</c>.</summary>
    public static IteratorValue Unique(Value value, Value?[] arguments, RenderContext context)
    {
        var caseSensitive = Parameters.Flag(arguments[0]);
        var path = AttributePath.Of(arguments[1]);
        return IteratorValue.Generator(Go());

        IEnumerator<Value> Go()
        {
            var seen = new HashSet<Value>(new ValueComparer(context));
            using var items = value.Iterate(context);
            while (items.MoveNext())
            {
                var key = path.Key(items.Current, caseSensitive, context);
                if (!key.IsHashable)
                    throw TemplateException.Evaluation($"unhashable type: '{key.TypeName}'");
                context.ReserveValues(8);
                if (seen.Add(key))
                    yield return items.Current;
            }
        }
    }

    /// <summary><c>groupby</c>.</summary>
    public static ListValue GroupBy(Value value, Value?[] arguments, RenderContext context)
    {
        var path = AttributePath.Of(arguments[0], arguments[1]);
        var caseSensitive = Parameters.Flag(arguments[2]);
        var sorted = Sorting.Sort(Parameters.Elements(value, context),
            element => path.Key(element, caseSensitive, context), reverse: false, context);
        var groups = new List<Value>();
        for (var start = 0; start < sorted.Length;)
        {
            var key = path.Key(sorted[start], caseSensitive, context);
            var end = start + 1;
            while (end < sorted.Length && path.Key(sorted[end], caseSensitive, context).EqualTo(key, context))
                end++;
            var grouper = caseSensitive ? key : path.Find(sorted[start], context);
            groups.Add(new TupleValue([grouper, new ListValue(sorted[start..end])], "grouper", "list"));
            start = end;
        }

        return new ListValue([.. groups]);
    }

    /// <summary><c>batch</c>: lists of so many elements.</summary>
    public static IteratorValue Batch(Value value, Value?[] arguments, RenderContext context)
    {
        var size = Parameters.Integer(arguments[0], 0);
        var fill = arguments[1] is NoneValue ? null : arguments[1];
        return IteratorValue.Generator(Go());

        IEnumerator<Value> Go()
        {
            var batch = new List<Value>();
            using var items = value.Iterate(context);
            while (items.MoveNext())
            {
                context.Step();
                if (batch.Count == size)
                {
                    context.ReserveValues(batch.Count);
                    yield return new ListValue([.. batch]);
                    batch.Clear();
                }

                batch.Add(items.Current);
            }

            if (batch.Count == 0)
                yield break;
            if (fill is not null && batch.Count < size)
            {
                context.ReserveValues(size);
                batch.AddRange(Enumerable.Repeat(fill, size - batch.Count));
            }

            yield return new ListValue([.. batch]);
        }
    }

    /// <summary><c>slice</c>: so many lists, the first of them longer by one where the elements do not divide.</summary>
    public static IteratorValue Slice(Value value, Value?[] arguments, RenderContext context)
    {
        var slices = Parameters.Integer(arguments[0], 0);
        var fill = arguments[1] is NoneValue ? null : arguments[1];
        return IteratorValue.Generator(Go());

        IEnumerator<Value> Go()
        {
            var elements = Parameters.Elements(value, context);
            if (slices == 0)
                throw TemplateException.Evaluation("integer division or modulo by zero");
            var (size, longer) = (elements.Length / slices, elements.Length % slices);
            var start = 0;
            for (var i = 0; i < slices; i++)
            {
                context.Step();
                var end = start + size + (i < longer ? 1 : 0);
                var slice = elements[start..end];
                context.ReserveValues(slice.Length);
                yield return new ListValue(fill is not null && i >= longer ? [.. slice, fill] : slice);
                start = end;
            }
        }
    }

    /// <summary><c>sum</c>.</summary>
    public static Value Sum(Value value, Value?[] arguments, RenderContext context)
    {
        var path = AttributePath.Of(arguments[0]);
        var sum = arguments[1] ?? IntegerValue.Of(0);
        if (sum is TextValue)
            throw TemplateException.Evaluation("sum() can't sum strings [use ''.join(seq) instead]");
        using var items = value.Iterate(context);
        while (items.MoveNext())
        {
            context.Step();
            sum = Arithmetic.Add(sum, path.Find(items.Current, context), context);
        }

        return sum;
    }

    /// <summary><c>map</c>: a member of each element, or a filter applied to each.</summary>
    public static IteratorValue Map(Value value, Arguments arguments, RenderContext context)
    {
        return IteratorValue.Generator(Go());

        IEnumerator<Value> Go()
        {
            if (!value.IsTrue)
                yield break;
            var function = Function();
            using var items = value.Iterate(context);
            while (items.MoveNext())
            {
                context.Step();
                yield return function(items.Current);
            }
        }

        Func<Value, Value> Function()
        {
            if (arguments.Positional.Length == 0 && arguments.Find("attribute") is { } attribute)
            {
                foreach (var (name, _) in arguments.Named)
                {
                    if (name is not ("attribute" or "default"))
                        throw TemplateException.Evaluation($"Unexpected keyword argument '{name}'");
                }

                var path = AttributePath.Of(attribute, arguments.Find("default"));
                return element => path.Find(element, context);
            }

            if (arguments.Positional.Length == 0)
                throw TemplateException.Evaluation("map requires a filter argument");
            var filterName = Parameters.Text(arguments.Positional[0]).Text;
            var filter = FilterTable.Find(filterName) ??
                throw TemplateException.Evaluation($"No filter named '{filterName}'.");
            var rest = arguments.Skip(1);
            return element => filter.Apply(element, rest, context);
        }
    }

    /// <summary><c>select</c> and <c>reject</c>, of the elements or of one of their members.</summary>
    public static IteratorValue Select(Value value, Arguments arguments, bool byAttribute, bool wanted, RenderContext context)
    {
        return IteratorValue.Generator(Go());

        IEnumerator<Value> Go()
        {
            if (!value.IsTrue)
                yield break;
            var holds = Condition();
            using var items = value.Iterate(context);
            while (items.MoveNext())
            {
                context.Step();
                if (holds(items.Current) == wanted)
                    yield return items.Current;
            }
        }

        Func<Value, bool> Condition()
        {
            var (path, rest) = (AttributePath.Of(null), arguments);
            if (byAttribute)
            {
                if (arguments.Positional.Length == 0)
                    throw TemplateException.Evaluation("Missing parameter for attribute name");
                (path, rest) = (AttributePath.Of(arguments.Positional[0]), arguments.Skip(1));
            }

            if (rest.Positional.Length == 0)
                return element => path.Find(element, context).IsTrue;
            var testName = Parameters.Text(rest.Positional[0]).Text;
            var test = TestTable.Find(testName) ?? throw TemplateException.Evaluation($"No test named '{testName}'.");
            rest = rest.Skip(1);
            return element => test.Holds(path.Find(element, context), rest, context);
        }
    }

    private static Value[] Pairs(Value value) => value is DictionaryValue dictionary
        ? Array.ConvertAll(dictionary.Entries.ToArray(), entry => (Value)new TupleValue([entry.Key, entry.Value]))
        : throw (value is UndefinedValue undefined
            ? undefined.Fail()
            : TemplateException.Evaluation($"'{value.TypeName}' object has no attribute 'items'"));

    /// <summary>The elements from the last, where Python's <c>reversed()</c> takes the value.</summary>
    private static Value[] Backwards(Value value, RenderContext context) => value is IteratorValue
        ? throw TemplateException.Evaluation($"'{value.TypeName}' object is not reversible")
        : Reversed(value, context);

    private static Value[] Reversed(Value value, RenderContext context)
    {
        if (!value.IsIterable)
            throw TemplateException.Evaluation("argument must be iterable");
        var elements = Parameters.Elements(value, context);
        context.ReserveValues(elements.Length);
        Value[] reversed = [.. elements];
        Array.Reverse(reversed);
        return reversed;
    }
}
