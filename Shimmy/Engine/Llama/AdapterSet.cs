namespace Shimmy.Engine.Llama;

/// <summary>How strongly each adapter of a model acts on a sequence. Sequences of equal sets can be decoded together and share cells.</summary>
internal sealed class AdapterSet(float[] scales) : IEquatable<AdapterSet>
{
    /// <summary>A scale for each of the model's adapters, in their order; 0 where one does nothing.</summary>
    public ReadOnlySpan<float> Scales => scales;

    public bool Equals(AdapterSet? other) => ReferenceEquals(this, other) || (other is not null && Scales.SequenceEqual(other.Scales));

    public override bool Equals(object? obj) => Equals(obj as AdapterSet);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var scale in scales)
            hash.Add(scale);
        return hash.ToHashCode();
    }
}
