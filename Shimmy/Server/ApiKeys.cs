using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Shimmy.Api;

namespace Shimmy.Server;

/// <summary>
/// Lets in whom a key lets in: <c>Authorization: Bearer</c> or <c>x-api-key</c>. Without configured keys any is accepted, since clients insist
/// on sending one. Comparing takes the same time whatever is wrong.
/// </summary>
internal sealed class ApiKeys(IReadOnlyList<string> keys)
{
    private readonly byte[][] _hashes = [.. keys.Select(key => SHA256.HashData(Encoding.UTF8.GetBytes(key)))];

    /// <summary>Lets the request through, or throws <see cref="ApiException"/> (401). <c>/health</c> needs no key.</summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (_hashes.Length == 0 || context.Request.Path == "/health")
            return next(context);
        var given = KeyOf(context.Request.Headers);
        if (given is null)
            throw new ApiException(401, "an API key is needed: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'", "missing_api_key");
        if (!IsKnown(given))
            throw new ApiException(401, "the API key is not one of this server's", "invalid_api_key");
        return next(context);
    }

    private bool IsKnown(string key)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        var known = false;
        foreach (var one in _hashes)
            known |= CryptographicOperations.FixedTimeEquals(one, hash);
        return known;
    }

    private static string? KeyOf(IHeaderDictionary headers)
    {
        const string scheme = "Bearer ";
        var authorization = headers.Authorization.ToString();
        return authorization.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)
            ? authorization[scheme.Length..].Trim()
            : headers.TryGetValue("x-api-key", out var key) ? key.ToString() : null;
    }
}
