using Shimmy.Jinja.Nodes;
using Shimmy.Jinja.Runtime;
using Shimmy.Jinja.Runtime.Builtins;

namespace Shimmy.Jinja.Syntax;

/// <summary>
/// Parses a template to its tree: the statements of Jinja with its loop controls, and the <c>generation</c> block of transformers.
/// What needs a second template (<c>extends</c>, <c>include</c>, <c>import</c>) is refused.
/// </summary>
internal sealed class Parser
{
    private readonly TokenStream tokens;
    private readonly ExpressionParser expressions;

    private Parser(string template)
    {
        tokens = new TokenStream(Lexer.Tokenize(template));
        expressions = new ExpressionParser(tokens);
    }

    /// <summary>The statements of a template.</summary>
    public static Body Parse(string template)
    {
        var parser = new Parser(template);
        return parser.Statements(null);
    }

    /// <summary>Statements up to one of the names, which is left at hand; up to the template's end where there are none.</summary>
    private Body Statements(string[]? ends, string? opener = null, int openerLine = 0)
    {
        tokens.Enter();
        var statements = new List<Statement>();
        while (tokens.Current.Kind != TokenKind.End)
        {
            var token = tokens.Next();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    statements.Add(new DataStatement(token.Text) { Line = token.Line });
                    break;
                case TokenKind.VariableBegin:
                    statements.Add(new OutputStatement([expressions.Tuple()]) { Line = token.Line });
                    tokens.Expect(TokenKind.VariableEnd);
                    break;
                default:
                    if (ends is not null && tokens.Current.Kind == TokenKind.Name && ends.Contains(tokens.Current.Text))
                    {
                        tokens.Leave();
                        return new Body([.. statements]);
                    }

                    statements.Add(Statement(ends));
                    tokens.Expect(TokenKind.BlockEnd);
                    break;
            }
        }

