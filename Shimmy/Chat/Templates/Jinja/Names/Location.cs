namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>Where a variable is at run time.</summary>
/// <param name="Hops">How many functions outwards; 0 is the running one.</param>
/// <param name="Slot">Its slot there.</param>
internal readonly record struct Location(int Hops, int Slot);
