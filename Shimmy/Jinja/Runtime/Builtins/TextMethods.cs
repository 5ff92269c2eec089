using System.Numerics;
using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

using MethodBody = Func<TextValue, Value?[], Rendering, Value>;

/// <summary>
/// The methods of strings. Each keeps the provenance of what it takes from its arguments. <c>encode</c> is missing because bytes
/// are: no chat template can print them.
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
            ["capitalize"] = (Signature.Empty, (text, _, rendering) => CaseMapping.Capitalize(text, rendering)),
            ["casefold"] = (Signature.Empty, (text, _, rendering) => CaseMapping.Fold(text, rendering)),
            ["center"] = (Fill, Pad(Alignment.Center)),
            ["count"] = (Affix, (text, a, rendering) =>
                IntegerValue.Of(SearchMethods.Count(text, a[0], a[1], a[2], rendering))),
            ["endswith"] = (Affix, (text, a, rendering) =>
                BooleanValue.Of(SearchMethods.HasAffix(text, a[0], a[1], a[2], atEnd: true, rendering))),
            ["expandtabs"] = (new Signature("tabsize="), (text, a, rendering) =>
                TrimMethods.ExpandTabs(text, Parameters.Integer(a[0], 8), rendering)),
            ["find"] = (Affix, (text, a, rendering) =>
                IntegerValue.Of(SearchMethods.Find(text, a[0], a[1], a[2], last: false, rendering))),
            ["format_map"] = (One, (text, a, rendering) => FormatMethod.Format(text, a[0]!, rendering)),
            ["index"] = (Affix, (text, a, rendering) =>
                IntegerValue.Of(SearchMethods.Index(text, a[0], a[1], a[2], last: false, rendering))),
            ["isalnum"] = (Signature.Empty, All(CharacterClasses.IsAlphanumeric)),
            ["isalpha"] = (Signature.Empty, All(CharacterClasses.IsAlpha)),
            ["isascii"] = (Signature.Empty, (text, _, _) => BooleanValue.Of(Ascii.IsValid(text.Text))),
            ["isdecimal"] = (Signature.Empty, All(CharacterClasses.IsDecimal)),
            ["isdigit"] = (Signature.Empty, All(CharacterClasses.IsDigit)),
            ["isidentifier"] = (Signature.Empty, (text, _, rendering) =>
                BooleanValue.Of(ClassMethods.IsIdentifier(text.Text, rendering))),
            ["islower"] = (Signature.Empty, (text, _, rendering) =>
                BooleanValue.Of(ClassMethods.IsOfCase(text.Text, upper: false, rendering))),
            ["isnumeric"] = (Signature.Empty, All(CharacterClasses.IsNumeric)),
            ["isprintable"] = (Signature.Empty, (text, _, rendering) =>
                BooleanValue.Of(text.Text.Length == 0 || ClassMethods.All(text.Text, CharacterClasses.IsPrintable, rendering))),
            ["isspace"] = (Signature.Empty, All(rune => rune.IsBmp && CharacterClasses.IsSpace((char)rune.Value))),
            ["istitle"] = (Signature.Empty, (text, _, rendering) =>
                BooleanValue.Of(ClassMethods.IsTitle(text.Text, rendering))),
            ["isupper"] = (Signature.Empty, (text, _, rendering) =>
                BooleanValue.Of(ClassMethods.IsOfCase(text.Text, upper: true, rendering))),
            ["join"] = (One, (text, a, rendering) => Join(text, a[0]!, rendering)),
            ["ljust"] = (Fill, Pad(Alignment.Left)),
            ["lower"] = (Signature.Empty, (text, _, rendering) => CaseMapping.ToLower(text, rendering)),
            ["lstrip"] = (Strip, (text, a, rendering) => TrimMethods.Strip(text, a[0], left: true, right: false, rendering)),
            ["maketrans"] = (new Signature("/x", "/y=", "/z="), (_, a, rendering) =>
                Translation.Make(a[0]!, a[1], a[2], rendering)),
            ["partition"] = (One, (text, a, rendering) => SplitMethods.Partition(text, a[0]!, fromEnd: false, rendering)),
            ["removeprefix"] = (One, (text, a, _) => TrimMethods.RemovePrefix(text, Parameters.Text(a[0]))),
            ["removesuffix"] = (One, (text, a, _) => TrimMethods.RemoveSuffix(text, Parameters.Text(a[0]))),
            ["replace"] = (new Signature("/old", "/new", "/count="), (text, a, rendering) =>
                SearchMethods.Replace(text, Parameters.Text(a[0]), Escaped(text, a[1], rendering), Parameters.Integer(a[2], -1),
                    rendering)),
            ["rfind"] = (Affix, (text, a, rendering) =>
                IntegerValue.Of(SearchMethods.Find(text, a[0], a[1], a[2], last: true, rendering))),
            ["rindex"] = (Affix, (text, a, rendering) =>
                IntegerValue.Of(SearchMethods.Index(text, a[0], a[1], a[2], last: true, rendering))),
            ["rjust"] = (Fill, Pad(Alignment.Right)),
            ["rpartition"] = (One, (text, a, rendering) => SplitMethods.Partition(text, a[0]!, fromEnd: true, rendering)),
            ["rsplit"] = (SplitBy, (text, a, rendering) => SplitMethods.SplitFromEnd(text, a[0], a[1], rendering)),
            ["rstrip"] = (Strip, (text, a, rendering) => TrimMethods.Strip(text, a[0], left: false, right: true, rendering)),
            ["split"] = (SplitBy, (text, a, rendering) => SplitMethods.Split(text, a[0], a[1], rendering)),
            ["splitlines"] = (new Signature("keepends="), (text, a, rendering) =>
                SplitMethods.SplitLines(text, Parameters.Flag(a[0]), rendering)),
            ["startswith"] = (Affix, (text, a, rendering) =>
                BooleanValue.Of(SearchMethods.HasAffix(text, a[0], a[1], a[2], atEnd: false, rendering))),
            ["strip"] = (Strip, (text, a, rendering) => TrimMethods.Strip(text, a[0], left: true, right: true, rendering)),
            ["swapcase"] = (Signature.Empty, (text, _, rendering) => CaseMapping.Swap(text, rendering)),
            ["title"] = (Signature.Empty, (text, _, rendering) => CaseMapping.ToTitle(text, rendering)),
            ["translate"] = (One, (text, a, rendering) => Translation.Apply(text, a[0]!, rendering)),
            ["upper"] = (Signature.Empty, (text, _, rendering) => CaseMapping.ToUpper(text, rendering)),
            ["zfill"] = (One, (text, a, rendering) => TrimMethods.ZeroFill(text, Parameters.Integer(a[0], 0), rendering)),
        };

    /// <summary>A method bound to a text, or null where strings have none of that name.</summary>
    public static Value? Find(TextValue text, string name)
    {
        if (Table.TryGetValue(name, out var method))
            return BuiltIn.Method(name, method.Signature, (arguments, rendering) => method.Body(text, arguments, rendering));
        return name switch
        {
            "format" => new BuiltIn(name, "function",
                (arguments, rendering) => FormatMethod.Format(text, arguments, rendering)),
            "encode" => new BuiltIn(name, "builtin_function_or_method",
                (_, _) => throw TemplateException.Evaluation("'encode' is not available: bytes are not supported")),
            "striptags" when text.IsMarkup => BuiltIn.Method(name, Signature.Empty, (_, rendering) => Html.StripTags(text, rendering)),
            "unescape" when text.IsMarkup => BuiltIn.Method(name, Signature.Empty, (_, rendering) => Html.Unescape(text, rendering)),
            "escape" when text.IsMarkup => BuiltIn.Method(name, One, (a, rendering) => Html.Escape(a[0]!, rendering)),
            _ => null,
        };
    }

    /// <summary>Calls a method without binding it first; null where strings have none of that name.</summary>
    public static Value? Invoke(TextValue text, string name, Arguments arguments, Rendering rendering) =>
        Table.TryGetValue(name, out var method)
            ? method.Body(text, method.Signature.Bind(name, arguments), rendering)
            : Find(text, name)?.Call(arguments, rendering);

    /// <summary><c>join</c>: every element must be a text.</summary>
    public static TextValue Join(TextValue separator, Value elements, Rendering rendering)
    {
        if (!elements.IsIterable)
            throw TemplateException.Evaluation("can only join an iterable");
        var builder = new TextBuilder(rendering);
        var count = 0;
        using var items = elements.Iterate(rendering);
        while (items.MoveNext())
        {
            rendering.Step();
            if (count > 0)
                builder.Append(separator);
            if (separator.IsMarkup)
                builder.Append(Html.Escape(items.Current, rendering));
            else
                builder.Append(items.Current as TextValue ?? throw TemplateException.Evaluation(
                    $"sequence item {count}: expected str instance, {items.Current.TypeName} found"));
            count++;
        }

        return builder.ToText(separator.IsMarkup);
    }

    private static MethodBody All(Func<Rune, bool> isOfClass) =>
        (text, _, rendering) => BooleanValue.Of(ClassMethods.All(text.Text, isOfClass, rendering));

    private static MethodBody Pad(Alignment alignment) => (text, a, rendering) => TrimMethods.Pad(text,
        Parameters.Integer(a[0], 0), a[1] is null ? null : Escaped(text, a[1], rendering), alignment, rendering);

    // Markup escapes what is put into it.
    private static TextValue Escaped(TextValue owner, Value? argument, Rendering rendering) =>
        owner.IsMarkup ? Html.Escape(Parameters.Text(argument), rendering) : Parameters.Text(argument);
}

