namespace Shimmy.Models.Discovery;

/// <summary>Gives each model a name of its own. Names compare without regard to case.</summary>
internal static class ModelNames
{
    /// <summary>
    /// The first model of a name keeps it; the next is <c>origin/name</c>, then <c>origin/name:QUANTIZATION</c>, then numbered.
    /// </summary>
    public static IReadOnlyList<ModelEntry> MakeUnique(IReadOnlyList<ModelEntry> models)
    {
        var taken = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        return [.. models.Select(model => model with { Name = Possible(model).First(taken.Add) })];
    }

    /// <summary>The names that a model may have, the best first; endless.</summary>
    public static IEnumerable<string> Possible(ModelEntry model)
    {
        yield return model.Name;
        string qualified = $"{model.Origin}/{model.Name}";
        yield return qualified;
        yield return $"{qualified}:{model.Quantization}";
        for (int number = 2; ; number++)
        {
            yield return $"{qualified}-{number}";
        }
    }
}
