using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

using MethodBody = Func<TextValue, Value?[], RenderContext, Value>;

/// <summary>
/// The methods of strings. Each keeps the provenance of the text that it takes from its arguments. <c>encode</c> only fails, since
/// there are no bytes: no chat template can print them.
/// </summary>
internal static class TextMethods
{
    private static readonly Signature Affix = new("/prefix", "/start=", "/end=");
    private static readonly Signature Fill = new("/width", "/fillchar=");
    private static readonly Signature One = new("/value");
    private static readonly Signature SplitBy = new("sep=", "maxsplit=");
    private static readonly Signature Strip = new("/chars=");

    private static readonly Dictionary<string, (Signature Signature, MethodBody Body)> Table =
        new Dictionary<string, (Signature, MethodBody)>
        {
            ["capitalize"] = (Signature.Empty, (text, _, context) => CaseMapping.Capitalize(text, context)),
            ["casefold"] = (Signature.Empty, (text, _, context) => CaseMapping.Fold(text, context)),
            ["center"] = (Fill, Pad(Alignment.Center)),
            ["count"] = (Affix, (text, a, context) =>
                IntegerValue.Of(SearchMethods.Count(text, a[0], a[1], a[2], context))),
            ["endswith"] = (Affix, (text, a, context) =>
                BooleanValue.Of(SearchMethods.HasAffix(text, a[0], a[1], a[2], atEnd: true, context))),
            ["expandtabs"] = (new Signature("tabsize="), (text, a, context) =>
                TrimMethods.ExpandTabs(text, Parameters.Integer(a[0], 8), context)),
            ["find"] = (Affix, (text, a, context) =>
                IntegerValue.Of(SearchMethods.Find(text, a[0], a[1], a[2], last: false, context))),
            ["format_map"] = (One, (text, a, context) => FormatMethod.Format(text, a[0]!, context)),
            ["index"] = (Affix, (text, a, context) =>
                IntegerValue.Of(SearchMethods.Index(text, a[0], a[1], a[2], last: false, context))),
            ["isalnum"] = (Signature.Empty, All(CharacterClasses.IsAlphanumeric)),
            ["isalpha"] = (Signature.Empty, All(CharacterClasses.IsAlpha)),
            ["isascii"] = (Signature.Empty, (text, _, _) => BooleanValue.Of(Ascii.IsValid(text.Text))),
            ["isdecimal"] = (Signature.Empty, All(CharacterClasses.IsDecimal)),
            ["isdigit"] = (Signature.Empty, All(CharacterClasses.IsDigit)),
            ["isidentifier"] = (Signature.Empty, (text, _, context) =>
                BooleanValue.Of(PredicateMethods.IsIdentifier(text.Text, context))),
            ["islower"] = (Signature.Empty, (text, _, context) =>
                BooleanValue.Of(PredicateMethods.IsOfCase(text.Text, upper: false, context))),
            ["isnumeric"] = (Signature.Empty, All(CharacterClasses.IsNumeric)),
            ["isprintable"] = (Signature.Empty, (text, _, context) =>
                BooleanValue.Of(text.Text.Length == 0 || PredicateMethods.All(text.Text, CharacterClasses.IsPrintable, context))),
            ["isspace"] = (Signature.Empty, All(rune => rune.IsBmp && CharacterClasses.IsSpace((char)rune.Value))),
            ["istitle"] = (Signature.Empty, (text, _, context) =>
                BooleanValue.Of(PredicateMethods.IsTitle(text.Text, context))),
            ["isupper"] = (Signature.Empty, (text, _, context) =>
                BooleanValue.Of(PredicateMethods.IsOfCase(text.Text, upper: true, context))),
            ["join"] = (One, (text, a, context) => Join(text, a[0]!, context)),
            ["ljust"] = (Fill, Pad(Alignment.Left)),
            ["lower"] = (Signature.Empty, (text, _, context) => CaseMapping.ToLower(text, context)),
            ["lstrip"] = (Strip, (text, a, context) => TrimMethods.Strip(text, a[0], left: true, right: false, context)),
            ["maketrans"] = (new Signature("/x", "/y=", "/z="), (_, a, context) =>
                Translation.Make(a[0]!, a[1], a[2], context)),
            ["partition"] = (One, (text, a, context) => SplitMethods.Partition(text, a[0]!, fromEnd: false, context)),
            ["removeprefix"] = (One, (text, a, _) => TrimMethods.RemovePrefix(text, Parameters.Text(a[0]))),
            ["removesuffix"] = (One, (text, a, _) => TrimMethods.RemoveSuffix(text, Parameters.Text(a[0]))),
            ["replace"] = (new Signature("/old", "/new", "/count="), (text, a, context) =>
                SearchMethods.Replace(text, Parameters.Text(a[0]), Escaped(text, a[1], context), Parameters.Integer(a[2], -1),
                    context)),
            ["rfind"] = (Affix, (text, a, context) =>
                IntegerValue.Of(SearchMethods.Find(text, a[0], a[1], a[2], last: true, context))),
            ["rindex"] = (Affix, (text, a, context) =>
                IntegerValue.Of(SearchMethods.Index(text, a[0], a[1], a[2], last: true, context))),
            ["rjust"] = (Fill, Pad(Alignment.Right)),
            ["rpartition"] = (One, (text, a, context) => SplitMethods.Partition(text, a[0]!, fromEnd: true, context)),
            ["rsplit"] = (SplitBy, (text, a, context) => SplitMethods.SplitFromEnd(text, a[0], a[1], context)),
            ["rstrip"] = (Strip, (text, a, context) => TrimMethods.Strip(text, a[0], left: false, right: true, context)),
            ["split"] = (SplitBy, (text, a, context) => SplitMethods.Split(text, a[0], a[1], context)),
            ["splitlines"] = (new Signature("keepends="), (text, a, context) =>
                SplitMethods.SplitLines(text, Parameters.Flag(a[0]), context)),
            ["startswith"] = (Affix, (text, a, context) =>
                BooleanValue.Of(SearchMethods.HasAffix(text, a[0], a[1], a[2], atEnd: false, context))),
            ["strip"] = (Strip, (text, a, context) => TrimMethods.Strip(text, a[0], left: true, right: true, context)),
            ["swapcase"] = (Signature.Empty, (text, _, context) => CaseMapping.Swap(text, context)),
            ["title"] = (Signature.Empty, (text, _, context) => CaseMapping.ToTitle(text, context)),
            ["translate"] = (One, (text, a, context) => Translation.Apply(text, a[0]!, context)),
            ["upper"] = (Signature.Empty, (text, _, context) => CaseMapping.ToUpper(text, context)),
            ["zfill"] = (One, (text, a, context) => TrimMethods.ZeroFill(text, Parameters.Integer(a[0], 0), context)),
        };