/// <summary>The string methods that look for something in a text, and <c>replace</c>.</summary>
internal static class SearchMethods
{
    /// <summary><c>find</c> and <c>rfind</c>: the position, or -1.</summary>
    public static long Find(TextValue text, Value? part, Value? start, Value? stop, bool last, Rendering rendering)
    {
        var (from, to) = Window(text, start, stop, rendering);
        var sought = Parameters.Text(part).Text;
        if (from > to)
            return -1;
        var at = last
            ? TextSearch.LastIndexOf(text.Text, sought, from, to, rendering)
            : TextSearch.IndexOf(text.Text, sought, from, rendering);
        return at < 0 || at + sought.Length > to ? -1 : text.CodePointOf(at);
    }

    /// <summary><c>index</c> and <c>rindex</c>: the position, or a failure.</summary>
    public static long Index(TextValue text, Value? part, Value? start, Value? stop, bool last, Rendering rendering) =>
        Find(text, part, start, stop, last, rendering) is >= 0 and var at
            ? at
            : throw TemplateException.Evaluation("substring not found");

    /// <summary><c>count</c> of occurrences that do not overlap.</summary>
    public static long Count(TextValue text, Value? part, Value? start, Value? stop, Rendering rendering)
    {
        var (from, to) = Window(text, start, stop, rendering);
        var sought = Parameters.Text(part);
        if (from > to)
            return 0;
        if (sought.Text.Length == 0)
            return text.CodePointOf(to) - text.CodePointOf(from) + 1;
        long count = 0;
        for (var at = TextSearch.IndexOf(text.Text, sought.Text, from, rendering); at >= 0 && at + sought.Text.Length <= to;
            at = TextSearch.IndexOf(text.Text, sought.Text, at + sought.Text.Length, rendering))
        {
            rendering.Step();
            count++;
        }

        return count;
    }

