using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary>A node that writes to the output or changes variables.</summary>
internal abstract class Statement : Node
{
    private int weight;

    /// <summary>Runs the statement, counting its own expressions as steps.</summary>
    public Completion Run(Frame frame, TextBuilder output)
    {
        // Two threads may both find it unweighed; they find the same.
        if (weight == 0)
            weight = 1 + Children.Where(child => child is not Statement).Sum(Weigh);
        frame.Rendering.Begin(Line, weight);
        return Execute(frame, output);
    }

    /// <summary>Does what the statement is for.</summary>
    protected abstract Completion Execute(Frame frame, TextBuilder output);

    private static int Weigh(Node node) => 1 + node.Children.Sum(Weigh);
}
