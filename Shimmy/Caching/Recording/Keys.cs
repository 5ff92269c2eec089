using System.Text;
using Microsoft.AspNetCore.Http;

namespace Shimmy.Caching.Recording;

/// <summary>
/// Keeps keys out of a recording. Headers are not recorded at all; a key that stands in a text besides (a prompt that quotes it) is blanked there,
/// if it is long enough to be one: <c>none</c> and <c>test</c> are words.
/// </summary>
internal static class Keys
{
    private const int ShortestKey = 16;
    private const string Blank = "[key]";

    /// <summary>The body without the keys that the request came with.</summary>
    public static byte[] Without(byte[] body, HttpRequest request)
    {
        foreach (var key in Of(request))
        {
            if (body.AsSpan().IndexOf(Encoding.UTF8.GetBytes(key)) >= 0)
                body = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(body).Replace(key, Blank, StringComparison.Ordinal));
        }
        return body;
    }

    private static IEnumerable<string> Of(HttpRequest request)
    {
        var authorization = request.Headers.Authorization.ToString();
        return new[] { authorization[(authorization.IndexOf(' ', StringComparison.Ordinal) + 1)..].Trim(), request.Headers["x-api-key"].ToString() }
            .Where(key => key.Length >= ShortestKey);
    }
}
