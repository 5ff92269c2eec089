using Shimmy.Chat.Templates.Jinja.Statements;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>The <c>self</c> variable: has the template's blocks as functions.</summary>
internal sealed class SelfValue : Value
{
    /// <inheritdoc/>
    public override string TypeName => "TemplateReference";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.runtime.TemplateReference object";

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => rendering.Blocks.TryGetValue(name, out var block)
        ? BuiltIn.WithoutArguments(name, () => block.Render(rendering))
        : null;

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append("<TemplateReference None>");
}
