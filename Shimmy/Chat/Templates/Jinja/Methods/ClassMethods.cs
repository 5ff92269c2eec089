using System.Text;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Methods;

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
