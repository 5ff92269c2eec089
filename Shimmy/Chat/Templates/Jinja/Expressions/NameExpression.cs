using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>A variable that is read.</summary>
internal sealed class NameExpression(string name) : Expression
{
    private Location location;

    /// <summary>The variable's name.</summary>
    public string Name => name;

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame) =>
        (location.Hops == 0 ? frame.Slots[location.Slot] : frame.Read(location)) ?? UndefinedValue.Variable(name);

    /// <inheritdoc/>
    public override void Collect(Symbols symbols) => symbols.Read(name);

    /// <inheritdoc/>
    public override void Bind(Scope scope) => location = scope.Locate(name);

    /// <inheritdoc/>
    public override void FindReads(HashSet<string> sought, HashSet<string> found)
    {
        if (sought.Contains(name))
            found.Add(name);
    }
}