    /// <summary>A method bound to a text, or null where strings have none of that name.</summary>
    public static Value? Find(TextValue text, string name)
    {
        if (Table.TryGetValue(name, out var method))
            return FunctionValue.Method(name, method.Signature, (arguments, context) => method.Body(text, arguments, context));
        return name switch
        {
            "format" => new FunctionValue(name, "function",
                (arguments, context) => FormatMethod.Format(text, arguments, context)),
            "encode" => new FunctionValue(name, "builtin_function_or_method",
                (_, _) => throw TemplateException.Evaluation("'encode' is not available: bytes are not supported")),
            "striptags" when text.IsMarkup => FunctionValue.Method(name, Signature.Empty, (_, context) => Html.StripTags(text, context)),
            "unescape" when text.IsMarkup => FunctionValue.Method(name, Signature.Empty, (_, context) => Html.Unescape(text, context)),
            "escape" when text.IsMarkup => FunctionValue.Method(name, One, (a, context) => Html.Escape(a[0]!, context)),
            _ => null,
        };
    }

    /// <summary>Calls a method without binding it first; null where strings have none of that name.</summary>
    public static Value? Invoke(TextValue text, string name, Arguments arguments, RenderContext context) =>
        Table.TryGetValue(name, out var method)
            ? method.Body(text, method.Signature.Bind(name, arguments), context)
            : Find(text, name)?.Call(arguments, context);

