using System.Globalization;
using Shimmy.Jinja.Nodes;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Syntax;

/// <summary>
/// Parses expressions. Jinja's precedence from loose to tight, which differs from Python's in places:
/// <code>
///   a if b else c  │  or  │  and  │  not  │  == != &lt; &lt;= &gt; &gt;= in  │  + -  │  ~  │  * / // %  │  **  │  - + (sign)
///   a.b  a[b]  a(b)  │  a | filter   a is test
/// </code>
/// </summary>
internal sealed class ExpressionParser(TokenStream tokens)
{
    /// <summary>An expression.</summary>
    public Expression Expression(bool withCondition = true)
    {
        tokens.Enter();
        var expression = withCondition ? Conditional() : Or();
        tokens.Leave();
        return expression;
    }

    /// <summary>An expression, or a tuple without parentheses.</summary>
    /// <param name="withCondition">Whether <c>a if b else c</c> may stand there.</param>
    /// <param name="endName">A name that ends the tuple, or null.</param>
    /// <param name="inParentheses">Whether parentheses are around, so that it may be empty.</param>
    public Expression Tuple(bool withCondition = true, string? endName = null, bool inParentheses = false)
    {
        var line = tokens.Current.Line;
        var items = Listed(() => Expression(withCondition), endName, out var isTuple);
        if (isTuple)
            return Sequence(items, isTuple: true, line);
        if (items.Count > 0)
            return items[0];
        return inParentheses
            ? new ConstantExpression(TupleValue.Empty) { Line = line }
            : throw tokens.Error($"Expected an expression, got '{tokens.Current.Describe()}'");
    }

    /// <summary>The target of an assignment: a name, an attribute of a namespace where allowed, or a tuple of targets.</summary>
    public Target Target(bool withNamespace = false, string? endName = null)
    {
        tokens.Enter();
        var line = tokens.Current.Line;
        var targets = Listed(() => SingleTarget(withNamespace), endName, out var isTuple);
        tokens.Leave();
        if (targets.Count == 0)
            throw tokens.Error($"Expected an expression, got '{tokens.Current.Describe()}'");
        return isTuple ? new TupleTarget([.. targets]) { Line = line } : targets[0];
    }

    /// <summary>A name to assign to.</summary>
    public NameTarget Name()
    {
        var token = tokens.Expect(TokenKind.Name);
        return IsReserved(token.Text)
            ? throw TemplateException.Syntax($"can't assign to '{token.Text}'", token.Line, token.Column)
            : new NameTarget(token.Text) { Line = token.Line };
    }

    /// <summary>The filters after an input; where <paramref name="inline"/>, the first has no bar before it.</summary>
    public Expression? Filters(Expression? input, bool inline = false)
    {
        while (inline || tokens.Current.Is("|"))
        {
            if (!inline)
                tokens.Next();
            inline = false;
            var line = tokens.Current.Line;
            var name = DottedName();
            var arguments = tokens.Current.Is("(") ? Arguments() : ArgumentList.None;
            input = new FilterExpression(input, name, arguments) { Line = line };
        }

        return input;
    }

    private static bool IsReserved(string name) => name is "true" or "false" or "none" or "True" or "False" or "None";

    private Target SingleTarget(bool withNamespace)
    {
        if (tokens.Skip("("))
        {
            var inner = Target(withNamespace);
            tokens.Expect(")");
            return inner;
        }

        if (tokens.Current.Kind != TokenKind.Name)
            throw tokens.Error($"can't assign to '{tokens.Current.Describe()}'");
        if (!withNamespace || !tokens.Following.Is("."))
            return Name();
        var name = tokens.Next();
        tokens.Next();
        return new NamespaceTarget(name.Text, tokens.Expect(TokenKind.Name).Text) { Line = name.Line };
    }

