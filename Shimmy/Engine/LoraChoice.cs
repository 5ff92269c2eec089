namespace Shimmy.Engine;

/// <summary>One adapter that a request wants to act on its answer.</summary>
/// <param name="Id">The adapter's <see cref="AdapterFacts.Id"/>; null where it is named.</param>
/// <param name="Name">The adapter's <see cref="AdapterFacts.Name"/>; null where it is given by id.</param>
/// <param name="Scale">Strength; 1 is the adapter as trained, 0 leaves the model as it is.</param>
public readonly record struct LoraChoice(int? Id, string? Name, float Scale);
