using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>A node that has a value.</summary>
internal abstract class Expression : Node
{
    /// <summary>The value in a call's frame.</summary>
    public abstract Value Evaluate(Frame frame);
}
