using System.Globalization;
using System.Text;

namespace Shimmy.Cli.Terminal.Editing;

/// <summary>The keys that the editor knows.</summary>
internal enum KeyCode
{
    /// <summary>Characters, in <see cref="Key.Text"/>.</summary>
    Text,

    /// <summary>A text that was pasted.</summary>
    Paste,

    /// <summary>Ctrl with the letter in <see cref="Key.Text"/>.</summary>
    Control,

    /// <summary>Alt with the character in <see cref="Key.Text"/>.</summary>
    Alt,

    /// <summary>Enter alone.</summary>
    Enter,

    /// <summary>Enter with Shift, Alt or Ctrl, and Ctrl+J.</summary>
    NewLine,

    /// <summary>Tab.</summary>
    Tab,

    /// <summary>Shift+Tab.</summary>
    BackTab,

    /// <summary>Backspace.</summary>
    Backspace,

    /// <summary>Backspace with Alt or Ctrl.</summary>
    WordBackspace,

    /// <summary>Delete.</summary>
    Delete,

    /// <summary>Delete with Alt or Ctrl.</summary>
    WordDelete,

    /// <summary>An arrow.</summary>
    Left,

    /// <summary>An arrow.</summary>
    Right,

    /// <summary>An arrow with Alt or Ctrl.</summary>
    WordLeft,

    /// <summary>An arrow with Alt or Ctrl.</summary>
    WordRight,

    /// <summary>An arrow.</summary>
    Up,

    /// <summary>An arrow.</summary>
    Down,

    /// <summary>Home.</summary>
    Home,

    /// <summary>End.</summary>
    End,

    /// <summary>Page up.</summary>
    PageUp,

    /// <summary>Page down.</summary>
    PageDown,

    /// <summary>Escape.</summary>
    Escape,

    /// <summary>The terminal is gone.</summary>
    Closed,
}

/// <summary>One key, or text that was pasted.</summary>
internal readonly record struct Key(KeyCode Code, string Text = "")
{
    /// <summary>Whether it is Ctrl with a letter.</summary>
    public bool IsControl(char letter) => Code == KeyCode.Control && Text.Length == 1 && Text[0] == letter;
}

/// <summary>
/// Keys out of the bytes that a terminal sends: UTF-8, control characters, and the sequences of VT220, xterm, kitty and the bracketed
/// paste.
/// </summary>
internal sealed class KeyParser
{
    private const byte Escape = 0x1b;
    private const string PasteStart = "200";

    private static readonly byte[] PasteEnd = "\u001b[201~"u8.ToArray();

    private readonly List<byte> _bytes = [];
    private bool _pastes;

    // Up to here the end of a paste was looked for.
    private int _searched;

    /// <summary>Whether bytes wait that are no whole key yet.</summary>
    public bool IsWaiting => _bytes.Count > 0;

    /// <summary>Whether a paste has begun and not ended.</summary>
    public bool IsPasting => _pastes;

    /// <summary>Takes bytes.</summary>
    public void Feed(ReadOnlySpan<byte> bytes)
    {
        foreach (var one in bytes)
            _bytes.Add(one);
    }

    /// <summary>
    /// The next key. Where <paramref name="isLate"/>, no more bytes are to be expected: an escape that stands alone is the key of that
    /// name.
    /// </summary>
    public bool TryNext(out Key key, bool isLate = false)
    {
        while (_bytes.Count > 0)
        {
            if (_pastes)
            {
                if (Find(PasteEnd) is not (>= 0 and var end))
                    break;
                key = new Key(KeyCode.Paste, Take(end).ReplaceLineEndings("\n"));
                _bytes.RemoveRange(0, PasteEnd.Length);
                (_pastes, _searched) = (false, 0);
                return true;
            }
            var (length, found) = _bytes[0] == Escape ? Sequence(isLate) : Plain(isLate);
            if (length == 0)
                break;
            _bytes.RemoveRange(0, length);
            if (found is { } one)
            {
                key = one;
                return true;
            }
        }
        key = default;
        return false;
    }

    private string Take(int length)
    {
        var text = Encoding.UTF8.GetString([.. _bytes[..length]]);
        _bytes.RemoveRange(0, length);
        return text;
    }

    // Length 0: more bytes are needed.
    private (int Length, Key? Key) Plain(bool isLate)
    {
        switch (_bytes[0])
        {
            case 0x0d:
                return (1, new Key(KeyCode.Enter));
            case 0x0a:
                return (1, new Key(KeyCode.NewLine));
            case 0x09:
                return (1, new Key(KeyCode.Tab));
            case 0x7f or 0x08:
                return (1, new Key(KeyCode.Backspace));
            case 0:
                return (1, null);
            case < 0x20 and var control:
                return (1, Control((char)(control + 0x40)));
        }
        var at = 0;
        while (at < _bytes.Count && _bytes[at] >= 0x20 && _bytes[at] != 0x7f)
        {
            var length = _bytes[at] switch { < 0xc0 => 1, < 0xe0 => 2, < 0xf0 => 3, _ => 4 };
            if (at + length > _bytes.Count)
            {
                if (!isLate)
                    break;
                length = _bytes.Count - at;
            }
            at += length;
        }
        return at == 0 ? (0, null) : (at, new Key(KeyCode.Text, Encoding.UTF8.GetString([.. _bytes[..at]])));
    }

