using Shimmy.Engine;
using Shimmy.Jinja.Nodes;
using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Syntax;

namespace Shimmy.Jinja;

/// <summary>
/// A template that is ready to render: lexed, parsed, its names bound to places. Nothing in it changes any more; any number of
/// threads may render it at once.
/// <code>
///   text ─► Lexer ─► tokens ─► Parser ─► tree ─► Collect, Bind ─► CompiledTemplate ─► Frame, TextBuilder ─► parts of a prompt
/// </code>
/// </summary>
internal sealed class CompiledTemplate
{
    // Binding and evaluating recurse over the tree. Where a macro is entered, a thread is sure to have 128 KiB of stack left
    // (RuntimeHelpers.TryEnsureSufficientExecutionStack); the deepest path through a macro's body must fit into them.
    private const int MostDepth = 250;

    private readonly Body _body;
    private readonly FunctionLayout _layout;
    private readonly ScopeEntry _entry;
    private readonly Dictionary<string, BlockStatement> _blocks = new(StringComparer.Ordinal);
    private readonly Location? _self;

    private CompiledTemplate(Body body)
    {
        _body = body;
        var scope = Scope.Root(_blocks, isTopLevel: true);
        _layout = scope.Symbols.Function;
        var readsSelf = Node.FindReads([body], "self").Count > 0;
        if (readsSelf)
            scope.Symbols.Declare("self");
        body.Collect(scope.Symbols);
        _entry = scope.Entry();
        _self = readsSelf ? scope.Locate("self") : null;
        body.Bind(scope);
    }

    /// <summary>Compiles a template.</summary>
    /// <exception cref="TemplateException">It is not valid Jinja, or uses a filter or test that does not exist.</exception>
    public static CompiledTemplate Compile(string template)
    {
        var body = Parser.Parse(template);
        CheckDepth(body);
        return new CompiledTemplate(body);
    }

    /// <summary>Renders the template.</summary>
    /// <param name="variables">The variables by name.</param>
    /// <param name="inputBytes">Bytes of text that the request brought in; widens the limits.</param>
    /// <param name="clock">The clock that <c>strftime_now</c> reads.</param>
    /// <param name="limits">The limits; null for <see cref="RenderLimits.Default"/>.</param>
    /// <returns>The rendered text, cut where the template's own text and that of the request meet.</returns>
    /// <exception cref="TemplateException">The template refuses, fails or reaches a limit.</exception>
    public IReadOnlyList<PromptPart> Render(
        IReadOnlyDictionary<string, Value> variables, long inputBytes, TimeProvider clock, RenderLimits? limits = null)
    {
        var context = new RenderContext(variables, inputBytes, clock, limits ?? RenderLimits.Default);
        try
        {
            var frame = new Frame(_layout, null, context);
            if (_self is { } location)
                frame.Write(location, new SelfValue(_blocks));
            _entry.Run(frame);
            var output = context.Rent();
            _body.Run(frame, output);
            return output.ToParts();
        }
        catch (TemplateException failure)
        {
            throw failure.At(context.Line);
        }
    }

    /// <summary>
    /// Refuses a tree that is too deep. Without recursion: chains such as <c>a + b + c …</c> nest without the parser doing so.
    /// </summary>
    private static void CheckDepth(Node root)
    {
        var open = new Stack<(Node Node, int Depth)>();
        open.Push((root, 0));
        while (open.TryPop(out var at))
        {
            if (at.Depth > MostDepth)
                throw TemplateException.Syntax($"the template nests more than {MostDepth} levels deep", at.Node.Line, 0);
            foreach (var child in at.Node.Children)
                open.Push((child, at.Depth + 1));
        }
    }
}
