namespace Shimmy.Engine.Llama;

/// <summary><c>enum llama_pooling_type</c>: how the states of a text's tokens become one embedding.</summary>
internal enum PoolingType
{
    /// <summary>They do not: a state for each token.</summary>
    None = 0,

    /// <summary>Their mean.</summary>
    Mean = 1,

    /// <summary>The first token's.</summary>
    Cls = 2,

    /// <summary>The last token's.</summary>
    Last = 3,

    /// <summary>A classifier's scores: a reranker.</summary>
    Rank = 4,
}
