namespace Shimmy.Engine;

/// <summary>A LoRA adapter that a loaded model has.</summary>
/// <param name="Id">Its number, from 0, by which requests may choose it.</param>
/// <param name="Name">Its file's name without the ending, by which requests may choose it.</param>
/// <param name="Path">Full path of its file.</param>
/// <param name="Scale">Its strength where a request does not say; 0 does nothing.</param>
public sealed record AdapterFacts(int Id, string Name, string Path, float Scale);
