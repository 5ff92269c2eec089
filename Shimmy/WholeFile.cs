namespace Shimmy;

/// <summary>Small files that others may read while they are written anew.</summary>
internal static class WholeFile
{
    /// <summary>
    /// Writes a file beside its place and moves it there, so that a reader finds the old or the new one and never a part of one. Not forced
    /// to the disk: a machine that fails may lose it.
    /// </summary>
    /// <param name="path">The file; its folder must be there.</param>
    /// <param name="content">All of its bytes.</param>
    /// <param name="ending">How the file ends while it is written.</param>
    public static void Write(string path, byte[] content, string ending = ".part")
    {
        // Other processes may write it, too.
        var part = $"{path}.{Environment.ProcessId}{ending}";
        try
        {
            File.WriteAllBytes(part, content);
            File.Move(part, path, overwrite: true);
        }
        catch
        {
            try
            {
                File.Delete(part);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // What went wrong first is told.
            }
            throw;
        }
    }
}