    private static Key Control(char letter) => new(KeyCode.Control, char.ToLowerInvariant(letter).ToString());

    private (int Length, Key? Key) Sequence(bool isLate)
    {
        if (_bytes.Count == 1)
            return isLate ? (1, new Key(KeyCode.Escape)) : (0, null);
        switch (_bytes[1])
        {
            case (byte)'[':
                for (var at = 2; at < _bytes.Count; at++)
                {
                    if (_bytes[at] is < 0x20 or > 0x7e)
                        return (at, null);
                    if (_bytes[at] >= 0x40)
                        return (at + 1, Csi(Encoding.ASCII.GetString([.. _bytes[2..at]]), (char)_bytes[at]));
                }
                return isLate ? (2, new Key(KeyCode.Alt, "[")) : (0, null);
            case (byte)'O':
                if (_bytes.Count == 2)
                    return isLate ? (2, new Key(KeyCode.Alt, "O")) : (0, null);
                return (3, _bytes[2] == (byte)'M' ? new Key(KeyCode.Enter) : Letter((char)_bytes[2], isWord: false));
            case Escape:
                return (1, new Key(KeyCode.Escape));
            case 0x0d or 0x0a:
                return (2, new Key(KeyCode.NewLine));
            case 0x7f or 0x08:
                return (2, new Key(KeyCode.WordBackspace));
            case < 0x20:
                return (1, new Key(KeyCode.Escape));
            case < 0x80 and var letter:
                return (2, new Key(KeyCode.Alt, ((char)letter).ToString()));
            default:
                return (1, null);
        }
    }

    private Key? Csi(string parameters, char last)
    {
        var numbers = parameters.Split(';');
        var first = NumberOf(numbers[0]);
        // xterm: one more than the sum of Shift 1, Alt 2, Ctrl 4; kitty adds what locks the keyboard.
        var modifiers = numbers.Length > 1 ? Math.Max(0, NumberOf(numbers[1]) - 1) & 7 : 0;
        var isWord = (modifiers & 6) != 0;
        switch (last)
        {
            case '~' when numbers[0] == PasteStart:
                _pastes = true;
                return null;
            // xterm's modifyOtherKeys: 27;MODIFIERS;CODE.
            case '~' when first == 27 && numbers.Length > 2:
                return OfCode(NumberOf(numbers[2]), modifiers);
            case '~':
                return first switch
                {
                    1 or 7 => new Key(KeyCode.Home),
                    4 or 8 => new Key(KeyCode.End),
                    3 => new Key(isWord ? KeyCode.WordDelete : KeyCode.Delete),
                    5 => new Key(KeyCode.PageUp),
                    6 => new Key(KeyCode.PageDown),
                    _ => null,
                };
            // kitty's protocol: CODE;MODIFIERS.
            case 'u':
                return OfCode(first, modifiers);
            case 'Z':
                return new Key(KeyCode.BackTab);
            default:
                return Letter(last, isWord);
        }
    }

    private static int NumberOf(string text) =>
        int.TryParse(text.Split(':')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static Key? OfCode(int code, int modifiers)
    {
        const int alt = 2;
        const int control = 4;
        switch (code)
        {
            case 13:
                return new Key(modifiers == 0 ? KeyCode.Enter : KeyCode.NewLine);
            case 27:
                return new Key(KeyCode.Escape);
            case 9:
                return new Key(modifiers == 0 ? KeyCode.Tab : KeyCode.BackTab);
            case 127 or 8:
                return new Key((modifiers & (alt | control)) == 0 ? KeyCode.Backspace : KeyCode.WordBackspace);
        }
        if (!Rune.TryCreate(code, out var rune) || Rune.IsControl(rune) || code is >= 0xe000 and < 0xf900)
            return null;
        if ((modifiers & control) != 0)
            return code is 'j' or 'm' ? new Key(KeyCode.NewLine) : code < 0x80 ? Control((char)code) : null;
        return new Key((modifiers & alt) != 0 ? KeyCode.Alt : KeyCode.Text, rune.ToString());
    }

    private static Key? Letter(char letter, bool isWord) => letter switch
    {
        'A' => new Key(KeyCode.Up),
        'B' => new Key(KeyCode.Down),
        'C' => new Key(isWord ? KeyCode.WordRight : KeyCode.Right),
        'D' => new Key(isWord ? KeyCode.WordLeft : KeyCode.Left),
        'H' => new Key(KeyCode.Home),
        'F' => new Key(KeyCode.End),
        _ => null,
    };

    private int Find(byte[] pattern)
    {
        for (; _searched + pattern.Length <= _bytes.Count; _searched++)
        {
            var same = 0;
            while (same < pattern.Length && _bytes[_searched + same] == pattern[same])
                same++;
            if (same == pattern.Length)
                return _searched;
        }
        return -1;
    }
}
