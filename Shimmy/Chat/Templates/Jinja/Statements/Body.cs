using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary>Statements one after the other.</summary>
internal sealed class Body(Statement[] statements) : Node
{
    /// <summary>No statements.</summary>
    public static Body Empty { get; } = new([]);

    /// <inheritdoc/>
    public override IEnumerable<Node> Children => statements;

    /// <summary>Whether there is nothing to run.</summary>
    public bool IsEmpty => statements.Length == 0;

    /// <summary>Runs the statements until one breaks or continues a loop.</summary>
    public Completion Run(Frame frame, TextBuilder output)
    {
        foreach (var statement in statements)
            if (statement.Run(frame, output) is var completion and not Completion.Normal)
                return completion;
        return Completion.Normal;
    }

    /// <summary>Runs the statements and takes what they wrote as a value; null where they broke or continued a loop.</summary>
    public TextValue? Capture(Frame frame, bool isMarkup, out Completion completion)
    {
        var rendering = frame.Rendering;
        var builder = rendering.Rent();
        completion = Run(frame, builder);
        if (completion == Completion.Normal)
            return rendering.Finish(builder, isMarkup);
        rendering.Return(builder);
        return null;
    }
}
