using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

/// <summary>A sequence of statements: the template as a whole, or the body of a statement.</summary>
internal sealed class Body(Statement[] statements) : Node
{
    /// <summary>No statements.</summary>
    public static Body Empty { get; } = new([]);

    public override IEnumerable<Node> Children => statements;

    /// <summary>Whether there is nothing to run.</summary>
    public bool IsEmpty => statements.Length == 0;

    /// <summary>Runs the statements until one breaks or continues a loop.</summary>
    public Completion Run(Frame frame, TextBuilder output)
    {
        foreach (var statement in statements)
        {
            if (statement.Run(frame, output) is var completion and not Completion.Normal)
                return completion;
        }

        return Completion.Normal;
    }

    /// <summary>Runs the statements and takes what they wrote as a value; null where they broke or continued a loop.</summary>
    public TextValue? Capture(Frame frame, bool isMarkup, out Completion completion)
    {
        var context = frame.Context;
        var builder = context.Rent();
        completion = Run(frame, builder);
        if (completion == Completion.Normal)
            return context.Finish(builder, isMarkup);
        context.Return(builder);
        return null;
    }
}

/// <summary>A node that writes to the output or changes variables.</summary>
internal abstract class Statement : Node
{
    private int _weight;

    /// <summary>Runs the statement, counting its own expressions as steps.</summary>
    public Completion Run(Frame frame, TextBuilder output)
    {
        // Two threads may both find no weight yet; both compute the same.
        if (_weight == 0)
            _weight = 1 + Children.Where(child => child is not Statement).Sum(Weigh);
        frame.Context.Begin(Line, _weight);
        return Execute(frame, output);
    }

    /// <summary>Does what the statement is for.</summary>
    protected abstract Completion Execute(Frame frame, TextBuilder output);

    private static int Weigh(Node node) => 1 + node.Children.Sum(Weigh);
}

/// <summary>The way a statement ended: normally, or by leaving the loop around it.</summary>
internal enum Completion
{
    /// <summary>The next statement follows.</summary>
    Normal,

    /// <summary>The innermost loop goes on with its next element.</summary>
    Continue,

    /// <summary>The innermost loop ends.</summary>
    Break,
}

/// <summary><c>{% break %}</c> or <c>{% continue %}</c>.</summary>
internal sealed class JumpStatement(Completion completion) : Statement
{
    public override void Bind(Scope scope)
    {
        if (!scope.IsInLoop)
        {
            throw TemplateException.Syntax(
                completion == Completion.Break ? "'break' outside loop" : "'continue' not properly in loop", Line, 0);
        }
    }

    protected override Completion Execute(Frame frame, TextBuilder output) => completion;
}