    // What stands between commas, up to the end of a tuple; a comma behind the only one makes a tuple of it.
    private List<T> Listed<T>(Func<T> item, string? endName, out bool isTuple)
    {
        var items = new List<T>();
        isTuple = false;
        while (!IsTupleEnd(endName))
        {
            items.Add(item());
            if (!tokens.Skip(","))
                break;
            isTuple = true;
        }

        return items;
    }

    private bool IsTupleEnd(string? endName) =>
        tokens.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || tokens.Current.Is(")") ||
        (endName is not null && tokens.Current.IsName(endName));

    private Expression Conditional()
    {
        var line = tokens.Current.Line;
        var value = Or();
        while (tokens.SkipName("if"))
        {
            var test = Or();
            Expression? other = null;
            if (tokens.SkipName("else"))
            {
                tokens.Enter();
                other = Conditional();
                tokens.Leave();
            }

            value = new ConditionalExpression(test, value, other) { Line = line };
        }

        return value;
    }

    private Expression Or()
    {
        var line = tokens.Current.Line;
        var left = And();
        while (tokens.SkipName("or"))
            left = new LogicalExpression(isAnd: false, left, And()) { Line = line };
        return left;
    }

    private Expression And()
    {
        var line = tokens.Current.Line;
        var left = Not();
        while (tokens.SkipName("and"))
            left = new LogicalExpression(isAnd: true, left, Not()) { Line = line };
        return left;
    }

    private Expression Not()
    {
        if (!tokens.Current.IsName("not"))
            return Comparison();
        var line = tokens.Next().Line;
        tokens.Enter();
        var operand = Not();
        tokens.Leave();
        return new UnaryExpression("not", operand) { Line = line };
    }

    private Expression Comparison()
    {
        var line = tokens.Current.Line;
        var first = Sum();
        List<KeyValuePair<string, Expression>>? comparisons = null;
        while (ComparisonOperator() is { } @operator)
            (comparisons ??= []).Add(new(@operator, Sum()));
        return comparisons is null ? first : new ComparisonExpression(first, [.. comparisons]) { Line = line };
    }

    private string? ComparisonOperator()
    {
        var token = tokens.Current;
        if (token is { Kind: TokenKind.Operator, Text: "==" or "!=" or "<" or "<=" or ">" or ">=" } || token.IsName("in"))
            return tokens.Next().Text;
        if (!token.IsName("not") || !tokens.Following.IsName("in"))
            return null;
        tokens.Next();
        tokens.Next();
        return "not in";
    }

    private Expression Sum()
    {
        var line = tokens.Current.Line;
        var left = Concatenation();
        while (tokens.Current is { Kind: TokenKind.Operator, Text: "+" or "-" })
            left = new ArithmeticExpression(tokens.Next().Text, left, Concatenation()) { Line = line };
        return left;
    }

    private Expression Concatenation()
    {
        var line = tokens.Current.Line;
        var first = Product();
        if (!tokens.Current.Is("~"))
            return first;
        var operands = new List<Expression> { first };
        while (tokens.Skip("~"))
            operands.Add(Product());
        return new ConcatenationExpression([.. operands]) { Line = line };
    }

    private Expression Product()
    {
        var line = tokens.Current.Line;
        var left = Power();
        while (tokens.Current is { Kind: TokenKind.Operator, Text: "*" or "/" or "//" or "%" })
            left = new ArithmeticExpression(tokens.Next().Text, left, Power()) { Line = line };
        return left;
    }

    private Expression Power()
    {
        var line = tokens.Current.Line;
        var left = Unary(withFilters: true);
        while (tokens.Current.Is("**"))
            left = new ArithmeticExpression(tokens.Next().Text, left, Unary(withFilters: true)) { Line = line };
        return left;
    }

    private Expression Unary(bool withFilters)
    {
        Expression expression;
        if (tokens.Current is { Kind: TokenKind.Operator, Text: "-" or "+" } sign)
        {
            tokens.Next();
            tokens.Enter();
            expression = new UnaryExpression(sign.Text, Unary(withFilters: false)) { Line = sign.Line };
            tokens.Leave();
        }
        else
        {
            expression = Primary();
        }

        expression = Postfix(expression);
        return withFilters ? FiltersAndTests(expression) : expression;
    }

