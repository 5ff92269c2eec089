using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A truth value, which is also the number 0 or 1.</summary>
internal sealed class BooleanValue : IntegerLikeValue
{
    private BooleanValue(bool value) : base(value ? BigInteger.One : BigInteger.Zero)
    {
    }

    /// <summary>The only true.</summary>
    public static BooleanValue True { get; } = new(true);

    /// <summary>The only false.</summary>
    public static BooleanValue False { get; } = new(false);

    /// <inheritdoc/>
    public override string TypeName => "bool";

    /// <summary>The instance of a truth value.</summary>
    public static BooleanValue Of(bool value) => value ? True : False;

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append(IsTrue ? "True" : "False");
}
