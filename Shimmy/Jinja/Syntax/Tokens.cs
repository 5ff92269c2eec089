using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Syntax;

/// <summary>The tokens of a template as the parsers go through them.</summary>
internal sealed class TokenStream(IReadOnlyList<Token> tokens)
{
    // Nesting is the parser's own recursion; well above what any template has, well below what overflows the stack.
    private const int MostNesting = 100;

    private int _at;
    private int _nesting;

    /// <summary>The next token, not yet taken.</summary>
    public Token Current => tokens[_at];

    /// <summary>The token after <see cref="Current"/>.</summary>
    public Token Following => tokens[Math.Min(_at + 1, tokens.Count - 1)];

    /// <summary>Takes the next token.</summary>
    public Token Next()
    {
        var token = tokens[_at];
        if (_at < tokens.Count - 1)
            _at++;
        return token;
    }

    /// <summary>Takes the next token if it is this operator.</summary>
    public bool Skip(string @operator)
    {
        var found = Current.Is(@operator);
        if (found)
            Next();
        return found;
    }

    /// <summary>Takes the next token if it is this name.</summary>
    public bool SkipName(string name)
    {
        var found = Current.IsName(name);
        if (found)
            Next();
        return found;
    }

    /// <summary>Takes the next token, which must be this operator.</summary>
    public Token Expect(string @operator) => Current.Is(@operator) ? Next() : throw Unexpected($"'{@operator}'");

    /// <summary>Takes the next token, which must be this name.</summary>
    public Token ExpectName(string name) => Current.IsName(name) ? Next() : throw Unexpected($"'{name}'");

    /// <summary>Takes the next token, which must be of this kind.</summary>
    public Token Expect(TokenKind kind) => Current.Kind == kind
        ? Next()
        : throw Unexpected(kind == TokenKind.Name ? "name" : new Token(kind, "", 0, 0).Describe());

    /// <summary>Enters a part that may hold others of its kind; too many within one another are refused.</summary>
    public void Enter()
    {
        if (++_nesting > MostNesting)
            throw Error($"the template nests more than {MostNesting} levels deep");
    }

    /// <summary>Leaves such a part.</summary>
    public void Leave() => _nesting--;

    /// <summary>An error at the next token.</summary>
    public TemplateException Error(string message) => TemplateException.Syntax(message, Current.Line, Current.Column);

    private TemplateException Unexpected(string expected) => Error($"expected token {expected}, got '{Current.Describe()}'");
}

/// <summary>A token of a template.</summary>
/// <param name="Kind">The kind of token.</param>
/// <param name="Text">The source text of the token; of a string literal the string, its escapes resolved.</param>
/// <param name="Line">The line where it begins, from 1.</param>
/// <param name="Column">The column where it begins, from 1.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Line, int Column)
{
    /// <summary>Whether the token is this operator.</summary>
    public bool Is(string @operator) => Kind == TokenKind.Operator && Text == @operator;

    /// <summary>Whether the token is this name.</summary>
    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    /// <summary>The words for the token in messages.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.Data => "template data / text",
        TokenKind.VariableBegin => "begin of print statement",
        TokenKind.VariableEnd => "end of print statement",
        TokenKind.BlockBegin => "begin of statement block",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.String => "string",
        TokenKind.Integer => "integer",
        TokenKind.Float => "float",
        TokenKind.End => "end of template",
        _ => Text,
    };
}

/// <summary>Kinds of tokens of a template.</summary>
internal enum TokenKind
{
    /// <summary>Literal text outside of tags.</summary>
    Data,

    /// <summary><c>{{</c></summary>
    VariableBegin,

    /// <summary><c>}}</c></summary>
    VariableEnd,

    /// <summary><c>{%</c></summary>
    BlockBegin,

    /// <summary><c>%}</c></summary>
    BlockEnd,

    /// <summary>A name or keyword.</summary>
    Name,

    /// <summary>A string literal, its escapes resolved.</summary>
    String,

    /// <summary>An integer literal.</summary>
    Integer,

    /// <summary>A float literal.</summary>
    Float,

    /// <summary>An operator or bracket.</summary>
    Operator,

    /// <summary>The end of the template.</summary>
    End,
}
