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

/// <summary><c>{% if %}</c> with its <c>elif</c> branches. It has no scope of its own.</summary>
internal sealed class IfStatement(Expression test, Body body, IfStatement[] otherTests, Body otherwise) : Statement
{
    public override IEnumerable<Node> Children => [test, body, .. otherTests, otherwise];

    public override void Collect(Symbols symbols)
    {
        test.Collect(symbols);
        var first = symbols.Branch();
        body.Collect(first);
        var others = symbols.Branch();
        foreach (var other in otherTests)
            other.Collect(others);
        var last = symbols.Branch();
        otherwise.Collect(last);
        symbols.Merge(first, others, last);
    }

    public override void Bind(Scope scope) => base.Bind(scope with { IsConditional = true });

    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        if (test.Evaluate(frame).IsTrue)
            return body.Run(frame, output);
        foreach (var other in otherTests)
        {
            frame.Context.Step();
            if (other.Test(frame))
                return other.RunBody(frame, output);
        }

        return otherwise.Run(frame, output);
    }

    private bool Test(Frame frame) => test.Evaluate(frame).IsTrue;

    private Completion RunBody(Frame frame, TextBuilder output) => body.Run(frame, output);
}