    private Expression Primary()
    {
        var token = tokens.Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                tokens.Next();
                return token.Text switch
                {
                    "true" or "True" => Constant(BooleanValue.True),
                    "false" or "False" => Constant(BooleanValue.False),
                    "none" or "None" => Constant(NoneValue.Instance),
                    _ => new NameExpression(token.Text) { Line = token.Line },
                };
            case TokenKind.String:
                var text = tokens.Next().Text;
                while (tokens.Current.Kind == TokenKind.String)
                    text += tokens.Next().Text;
                return Constant(TextValue.Own(text));
            case TokenKind.Integer:
                return Constant(IntegerValue.Of(NumberLiteral.Integer(tokens.Next().Text)));
            case TokenKind.Float:
                return Constant(new FloatValue(double.Parse(tokens.Next().Text, NumberStyles.Float, CultureInfo.InvariantCulture)));
            case TokenKind.Operator when token.Text == "(":
                tokens.Next();
                tokens.Enter();
                var inner = Tuple(inParentheses: true);
                tokens.Expect(")");
                tokens.Leave();
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return List();
            case TokenKind.Operator when token.Text == "{":
                return Dictionary();
            default:
                throw tokens.Error($"unexpected '{token.Describe()}'");
        }

        ConstantExpression Constant(Value value) => new(value) { Line = token.Line };
    }

    private Expression List()
    {
        var line = tokens.Expect("[").Line;
        var items = new List<Expression>();
        Enclosed("]", () => items.Add(Expression()));
        return Sequence(items, isTuple: false, line);
    }

    private DictionaryExpression Dictionary()
    {
        var line = tokens.Expect("{").Line;
        var pairs = new List<KeyValuePair<Expression, Expression>>();
        Enclosed("}", () =>
        {
            var key = Expression();
            tokens.Expect(":");
            pairs.Add(new(key, Expression()));
        });
        return new DictionaryExpression([.. pairs]) { Line = line };
    }

    // What stands between commas up to a closing sign, before which one more comma may stand.
    private void Enclosed(string end, Action item)
    {
        while (!tokens.Current.Is(end))
        {
            item();
            if (!tokens.Current.Is(end))
                tokens.Expect(",");
        }

        tokens.Expect(end);
    }

    private static Expression Sequence(List<Expression> items, bool isTuple, int line)
    {
        if (!items.TrueForAll(item => item is ConstantExpression))
            return new SequenceExpression([.. items], isTuple) { Line = line };
        // Values never change, so one serves all renderings.
        Value[] values = [.. items.Select(item => ((ConstantExpression)item).Value)];
        return new ConstantExpression(isTuple ? new TupleValue(values) : new ListValue(values)) { Line = line };
    }

    private Expression Postfix(Expression expression)
    {
        while (true)
        {
            var line = tokens.Current.Line;
            if (tokens.Skip("."))
                expression = Member(expression, line);
            else if (tokens.Skip("["))
                expression = Subscript(expression, line);
            else if (tokens.Current.Is("("))
                expression = new CallExpression(expression, Arguments()) { Line = line };
            else
                return expression;
        }
    }

    private Expression FiltersAndTests(Expression expression)
    {
        while (true)
        {
            var line = tokens.Current.Line;
            if (tokens.Current.Is("|"))
                expression = Filters(expression)!;
            else if (tokens.SkipName("is"))
                expression = Test(expression, line);
            else if (tokens.Current.Is("("))
                expression = new CallExpression(expression, Arguments()) { Line = line };
            else
                return expression;
        }
    }

    private Expression Member(Expression owner, int line)
    {
        var token = tokens.Next();
        return token.Kind switch
        {
            TokenKind.Name => new AttributeExpression(owner, token.Text) { Line = line },
            TokenKind.Integer => new ItemExpression(owner,
                new ConstantExpression(IntegerValue.Of(NumberLiteral.Integer(token.Text))))
            { Line = line },
            _ => throw TemplateException.Syntax("expected name or number", token.Line, token.Column),
        };
    }

    private Expression Subscript(Expression owner, int line)
    {
        var keys = new List<Expression?[]>();
        while (!tokens.Current.Is("]"))
        {
            if (keys.Count > 0)
                tokens.Expect(",");
            keys.Add(Key());
        }

        tokens.Expect("]");
        if (keys is [[var start, var stop, var step]])
            return new SliceExpression(owner, start ?? None(), stop ?? None(), step ?? None()) { Line = line };
        if (keys.Exists(key => key.Length > 1))
            throw TemplateException.Syntax("a slice cannot stand beside other subscripts", line, 0);
        return new ItemExpression(owner,
            keys.Count == 1 ? keys[0][0]! : Sequence(keys.ConvertAll(key => key[0]!), isTuple: true, line))
        { Line = line };

        ConstantExpression None() => new(NoneValue.Instance) { Line = line };
    }

    /// <summary>A subscript: one expression, or the three of a slice.</summary>
    private Expression?[] Key()
    {
        Expression? start = null;
        if (!tokens.Current.Is(":"))
        {
            start = Expression();
            if (!tokens.Current.Is(":"))
                return [start];
        }

        tokens.Next();
        var stop = Bound();
        var step = tokens.Skip(":") ? Bound() : null;
        return [start, stop, step];

        Expression? Bound() =>
            tokens.Current.Is(":") || tokens.Current.Is("]") || tokens.Current.Is(",") ? null : Expression();
    }

    private Expression Test(Expression subject, int line)
    {
        var isNegated = tokens.SkipName("not");
        var name = DottedName();
        var arguments = ArgumentList.None;
        if (tokens.Current.Is("("))
        {
            arguments = Arguments();
        }
        else if (StartsArgument())
        {
            if (tokens.Current.IsName("is"))
                throw tokens.Error("You cannot chain multiple tests with is");
            arguments = new ArgumentList([Postfix(Primary())], [], null, null);
        }

        var test = new TestExpression(subject, name, arguments) { Line = line };
        return isNegated ? new UnaryExpression("not", test) { Line = line } : test;
    }

    private bool StartsArgument() => tokens.Current switch
    {
        { Kind: TokenKind.Name, Text: "else" or "or" or "and" } => false,
        { Kind: TokenKind.Name or TokenKind.String or TokenKind.Integer or TokenKind.Float } => true,
        { Kind: TokenKind.Operator, Text: "[" or "{" } => true,
        _ => false,
    };

    private string DottedName()
    {
        var name = tokens.Expect(TokenKind.Name).Text;
        while (tokens.Skip("."))
            name += "." + tokens.Expect(TokenKind.Name).Text;
        return name;
    }

    private ArgumentList Arguments()
    {
        var open = tokens.Expect("(");
        var positional = new List<Expression>();
        var named = new List<KeyValuePair<string, Expression>>();
        Expression? rest = null;
        Expression? namedRest = null;
        Enclosed(")", () =>
        {
            if (tokens.Skip("*"))
            {
                Require(rest is null && namedRest is null);
                rest = Expression();
            }
            else if (tokens.Skip("**"))
            {
                Require(namedRest is null);
                namedRest = Expression();
            }
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Following.Is("="))
            {
                Require(namedRest is null);
                var name = tokens.Next().Text;
                tokens.Next();
                if (named.Exists(argument => argument.Key == name))
                    throw tokens.Error($"keyword argument repeated: {name}");
                named.Add(new(name, Expression()));
            }
            else
            {
                Require(rest is null && namedRest is null && named.Count == 0);
                positional.Add(Expression());
            }
        });
        return new ArgumentList([.. positional], [.. named], rest, namedRest);

        void Require(bool condition)
        {
            if (!condition)
                throw TemplateException.Syntax("invalid syntax for function call expression", open.Line, open.Column);
        }
    }
}
