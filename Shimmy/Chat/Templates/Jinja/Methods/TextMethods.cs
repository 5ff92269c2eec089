using System.Numerics;
using System.Text;
using Shimmy.Chat.Templates.Jinja.Formats;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

using Body = Func<TextValue, Value?[], Rendering, Value>;

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

    private static readonly Dictionary<string, (Signature Signature, Body Body)> Table =
        new Dictionary<string, (Signature, Body)>
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

    private static Body All(Func<Rune, bool> isOfClass) =>
        (text, _, rendering) => BooleanValue.Of(ClassMethods.All(text.Text, isOfClass, rendering));

    private static Body Pad(Alignment alignment) => (text, a, rendering) => TrimMethods.Pad(text,
        Parameters.Integer(a[0], 0), a[1] is null ? null : Escaped(text, a[1], rendering), alignment, rendering);

    // Markup escapes what is put into it.
    private static TextValue Escaped(TextValue owner, Value? argument, Rendering rendering) =>
        owner.IsMarkup ? Html.Escape(Parameters.Text(argument), rendering) : Parameters.Text(argument);
}
