using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Shimmy.Api;

namespace Shimmy.Server;

/// <summary>
/// Lets in whom a key lets in: <c>Authorization: Bearer</c> or <c>x-api-key</c>. Without configured keys any is accepted, since clients insist
/// on sending one. Comparing takes the same time whatever is wrong.
/// </summary>
internal sealed class ApiKeys(IReadOnlyList<ClientKey> keys)
{
    /// <summary>Lets the request through, or throws <see cref="ApiException"/> (401). <c>/health</c> needs no key.</summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (keys.Count == 0 || context.Request.Path == "/health")
            return next(context);
        var given = KeyOf(context.Request.Headers);
        if (given is null)
            throw new ApiException(401, "an API key is needed: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'", "missing_api_key");
        RequestLog.Of(context).Client = Find(given) ?? throw new ApiException(401, "the API key is not one of this server's", "invalid_api_key");
        return next(context);
    }

    // All are compared, whichever it is.
    private ClientKey? Find(string key)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        ClientKey? found = null;
        foreach (var one in keys)
            found = CryptographicOperations.FixedTimeEquals(one.Hash, hash) ? one : found;
        return found;
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
