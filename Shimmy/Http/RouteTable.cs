using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// The routes and the handlers behind them. A pattern is a path, or a path with one <c>{parameter}</c>, which takes any text, slashes
/// included, because names of models have them. The framework's own routing does much more and is a tenth of the executable.
/// </summary>
internal sealed class RouteTable
{
    private readonly List<Route> _routes = [];

    /// <summary>The methods that each pattern takes.</summary>
    public IReadOnlyList<(IReadOnlyList<string> Methods, string Pattern)> Routes =>
        [.. _routes.GroupBy(route => route.Pattern).Select(group => ((IReadOnlyList<string>)[.. group.Select(route => route.Method)], group.Key))];

    /// <summary>Maps a path that is posted to.</summary>
    public void MapPost(string pattern, RequestDelegate handle) => Map(HttpMethods.Post, pattern, handle);

    /// <summary>Maps GET, and HEAD with it, as RFC 9110 (9.1) asks of every server; Kestrel leaves out the body.</summary>
    public void MapRead(string pattern, RequestDelegate handle)
    {
        Map(HttpMethods.Get, pattern, handle);
        Map(HttpMethods.Head, pattern, handle);
    }

    /// <summary>Maps one method of a pattern.</summary>
    public void Map(string method, string pattern, RequestDelegate handle) => _routes.Add(new Route(method, pattern, handle));

    /// <summary>
    /// Answers with the route that fits best: a path before one with a parameter, and the longest pattern of those. Letter case and a slash
    /// at the end make no difference. Throws <see cref="ApiException"/>: 404 where no pattern fits, 405 (and the header Allow) where one
    /// does that does not take the method.
    /// </summary>
    public Task InvokeAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "";
        path = path.Length > 1 ? path.TrimEnd('/') : path;
        Route? best = null;
        var others = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var route in _routes)
        {
            if (!route.Fits(path))
                continue;
            if (!route.Method.Equals(context.Request.Method, StringComparison.OrdinalIgnoreCase))
                others.Add(route.Method);
            else if (best is null || route.Rank > best.Rank)
                best = route;
        }
        if (best is not null)
        {
            RequestContext.Of(context).Route = best.Pattern;
            if (best.Parameter is { } name)
                context.Request.RouteValues[name] = best.ValueIn(path);
            return best.Handle(context);
        }
        if (others.Count == 0)
            throw new ApiException(404, $"there is no route {context.Request.Method} {context.Request.Path}; GET /health names those that there are", "route_not_found");
        var allowed = string.Join(", ", others);
        context.Response.Headers.Allow = allowed;
        throw new ApiException(405, $"{context.Request.Method} is not what {context.Request.Path} takes; it takes {allowed}", "method_not_allowed");
    }

    private sealed class Route
    {
        private readonly string _before;
        private readonly string _after = "";

        public Route(string method, string pattern, RequestDelegate handle)
        {
            (Method, Pattern, Handle, _before) = (method, pattern, handle, pattern);
            if (pattern.IndexOf('{', StringComparison.Ordinal) is >= 0 and var open)
            {
                var close = pattern.IndexOf('}', open);
                (_before, Parameter, _after) = (pattern[..open], pattern[(open + 1)..close], pattern[(close + 1)..]);
            }
        }

        public string Method { get; }

        public string Pattern { get; }

        public RequestDelegate Handle { get; }

        public string? Parameter { get; }

        public int Rank => Parameter is null ? int.MaxValue : _before.Length + _after.Length;

        public bool Fits(string path) => Parameter is null
            ? path.Equals(_before, StringComparison.OrdinalIgnoreCase)
            : path.Length > _before.Length + _after.Length
                && path.StartsWith(_before, StringComparison.OrdinalIgnoreCase) && path.EndsWith(_after, StringComparison.OrdinalIgnoreCase);

        public string ValueIn(string path) => path[_before.Length..^_after.Length];
    }
}
