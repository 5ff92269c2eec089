namespace Shimmy.Tests.Fixtures;

/// <summary>A folder of its own for one test, gone with it.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("shimmy-test-").FullName;

    /// <summary>The full path of something in it; its folder is made.</summary>
    public string this[string relative]
    {
        get
        {
            var full = System.IO.Path.Combine(Path, relative);
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
            return full;
        }
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