    /// <summary><c>startswith</c> or <c>endswith</c>; the affix may be a tuple of several.</summary>
    public static bool HasAffix(TextValue text, Value? affix, Value? start, Value? stop, bool atEnd, Rendering rendering)
    {
        var (from, to) = Window(text, start, stop, rendering);
        if (affix is not TupleValue affixes)
            return affix is TextValue single
                ? from <= to && Matches(single)
                : throw TemplateException.Evaluation(
                    $"{(atEnd ? "endswith" : "startswith")} first arg must be str or a tuple of str, not {affix?.TypeName}");
        foreach (var item in affixes.Items)
            if (from <= to && Matches(Parameters.Text(item)))
                return true;
        return false;

        bool Matches(TextValue candidate)
        {
            rendering.Scan(candidate.Text.Length);
            var window = text.Text.AsSpan(from, to - from);
            return atEnd ? window.EndsWith(candidate.Text) : window.StartsWith(candidate.Text);
        }
    }

    /// <summary><c>replace</c>; a negative limit is none.</summary>
    public static TextValue Replace(TextValue text, TextValue old, TextValue replacement, int limit, Rendering rendering)
    {
        var builder = rendering.Rent();
        var kept = 0;
        for (var replaced = 0; limit < 0 || replaced < limit; replaced++)
        {
            rendering.Step();
            var at = old.Text.Length > 0
                ? TextSearch.IndexOf(text.Text, old.Text, kept, rendering)
                : NextGap(text.Text, kept, replaced);
            if (at < 0)
                break;
            builder.Append(text, kept, at - kept);
            builder.Append(replacement);
            kept = at + old.Text.Length;
        }

        if (kept == 0 && builder.Length == 0)
        {
            rendering.Return(builder);
            return text;
        }

        builder.Append(text, kept, text.Text.Length - kept);
        return rendering.Finish(builder, text.IsMarkup);
    }

