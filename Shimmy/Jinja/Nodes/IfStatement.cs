using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Nodes;

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