        if (ends is not null)
            throw tokens.Error($"Unexpected end of template: the '{opener}' of line {openerLine} is not closed by " +
                $"'{ends[^1]}'.");
        tokens.Leave();
        return new Body([.. statements]);
    }

    /// <summary>The body of a statement, from the end of its opening tag; the closing name is at hand afterwards.</summary>
    private Body BodyUntil(Token opener, params string[] ends)
    {
        tokens.Skip(":");
        tokens.Expect(TokenKind.BlockEnd);
        return Statements(ends, opener.Text, opener.Line);
    }

    private Body BodyThrough(Token opener, string end)
    {
        var body = BodyUntil(opener, end);
        tokens.Next();
        return body;
    }

    private Statement Statement(string[]? ends)
    {
        var token = tokens.Current.Kind == TokenKind.Name ? tokens.Next() : throw tokens.Error("tag name expected");
        return token.Text switch
        {
            "for" => For(token),
            "if" => If(token),
            "set" => Set(token),
            "macro" => MacroOf(token),
            "call" => Call(token),
            "filter" => Filter(token),
            "with" => With(token),
            "block" => Block(token),
            "autoescape" => AutoEscape(token),
            "print" => Print(token),
            "generation" => CallStatement.Generation(BodyThrough(token, "endgeneration"), token.Line),
            "break" => new JumpStatement(Completion.Break) { Line = token.Line },
            "continue" => new JumpStatement(Completion.Continue) { Line = token.Line },
            "extends" or "include" or "import" or "from" => throw TemplateException.Syntax(
                $"'{token.Text}' is not available: a chat template stands alone", token.Line, token.Column),
            _ => throw TemplateException.Syntax(ends is null
                ? $"Encountered unknown tag '{token.Text}'."
                : $"Encountered unknown tag '{token.Text}'. Jinja was looking for the following tags: " +
                    $"{string.Join(" or ", ends.Select(end => $"'{end}'"))}.", token.Line, token.Column),
        };
    }

    private ForStatement For(Token opener)
    {
        var target = expressions.Target(endName: "in");
        tokens.ExpectName("in");
        var iterable = expressions.Tuple(withCondition: false, endName: "recursive");
        var test = tokens.SkipName("if") ? expressions.Expression() : null;
        var isRecursive = tokens.SkipName("recursive");
        var body = BodyUntil(opener, "else", "endfor");
        var otherwise = tokens.Next().Text == "else" ? BodyThrough(opener, "endfor") : Body.Empty;
        return new ForStatement(target, iterable, test, body, otherwise, isRecursive) { Line = opener.Line };
    }

    private IfStatement If(Token opener)
    {
        var (test, body, end) = Branch(opener);
        var others = new List<IfStatement>();
        while (end.Text == "elif")
        {
            var line = end.Line;
            (var otherTest, var otherBody, end) = Branch(opener);
            others.Add(new IfStatement(otherTest, otherBody, [], Body.Empty) { Line = line });
        }

        var otherwise = end.Text == "else" ? BodyThrough(opener, "endif") : Body.Empty;
        return new IfStatement(test, body, [.. others], otherwise) { Line = opener.Line };
    }

    private (Expression Test, Body Body, Token End) Branch(Token opener)
    {
        var test = expressions.Tuple(withCondition: false);
        var body = BodyUntil(opener, "elif", "else", "endif");
        return (test, body, tokens.Next());
    }

    private Statement Set(Token opener)
    {
        var target = expressions.Target(withNamespace: true);
        if (tokens.Skip("="))
            return new SetStatement(target, expressions.Tuple()) { Line = opener.Line };
        var filter = (FilterExpression?)expressions.Filters(null);
        return new SetBlockStatement(target, filter, BodyThrough(opener, "endset")) { Line = opener.Line };
    }

    private MacroStatement MacroOf(Token opener)
    {
        var name = expressions.Name();
        var (parameters, defaults) = Signature();
        var body = BodyThrough(opener, "endmacro");
        var macro = new Macro(name.Names.First(), parameters, defaults, body) { Line = opener.Line };
        return new MacroStatement(name, macro) { Line = opener.Line };
    }

    private CallStatement Call(Token opener)
    {
        var (parameters, defaults) = tokens.Current.Is("(") ? Signature() : ([], []);
        if (expressions.Expression() is not CallExpression call)
            throw TemplateException.Syntax("expected call", opener.Line, opener.Column);
        var body = BodyThrough(opener, "endcall");
        return new CallStatement(call, new Macro(null, parameters, defaults, body) { Line = opener.Line }) { Line = opener.Line };
    }

    private (NameTarget[] Parameters, Expression[] Defaults) Signature()
    {
        var parameters = new List<NameTarget>();
        var defaults = new List<Expression>();
        tokens.Expect("(");
        while (!tokens.Current.Is(")"))
        {
            if (parameters.Count > 0)
                tokens.Expect(",");
            var parameter = expressions.Name();
            if (parameters.Exists(other => other.Names.First() == parameter.Names.First()))
                throw tokens.Error($"duplicate argument '{parameter.Names.First()}' in function definition");
            parameters.Add(parameter);
            if (tokens.Skip("="))
                defaults.Add(expressions.Expression());
            else if (defaults.Count > 0)
                throw tokens.Error("non-default argument follows default argument");
        }

        tokens.Expect(")");
        return ([.. parameters], [.. defaults]);
    }

    private FilterStatement Filter(Token opener)
    {
        var filter = (FilterExpression)expressions.Filters(null, inline: true)!;
        return new FilterStatement(filter, BodyThrough(opener, "endfilter")) { Line = opener.Line };
    }

    private WithStatement With(Token opener)
    {
        var targets = new List<Target>();
        var values = new List<Expression>();
        while (tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (targets.Count > 0)
                tokens.Expect(",");
            targets.Add(expressions.Target());
            tokens.Expect("=");
            values.Add(expressions.Expression());
        }

        return new WithStatement([.. targets], [.. values], BodyThrough(opener, "endwith")) { Line = opener.Line };
    }

    private BlockStatement Block(Token opener)
    {
        var name = tokens.Expect(TokenKind.Name).Text;
        var isScoped = tokens.SkipName("scoped");
        var isRequired = tokens.SkipName("required");
        if (isRequired)
            throw TemplateException.Syntax($"Required block '{name}' not found", opener.Line, opener.Column);
        var body = BodyThrough(opener, "endblock");
        tokens.SkipName(name);
        return new BlockStatement(name, isScoped, body) { Line = opener.Line };
    }

    private AutoEscapeStatement AutoEscape(Token opener)
    {
        var flag = expressions.Expression();
        return new AutoEscapeStatement(flag, BodyThrough(opener, "endautoescape")) { Line = opener.Line };
    }

    private OutputStatement Print(Token opener)
    {
        var values = new List<Expression>();
        while (tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
                tokens.Expect(",");
            values.Add(expressions.Expression());
        }

        return new OutputStatement([.. values]) { Line = opener.Line };
    }
}
