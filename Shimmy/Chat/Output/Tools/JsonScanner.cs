namespace Shimmy.Chat.Output.Tools;

/// <summary>Finds the end of a JSON value in text that comes in pieces. Checks only brackets and quotes.</summary>
internal sealed class JsonScanner
{
    private readonly Stack<char> _open = new();
    private bool _quoted;
    private bool _escaped;
    private bool _begun;
    private bool _scalar;

    /// <summary>Whether the value has ended.</summary>
    public bool Done { get; private set; }

    /// <summary>Takes the next character; false where it is behind the value.</summary>
    public bool Take(char c)
    {
        if (Done)
            return false;
        if (_quoted)
        {
            if (_escaped)
            {
                _escaped = false;
            }
            else if (c == '\\')
            {
                _escaped = true;
            }
            else if (c == '"')
            {
                _quoted = false;
                Done = _open.Count == 0;
            }
            return true;
        }
        if (_scalar && _open.Count == 0 && (char.IsWhiteSpace(c) || c is ',' or '}' or ']' or '<'))
        {
            Done = true;
            return false;
        }
        switch (c)
        {
            case '"':
                _quoted = true;
                break;
            case '{' or '[':
                _open.Push(c);
                break;
            case '}' or ']':
                if (!_open.TryPop(out var opened) || opened != (c == '}' ? '{' : '['))
                {
                    Done = true;
                    return false;
                }
                Done = _open.Count == 0;
                break;
            default:
                _scalar |= !_begun && !char.IsWhiteSpace(c);
                break;
        }
        _begun |= !char.IsWhiteSpace(c);
        return true;
    }
}
