using System.Globalization;
using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Operations;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Filters;

/// <summary>What the <c>attribute</c> argument of filters says: names and positions with dots between them.</summary>
internal sealed class AttributePath
{
    private readonly Value[] parts;
    private readonly Value? absent;

    private AttributePath(Value[] parts, Value? absent) => (this.parts, this.absent) = (parts, absent);

    /// <summary>The path of an argument; one that is None or not given leads to the element itself.</summary>
    /// <param name="attribute">The argument.</param>
    /// <param name="absent">What stands for a member that does not exist; null leaves it undefined.</param>
    public static AttributePath Of(Value? attribute, Value? absent = null) => new(attribute switch
    {
        null or NoneValue => [],
        TextValue text => Parts(text.Text),
        _ => [attribute],
    }, absent is NoneValue ? null : absent);

    /// <summary>The paths of an argument that may hold several, with commas between them.</summary>
    public static AttributePath[] AllOf(Value? attribute) => attribute is TextValue text
        ? Array.ConvertAll(text.Text.Split(','), path => new AttributePath(Parts(path), null))
        : [Of(attribute)];

    /// <summary>The member that the path leads to.</summary>
    public Value Find(Value element, Rendering rendering)
    {
        foreach (var part in parts)
        {
            element = Lookup.Item(element, part, rendering);
            if (absent is not null && element is UndefinedValue)
                element = absent;
        }

        return element;
    }

    /// <summary>The member, small letters made of capitals unless case counts.</summary>
    public Value Key(Value element, bool caseSensitive, Rendering rendering)
    {
        var found = Find(element, rendering);
        return !caseSensitive && found is TextValue text ? CaseMapping.ToLower(text, rendering) : found;
    }

    private static Value[] Parts(string path) => Array.ConvertAll(path.Split('.'), part =>
        part.Length > 0 && part.All(char.IsAsciiDigit)
            ? (Value)IntegerValue.Of(BigInteger.Parse(part, NumberStyles.None, CultureInfo.InvariantCulture))
            : TextValue.Own(part));
}
