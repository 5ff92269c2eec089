namespace Shimmy.Tests.Models.Gguf;

internal static class StreamExtensions
{
    public static Stream Rewound(this Stream stream)
    {
        stream.Position = 0;
        return stream;
    }
}