    /// <summary>The UTF-16 bounds of <c>start</c> and <c>stop</c>; start may lie behind stop.</summary>
    private static (int From, int To) Window(TextValue text, Value? start, Value? stop, Rendering rendering)
    {
        if (start is null && stop is null)
            return (0, text.Text.Length);
        var length = text.Length(rendering);
        var from = Bound(start, 0);
        var to = Math.Min(Bound(stop, length), length);
        return from > length ? (1, 0) : (text.UnitOf(from), text.UnitOf(to));

        int Bound(Value? bound, int absent)
        {
            var value = bound is NoneValue ? absent : Parameters.Integer(bound, absent);
            return value < 0 ? Math.Max(0, value + length) : value;
        }
    }

    /// <summary>Where the empty text occurs next: before each character and at the end.</summary>
    private static int NextGap(string text, int kept, int replaced)
    {
        if (replaced == 0)
            return 0;
        if (kept >= text.Length)
            return -1;
        return kept + (char.IsHighSurrogate(text[kept]) && kept + 1 < text.Length && char.IsLowSurrogate(text[kept + 1]) ? 2 : 1);
    }
}

/// <summary>The string methods that ask of what characters a text is.</summary>
internal static class ClassMethods
{
    /// <summary>Whether every character is of a class, and there is one.</summary>
    public static bool All(string text, Func<Rune, bool> isOfClass, Rendering rendering)
    {
        rendering.Step(text.Length / 4);
        foreach (var rune in text.EnumerateRunes())
            if (!isOfClass(rune))
                return false;
        return text.Length > 0;
    }

    /// <summary><c>islower</c> or <c>isupper</c>: some cased character, and none of the other case.</summary>
    public static bool IsOfCase(string text, bool upper, Rendering rendering)
    {
        rendering.Step(text.Length / 4);
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
    public static bool IsTitle(string text, Rendering rendering)
    {
        rendering.Step(text.Length / 4);
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
    public static bool IsIdentifier(string text, Rendering rendering) =>
        All(text, CharacterClasses.IsWord, rendering) && !Rune.IsDigit(Rune.GetRuneAt(text, 0)) &&
        (text[0] == '_' || Rune.IsLetter(Rune.GetRuneAt(text, 0)));
}
