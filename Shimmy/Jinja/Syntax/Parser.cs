using Shimmy.Jinja.Nodes;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Syntax;

/// <summary>
/// Parses a template to its tree: the statements of Jinja with its loop controls, and the <c>generation</c> block of transformers.
/// Statements that need a second template (<c>extends</c>, <c>include</c>, <c>import</c>) are refused.
/// </summary>
internal sealed class Parser
{
    private readonly TokenStream _tokens;
    private readonly ExpressionParser _expressions;

    private Parser(string template)
    {
        _tokens = new TokenStream(Lexer.Tokenize(template));
        _expressions = new ExpressionParser(_tokens);
    }

    /// <summary>The statements of a template.</summary>
    public static Body Parse(string template)
    {
        var parser = new Parser(template);
        return parser.Statements(null);
    }

    /// <summary>
    /// Statements up to a tag of one of these names, which is not taken; up to the template's end where no names are given.
    /// </summary>
    private Body Statements(string[]? ends, string? opener = null, int openerLine = 0)
    {
        _tokens.Enter();
        var statements = new List<Statement>();
        while (_tokens.Current.Kind != TokenKind.End)
        {
            var token = _tokens.Next();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    statements.Add(new DataStatement(token.Text) { Line = token.Line });
                    break;
                case TokenKind.VariableBegin:
                    statements.Add(new OutputStatement([_expressions.Tuple()]) { Line = token.Line });
                    _tokens.Expect(TokenKind.VariableEnd);
                    break;
                default:
                    if (ends is not null && _tokens.Current.Kind == TokenKind.Name && ends.Contains(_tokens.Current.Text))
                    {
                        _tokens.Leave();
                        return new Body([.. statements]);
                    }

                    statements.Add(Statement(ends));
                    _tokens.Expect(TokenKind.BlockEnd);
                    break;
            }
        }

        if (ends is not null)
        {
            throw _tokens.Error($"Unexpected end of template: the '{opener}' of line {openerLine} is not closed by " +
                $"'{ends[^1]}'.");
        }

        _tokens.Leave();
        return new Body([.. statements]);
    }

    /// <summary>The body of a statement, from the end of its opening tag; the name of the closing tag is not taken.</summary>
    private Body BodyUntil(Token opener, params string[] ends)
    {
        _tokens.Skip(":");
        _tokens.Expect(TokenKind.BlockEnd);
        return Statements(ends, opener.Text, opener.Line);
    }

    private Body BodyThrough(Token opener, string end)
    {
        var body = BodyUntil(opener, end);
        _tokens.Next();
        return body;
    }

    private Statement Statement(string[]? ends)
    {
        var token = _tokens.Current.Kind == TokenKind.Name ? _tokens.Next() : throw _tokens.Error("tag name expected");
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
        var target = _expressions.Target(endName: "in");
        _tokens.ExpectName("in");
        var iterable = _expressions.Tuple(withCondition: false, endName: "recursive");
        var test = _tokens.SkipName("if") ? _expressions.Expression() : null;
        var isRecursive = _tokens.SkipName("recursive");
        var body = BodyUntil(opener, "else", "endfor");
        var otherwise = _tokens.Next().Text == "else" ? BodyThrough(opener, "endfor") : Body.Empty;
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
        var test = _expressions.Tuple(withCondition: false);
        var body = BodyUntil(opener, "elif", "else", "endif");
        return (test, body, _tokens.Next());
    }

    private Statement Set(Token opener)
    {
        var target = _expressions.Target(withNamespace: true);
        if (_tokens.Skip("="))
            return new SetStatement(target, _expressions.Tuple()) { Line = opener.Line };
        var filter = (FilterExpression?)_expressions.Filters(null);
        return new SetBlockStatement(target, filter, BodyThrough(opener, "endset")) { Line = opener.Line };
    }

    private MacroStatement MacroOf(Token opener)
    {
        var name = _expressions.Name();
        var (parameters, defaults) = Signature();
        var body = BodyThrough(opener, "endmacro");
        var macro = new Macro(name.Names.First(), parameters, defaults, body) { Line = opener.Line };
        return new MacroStatement(name, macro) { Line = opener.Line };
    }

    private CallStatement Call(Token opener)
    {
        var (parameters, defaults) = _tokens.Current.Is("(") ? Signature() : ([], []);
        if (_expressions.Expression() is not CallExpression call)
            throw TemplateException.Syntax("expected call", opener.Line, opener.Column);
        var body = BodyThrough(opener, "endcall");
        return new CallStatement(call, new Macro(null, parameters, defaults, body) { Line = opener.Line }) { Line = opener.Line };
    }

    private (NameTarget[] Parameters, Expression[] Defaults) Signature()
    {
        var parameters = new List<NameTarget>();
        var defaults = new List<Expression>();
        _tokens.Expect("(");
        while (!_tokens.Current.Is(")"))
        {
            if (parameters.Count > 0)
                _tokens.Expect(",");
            var parameter = _expressions.Name();
            if (parameters.Exists(other => other.Names.First() == parameter.Names.First()))
                throw _tokens.Error($"duplicate argument '{parameter.Names.First()}' in function definition");
            parameters.Add(parameter);
            if (_tokens.Skip("="))
                defaults.Add(_expressions.Expression());
            else if (defaults.Count > 0)
                throw _tokens.Error("non-default argument follows default argument");
        }

        _tokens.Expect(")");
        return ([.. parameters], [.. defaults]);
    }

    private FilterStatement Filter(Token opener)
    {
        var filter = (FilterExpression)_expressions.Filters(null, inline: true)!;
        return new FilterStatement(filter, BodyThrough(opener, "endfilter")) { Line = opener.Line };
    }

    private WithStatement With(Token opener)
    {
        var targets = new List<Target>();
        var values = new List<Expression>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (targets.Count > 0)
                _tokens.Expect(",");
            targets.Add(_expressions.Target());
            _tokens.Expect("=");
            values.Add(_expressions.Expression());
        }

        return new WithStatement([.. targets], [.. values], BodyThrough(opener, "endwith")) { Line = opener.Line };
    }

    private BlockStatement Block(Token opener)
    {
        var name = _tokens.Expect(TokenKind.Name).Text;
        var isScoped = _tokens.SkipName("scoped");
        var isRequired = _tokens.SkipName("required");
        if (isRequired)
            throw TemplateException.Syntax($"Required block '{name}' not found", opener.Line, opener.Column);
        var body = BodyThrough(opener, "endblock");
        _tokens.SkipName(name);
        return new BlockStatement(name, isScoped, body) { Line = opener.Line };
    }

    private AutoEscapeStatement AutoEscape(Token opener)
    {
        var flag = _expressions.Expression();
        return new AutoEscapeStatement(flag, BodyThrough(opener, "endautoescape")) { Line = opener.Line };
    }

    private OutputStatement Print(Token opener)
    {
        var values = new List<Expression>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
                _tokens.Expect(",");
            values.Add(_expressions.Expression());
        }

        return new OutputStatement([.. values]) { Line = opener.Line };
    }
}