    /// <summary><c>join</c>: every element must be a text.</summary>
    public static TextValue Join(TextValue separator, Value elements, RenderContext context)
    {
        if (!elements.IsIterable)
            throw TemplateException.Evaluation("can only join an iterable");
        var builder = new TextBuilder(context);
        var count = 0;
        using var items = elements.Iterate(context);
        while (items.MoveNext())
        {
            context.Step();
            if (count > 0)
                builder.Append(separator);
            if (separator.IsMarkup)
            {
                builder.Append(Html.Escape(items.Current, context));
            }
            else
            {
                builder.Append(items.Current as TextValue ?? throw TemplateException.Evaluation(
                    $"sequence item {count}: expected str instance, {items.Current.TypeName} found"));
            }

            count++;
        }

        return builder.ToText(separator.IsMarkup);
    }

    private static MethodBody All(Func<Rune, bool> isOfClass) =>
        (text, _, context) => BooleanValue.Of(PredicateMethods.All(text.Text, isOfClass, context));

    private static MethodBody Pad(Alignment alignment) => (text, a, context) => TrimMethods.Pad(text,
        Parameters.Integer(a[0], 0), a[1] is null ? null : Escaped(text, a[1], context), alignment, context);

    // A text marked as safe HTML (Markup) escapes the arguments of its methods.
    private static TextValue Escaped(TextValue owner, Value? argument, RenderContext context) =>
        owner.IsMarkup ? Html.Escape(Parameters.Text(argument), context) : Parameters.Text(argument);
}

/// <summary>The string methods that look for something in a text, and <c>replace</c>.</summary>
internal static class SearchMethods
{
    /// <summary><c>find</c> and <c>rfind</c>: the position, or -1.</summary>
    public static long Find(TextValue text, Value? part, Value? start, Value? stop, bool last, RenderContext context)
    {
        var (from, to) = Window(text, start, stop, context);
        var sought = Parameters.Text(part).Text;
        if (from > to)
            return -1;
        var at = last
            ? TextSearch.LastIndexOf(text.Text, sought, from, to, context)
            : TextSearch.IndexOf(text.Text, sought, from, context);
        return at < 0 || at + sought.Length > to ? -1 : text.CodePointOf(at);
    }

    /// <summary><c>index</c> and <c>rindex</c>: the position, or a failure.</summary>
    public static long Index(TextValue text, Value? part, Value? start, Value? stop, bool last, RenderContext context) =>
        Find(text, part, start, stop, last, context) is >= 0 and var at
            ? at
            : throw TemplateException.Evaluation("substring not found");

    /// <summary><c>count</c> of occurrences that do not overlap.</summary>
    public static long Count(TextValue text, Value? part, Value? start, Value? stop, RenderContext context)
    {
        var (from, to) = Window(text, start, stop, context);
        var sought = Parameters.Text(part);
        if (from > to)
            return 0;
        if (sought.Text.Length == 0)
            return text.CodePointOf(to) - text.CodePointOf(from) + 1;
        long count = 0;
        for (var at = TextSearch.IndexOf(text.Text, sought.Text, from, context); at >= 0 && at + sought.Text.Length <= to;
            at = TextSearch.IndexOf(text.Text, sought.Text, at + sought.Text.Length, context))
        {
            context.Step();
            count++;
        }

        return count;
    }

    /// <summary><c>startswith</c> or <c>endswith</c>; the affix may be a tuple of several.</summary>
    public static bool HasAffix(TextValue text, Value? affix, Value? start, Value? stop, bool atEnd, RenderContext context)
    {
        var (from, to) = Window(text, start, stop, context);
        if (affix is not TupleValue affixes)
        {
            return affix is TextValue single
                ? from <= to && Matches(single)
                : throw TemplateException.Evaluation(
                    $"{(atEnd ? "endswith" : "startswith")} first arg must be str or a tuple of str, not {affix?.TypeName}");
        }

        foreach (var item in affixes.Items)
        {
            if (from <= to && Matches(Parameters.Text(item)))
                return true;
        }

        return false;

        bool Matches(TextValue candidate)
        {
            context.Scan(candidate.Text.Length);
            var window = text.Text.AsSpan(from, to - from);
            return atEnd ? window.EndsWith(candidate.Text) : window.StartsWith(candidate.Text);
        }
    }

