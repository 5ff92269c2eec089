using Shimmy.Chat.Templates.Jinja.Names;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Expressions;

/// <summary>A dict literal.</summary>
internal sealed class DictionaryExpression(KeyValuePair<Expression, Expression>[] pairs) : Expression
{
    /// <inheritdoc/>
    public override IEnumerable<Node> Children => pairs.SelectMany(pair => new[] { pair.Key, pair.Value });

    /// <inheritdoc/>
    public override Value Evaluate(Frame frame)
    {
        if (pairs.Length == 0)
            return DictionaryValue.Empty;
        var entries = new KeyValuePair<Value, Value>[pairs.Length];
        for (var i = 0; i < pairs.Length; i++)
            entries[i] = new(pairs[i].Key.Evaluate(frame), pairs[i].Value.Evaluate(frame));
        return DictionaryValue.Of(entries, frame.Rendering);
    }
}
