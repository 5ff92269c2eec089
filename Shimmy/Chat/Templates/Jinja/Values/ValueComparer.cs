namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>Equality of values as keys, paid for by a rendering.</summary>
internal sealed class ValueComparer(Rendering rendering) : IEqualityComparer<Value>
{
    /// <inheritdoc/>
    public bool Equals(Value? x, Value? y) => ReferenceEquals(x, y) || (x is not null && y is not null && x.EqualTo(y, rendering));

    /// <inheritdoc/>
    public int GetHashCode(Value obj)
    {
        rendering.Step();
        return obj.Hash(rendering);
    }
}
