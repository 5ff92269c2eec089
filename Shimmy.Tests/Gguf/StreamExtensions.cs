namespace Shimmy.Tests.Gguf;

internal static class StreamExtensions
{
    public static Stream Rewound(this Stream stream)
    {
        stream.Position = 0;
        return stream;
    }
}
