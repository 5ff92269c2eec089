using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Statements;

/// <summary>Text outside of tags.</summary>
internal sealed class DataStatement(string text) : Statement
{
    /// <inheritdoc/>
    protected override Completion Execute(Frame frame, TextBuilder output)
    {
        frame.Rendering.Scan(text.Length);
        output.Append(text);
        return Completion.Normal;
    }
}
