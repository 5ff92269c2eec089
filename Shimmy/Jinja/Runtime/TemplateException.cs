namespace Shimmy.Jinja.Runtime;

/// <summary>
/// The failure of a template: it cannot be compiled, refuses the conversation, or fails or runs too long on it. The message is
/// written for the client: the server answers 400 with <see cref="Exception.Message"/>.
/// </summary>
public sealed class TemplateException : Exception
{
    /// <summary>Creates the exception; the position is added once it is known, with <see cref="At"/>.</summary>
    public TemplateException(TemplateFailure failure, string detail) : this(failure, detail, line: 0, column: 0, inner: null)
    {
    }

    private TemplateException(TemplateFailure failure, string detail, int line, int column, Exception? inner)
        : base(Compose(failure, detail, line, column), inner)
    {
        Failure = failure;
        Detail = detail;
        Line = line;
        Column = column;
    }

    /// <summary>The kind of failure.</summary>
    public TemplateFailure Failure { get; }

    /// <summary>
    /// The message without the position: for <see cref="TemplateFailure.Refused"/> the very text that the template gave to
    /// <c>raise_exception</c>, otherwise Jinja's or Python's own message where they have one.
    /// </summary>
    public string Detail { get; }

    /// <summary>The line of the template, from 1; 0 where it is not known.</summary>
    public int Line { get; }

    /// <summary>The column in that line, from 1; 0 where only the line is known.</summary>
    public int Column { get; }

    /// <summary>A type error of the template's expressions, as Python would raise it.</summary>
    internal static TemplateException Evaluation(string detail) => new(TemplateFailure.Evaluation, detail);

    /// <summary>A limit that the rendering reached.</summary>
    internal static TemplateException Limit(string detail) => new(TemplateFailure.LimitExceeded, detail);

    /// <summary>A template that is not valid Jinja.</summary>
    internal static TemplateException Syntax(string detail, int line, int column) =>
        new(TemplateFailure.Syntax, detail, line, column, inner: null);

    /// <summary>The same failure with the line where it happened, unless it has one already.</summary>
    internal TemplateException At(int line) => Line > 0 || line <= 0 ? this : new(Failure, Detail, line, 0, this);

    private static string Compose(TemplateFailure failure, string detail, int line, int column)
    {
        var position = (line, column) switch
        {
            (0, _) => "",
            (_, 0) => $" (line {line})",
            _ => $" (line {line}, column {column})",
        };
        return failure switch
        {
            TemplateFailure.Syntax => $"The chat template is not valid{position}: {detail}",
            TemplateFailure.Refused => $"The chat template refuses this conversation: {detail}",
            TemplateFailure.LimitExceeded => $"The chat template exceeds a limit{position}: {detail}",
            _ => $"The chat template fails on this conversation{position}: {detail}",
        };
    }
}

/// <summary>Kinds of failure of a chat template.</summary>
public enum TemplateFailure
{
    /// <summary>The text is not valid Jinja, or names a filter or test that does not exist.</summary>
    Syntax,

    /// <summary>The template itself refused the conversation by calling <c>raise_exception</c>.</summary>
    Refused,

    /// <summary>The template used something undefined, or an attribute that the sandbox forbids.</summary>
    Undefined,

    /// <summary>An operation of the template failed on the values it met.</summary>
    Evaluation,

    /// <summary>The rendering took too long, grew too large or nested too deeply.</summary>
    LimitExceeded,
}
