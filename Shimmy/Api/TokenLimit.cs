using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// How long an answer may be. Every API has its own name for it, and clients send those of others: each is taken in each dialect.
/// </summary>
internal static class TokenLimit
{
    /// <summary>The names that the APIs have for it.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict", "num_predict", "max_new_tokens"];

    /// <summary>
    /// The most tokens of the answer; null where no field says it, and the default of the dialect or model counts. 0 generates nothing,
    /// which warms up the prompt. -1, and Ollama's -2, are no limit. Throws <see cref="ApiException"/> where two fields differ.
    /// </summary>
    public static int? Read(RequestFields fields)
    {
        (string Name, int Most)? first = null;
        foreach (var name in Names)
        {
            if (One(fields, name) is not { } most)
                continue;
            if (first is { } other && other.Most != most)
                throw ApiException.BadField(other.Name, $"differs from {name}; give one of them");
            first ??= (name, most);
        }
        return first?.Most;
    }

    private static int? One(RequestFields fields, string name)
    {
        if (fields.Find(name) is not { } value)
            return null;
        return RequestFields.WholeOf(value) is >= -2 and <= int.MaxValue and var most
            ? most < 0 ? int.MaxValue : (int)most
            : throw ApiException.BadField(fields.FullName(name),
                $"must be a whole number from 0 to {int.MaxValue}, or -1 for no limit, not {RequestFields.Describe(value)}");
    }
}