    /// <summary><c>replace</c>; a negative limit is none.</summary>
    public static TextValue Replace(TextValue text, TextValue old, TextValue replacement, int limit, RenderContext context)
    {
        var builder = context.Rent();
        var kept = 0;
        for (var replaced = 0; limit < 0 || replaced < limit; replaced++)
        {
            context.Step();
            var at = old.Text.Length > 0
                ? TextSearch.IndexOf(text.Text, old.Text, kept, context)
                : NextGap(text.Text, kept, replaced);
            if (at < 0)
                break;
            builder.Append(text, kept, at - kept);
            builder.Append(replacement);
            kept = at + old.Text.Length;
        }

        if (kept == 0 && builder.Length == 0)
        {
            context.Return(builder);
            return text;
        }

        builder.Append(text, kept, text.Text.Length - kept);
        return context.Finish(builder, text.IsMarkup);
    }

    /// <summary>The UTF-16 bounds of <c>start</c> and <c>stop</c>; start may lie behind stop.</summary>
    private static (int From, int To) Window(TextValue text, Value? start, Value? stop, RenderContext context)
    {
        if (start is null && stop is null)
            return (0, text.Text.Length);
        var length = text.Length(context);
        var from = Bound(start, 0);
        var to = Math.Min(Bound(stop, length), length);
        return from > length ? (1, 0) : (text.UnitOf(from), text.UnitOf(to));

        int Bound(Value? bound, int absent)
        {
            var value = bound is NoneValue ? absent : Parameters.Integer(bound, absent);
            return value < 0 ? Math.Max(0, value + length) : value;
        }
    }

    /// <summary>The next position of the empty text, which occurs before each character and at the end.</summary>
    private static int NextGap(string text, int kept, int replaced)
    {
        if (replaced == 0)
            return 0;
        if (kept >= text.Length)
            return -1;
        return kept + (char.IsHighSurrogate(text[kept]) && kept + 1 < text.Length && char.IsLowSurrogate(text[kept + 1]) ? 2 : 1);
    }
}

/// <summary>The string methods that test the characters of a text: <c>isalpha</c>, <c>islower</c> and their like.</summary>
internal static class PredicateMethods
{
    /// <summary>Whether every character is of a class, and there is one.</summary>
    public static bool All(string text, Func<Rune, bool> isOfClass, RenderContext context)
    {
        context.Step(text.Length / 4);
        foreach (var rune in text.EnumerateRunes())
        {
            if (!isOfClass(rune))
                return false;
        }

        return text.Length > 0;
    }

    /// <summary><c>islower</c> or <c>isupper</c>: some cased character, and none of the other case.</summary>
    public static bool IsOfCase(string text, bool upper, RenderContext context)
    {
        context.Step(text.Length / 4);
        var found = false;
        foreach (var rune in text.EnumerateRunes())
        {
            var isUpper = CharacterClasses.IsUpper(rune);
            var isLower = CharacterClasses.IsLower(rune);
            if ((upper ? isLower : isUpper) || (!isUpper && !isLower && CharacterClasses.IsCased(rune)))
                return false;
            found |= isUpper || isLower;
        }

        return found;
    }

    /// <summary><c>istitle</c>: capitals begin words, small letters continue them.</summary>
    public static bool IsTitle(string text, RenderContext context)
    {
        context.Step(text.Length / 4);
        var (found, inWord) = (false, false);
        foreach (var rune in text.EnumerateRunes())
        {
            var isCased = CharacterClasses.IsCased(rune);
            if (isCased && CharacterClasses.IsLower(rune) != inWord)
                return false;
            found |= isCased;
            inWord = isCased;
        }

        return found;
    }

    /// <summary><c>isidentifier</c>.</summary>
    public static bool IsIdentifier(string text, RenderContext context) =>
        All(text, CharacterClasses.IsWord, context) && !Rune.IsDigit(Rune.GetRuneAt(text, 0)) &&
        (text[0] == '_' || Rune.IsLetter(Rune.GetRuneAt(text, 0)));
}
