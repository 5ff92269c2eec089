using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Models.Registry;

namespace Shimmy.Http;

/// <summary>
/// How the middleware treats the requests of a route. Given where the route is mapped, else by its <see cref="Dialect"/>.
/// </summary>
[Flags]
internal enum RoutePolicy
{
    /// <summary>A route like most: key required, logged, refused while the server drains, not recorded.</summary>
    None = 0,

    /// <summary>No API key is required.</summary>
    Open = 1,

    /// <summary>Polled all the time: logged at debug level, not counted in the metrics.</summary>
    Quiet = 2,

    /// <summary>Answered while the server drains, without a deadline, and not waited for.</summary>
    DuringDrain = 4,

    /// <summary>A WebSocket: each message is a request with a log line and a deadline of its own. Cannot be recorded or replayed.</summary>
    Socket = 8,

    /// <summary>Recorded by <c>--record</c>, answered by <c>--replay</c>.</summary>
    Recorded = 16,
}

/// <summary>
/// The routes and their handlers. A pattern is a path, or a path with one <c>{parameter}</c>, which takes any text, slashes
/// included, because names of models have them. The framework's own routing does much more and is a tenth of the executable.
/// </summary>
internal sealed class RouteTable
{
    // What people type behind an address that has a path already, or leave out.
    private static readonly string[] Surplus =
        ["v1", "api", "openai", "anthropic", "chat", "completions", "messages", "responses", "embeddings", "models"];

    private readonly List<Route> _routes = [];
    private readonly List<Dialect> _dialects = [];

    /// <summary>The methods that each pattern takes.</summary>
    public IReadOnlyList<(IReadOnlyList<string> Methods, string Pattern)> Routes =>
        [.. _routes.GroupBy(route => route.Pattern)
            .Select(group => ((IReadOnlyList<string>)[.. group.Select(route => route.Method).Distinct()], group.Key))];

    /// <summary>The routes that have a name, for <c>/health</c>.</summary>
    public IEnumerable<(string Name, string Pattern)> Endpoints =>
        _routes.Where(route => route.Name is not null).Select(route => (route.Name!, route.Pattern)).Distinct();

    /// <summary>The dialects, in the order in which they were added.</summary>
    public IReadOnlyList<Dialect> Dialects => _dialects;

    /// <summary>The dialect whose errors all routes have; null leaves each route its own.</summary>
    public Dialect? ForcedDialect { get; init; }

    /// <summary>Adds a dialect with its endpoints, each of which maps its own routes.</summary>
    public void Add(Dialect dialect, params ReadOnlySpan<Action<RouteTable>> endpoints)
    {
        _dialects.Add(dialect);
        foreach (var map in endpoints)
            map(this);
    }

    /// <summary>Maps POST.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handle">The handler.</param>
    /// <param name="policy">Its policy; null for that of the dialect.</param>
    /// <param name="asked">Which requests it takes by their header; null for all.</param>
    /// <param name="askedInBody">
    /// Which requests it takes by their body, where no other route takes them by the header; null for none. The path must have another
    /// route, for the others.
    /// </param>
    /// <param name="name">The name by which <c>/health</c> lists it; null leaves it out.</param>
    public void MapPost(string pattern, RequestDelegate handle, RoutePolicy? policy = null, Func<HttpRequest, bool>? asked = null,
        Func<JsonElement, bool>? askedInBody = null, string? name = null) =>
        _routes.Add(new Route(HttpMethods.Post, pattern, handle, policy)
        {
            Name = name,
            Asked = asked,
            AskedInBody = askedInBody,
            Dialect = _dialects.LastOrDefault(),
        });

    /// <summary>Maps GET and HEAD of a path in place of another dialect's route.</summary>
    public void MapInstead(string pattern, RequestDelegate handle, RoutePolicy policy) =>
        MapRead(pattern, handle, policy, asked: _ => true);

    /// <summary>Maps GET, and HEAD with it, as RFC 9110 (9.1) asks of every server; Kestrel leaves out the body.</summary>
    /// <param name="pattern">The path.</param>
    /// <param name="handle">The handler.</param>
    /// <param name="policy">Its policy; null for that of the dialect.</param>
    /// <param name="takes">Which values the pattern's parameter takes; null for all.</param>
    /// <param name="asked">
    /// Which requests it takes; null for all. Two dialects may have one path, whose clients are distinguished by a header.
    /// </param>
    /// <param name="name">The name by which <c>/health</c> lists it; null leaves it out.</param>
    public void MapRead(string pattern, RequestDelegate handle, RoutePolicy? policy = null,
        Func<string, bool>? takes = null, Func<HttpRequest, bool>? asked = null, string? name = null)
    {
        foreach (var method in (string[])[HttpMethods.Get, HttpMethods.Head])
        {
            _routes.Add(new Route(method, pattern, handle, policy)
            {
                Name = name,
                Takes = takes,
                Asked = asked,
                Dialect = _dialects.LastOrDefault(),
            });
        }
    }

    /// <summary>
    /// Maps one method of a pattern; without a policy it has that of the dialect, without a name <c>/health</c> leaves it out.
    /// </summary>
    public void Map(string method, string pattern, RequestDelegate handle, RoutePolicy? policy = null, Func<string, bool>? takes = null,
        string? name = null) =>
        _routes.Add(new Route(method, pattern, handle, policy) { Name = name, Takes = takes, Dialect = _dialects.LastOrDefault() });

    /// <summary>
    /// Finds the route of a request: a path before one with a parameter, and the longest pattern of those. Letter case and a slash at the
    /// end make no difference. A path that has no route is tried as people mistype the address of a server, and corrected in the request
    /// where it has one then. Never throws: a request without a route still has a dialect and a policy.
    /// </summary>
    public RouteMatch Match(HttpRequest request)
    {
        var path = request.Path.Value ?? "";
        var match = Find(request, path);
        if (match.IsFound)
            return match;
        foreach (var meant in MeantBy(path))
        {
            if (Find(request, meant) is not { IsFound: true } found)
                continue;
            request.Path = meant;
            return found;
        }
        return match;
    }

    // The path without slashes that are too many, without one or more words at its beginning, each with /v1 before it or without.
    private static IEnumerable<string> MeantBy(string path)
    {
        var words = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        // What lies below /api/models is the native dialect's own; there a wrong word is a wrong word.
        if (words is ["api", "models", ..])
            yield break;
        if (words is [.., "healthz"])
            words[^1] = "health";
        if (words is [.., "reranking"])
            words[^1] = "rerank";
        for (var from = 0; from < words.Length; from++)
        {
            var rest = "/" + string.Join('/', words[from..]);
            // What is meant by /openai/completions is OpenAI's route, and by /v1/chat/completion not llama-server's /completion.
            yield return "/v1" + rest;
            if (from == 0 || words[from - 1] != "chat")
                yield return rest;
            if (!Surplus.Contains(words[from], StringComparer.OrdinalIgnoreCase))
                break;
        }
    }

    /// <summary>Whether a path has a route for a method, as it is written.</summary>
    public bool Has(string method, string path) => _routes.Any(route => route.Method == method && route.Fits(path));

    private RouteMatch Find(HttpRequest request, string path)
    {
        path = path.Length > 1 ? path.TrimEnd('/') : path;
        Route? best = null;
        Route? ofOtherMethod = null;
        Route? byBody = null;
        SortedSet<string>? others = null;
        foreach (var route in _routes)
        {
            if (!route.Fits(path))
                continue;
            if (route.Asked?.Invoke(request) == false)
            {
                byBody = route.AskedInBody is not null && route.Method.Equals(request.Method, StringComparison.OrdinalIgnoreCase)
                    ? route
                    : byBody;
                continue;
            }
            if (route.Method.Equals(request.Method, StringComparison.OrdinalIgnoreCase))
            {
                best = best is null || route.Rank > best.Rank ? route : best;
                continue;
            }
            (others ??= new SortedSet<string>(StringComparer.Ordinal)).Add(route.Method);
            ofOtherMethod = ofOtherMethod is null || route.Rank > ofOtherMethod.Rank ? route : ofOtherMethod;
        }
        var dialect = (best ?? ofOtherMethod)?.Dialect ?? DialectOf(path);
        return new RouteMatch(ForcedDialect ?? dialect, (best ?? ofOtherMethod)?.Policy ?? dialect.Policy)
        {
            Pattern = best?.Pattern,
            Handle = best?.Handle,
            Parameter = best?.Parameter is { } name ? (name, best.ValueIn(path)) : null,
            OtherMethods = others ?? (IReadOnlyCollection<string>)[],
            ByBody = byBody?.AskedInBody is { } asks
                ? (asks, new RouteMatch(byBody.Dialect!, byBody.Policy ?? byBody.Dialect!.Policy)
                {
                    Pattern = byBody.Pattern,
                    Handle = byBody.Handle,
                })
                : null,
        };
    }

    /// <summary>
    /// Calls the handler of the route that the request was matched with. Throws <see cref="ApiException"/>: 404 where no pattern fits, 405
    /// (and the header Allow) where one does that does not take the method.
    /// </summary>
    public async Task InvokeAsync(HttpContext context)
    {
        var log = RequestContext.Of(context);
        var match = log.Match!;
        log.Route = match.Pattern;
        if (match.Handle is not null && match.ByBody is { } other && other.Asks(await RequestFields.PeekAsync(context)))
            log.Match = match = other.Route;
        if (match.Handle is { } handle)
        {
            if (match.Parameter is { } parameter)
                context.Request.RouteValues[parameter.Name] = parameter.Value;
            await handle(context).ConfigureAwait(false);
            return;
        }
        if (match.OtherMethods.Count == 0)
        {
            var path = context.Request.Path.Value ?? "";
            var nearest =
                NameSuggestions.Of(path, _routes.Select(route => route.Pattern).Distinct().Where(pattern => pattern != "/"), 1)[0];
            throw new ApiException(404,
                $"there is no route {context.Request.Method} {path}; the nearest is {nearest}, and GET /health lists the endpoints",
                "route_not_found");
        }

        var allowed = string.Join(", ", match.OtherMethods);
        context.Response.Headers.Allow = allowed;
        throw new ApiException(405, $"the method {context.Request.Method} is not allowed for {context.Request.Path}; allowed: {allowed}",
            "method_not_allowed");
    }

    /// <summary>The dialect of a path, whether it has a route or not.</summary>
    public Dialect DialectOf(PathString path)
    {
        var best = ForcedDialect;
        if (best is not null)
            return best;
        foreach (var dialect in _dialects)
        {
            if (path.StartsWithSegments(dialect.Prefix) && (best is null || dialect.Prefix.Length > best.Prefix.Length))
                best = dialect;
        }
        return best!;
    }

    private sealed class Route
    {
        private readonly string _before;
        private readonly string _after = "";

        public Route(string method, string pattern, RequestDelegate handle, RoutePolicy? policy)
        {
            (Method, Pattern, Handle, Policy, _before) = (method, pattern, handle, policy, pattern);
            if (pattern.IndexOf('{', StringComparison.Ordinal) is >= 0 and var open)
            {
                var close = pattern.IndexOf('}', open);
                (_before, Parameter, _after) = (pattern[..open], pattern[(open + 1)..close], pattern[(close + 1)..]);
            }
        }

        public string Method { get; }

        public string Pattern { get; }

        public RequestDelegate Handle { get; }

        public RoutePolicy? Policy { get; }

        public string? Name { get; init; }

        public string? Parameter { get; }

        public Func<string, bool>? Takes { get; init; }

        public Func<HttpRequest, bool>? Asked { get; init; }

        public Func<JsonElement, bool>? AskedInBody { get; init; }

        public Dialect? Dialect { get; init; }

        // Of two routes with one path, the one that asks for more comes first.
        public int Rank => (Parameter is null ? 1_000_000 : 2 * (_before.Length + _after.Length)) + (Asked is null ? 0 : 1);

        public bool Fits(string path) => Parameter is null
            ? path.Equals(_before, StringComparison.OrdinalIgnoreCase)
            : path.Length > _before.Length + _after.Length
                && path.StartsWith(_before, StringComparison.OrdinalIgnoreCase)
                && path.EndsWith(_after, StringComparison.OrdinalIgnoreCase)
                && Takes?.Invoke(ValueIn(path)) != false;

        public string ValueIn(string path) => path[_before.Length..^_after.Length];
    }
}

/// <summary>The route of a request, or the lack of one.</summary>
/// <param name="Dialect">The dialect of its path.</param>
/// <param name="Policy">How the middleware treats it: the policy of the route, of the same path's for other methods, or of the
/// dialect.</param>
internal sealed record RouteMatch(Dialect Dialect, RoutePolicy Policy)
{
    /// <summary>The pattern that was mapped; null where no route takes the request.</summary>
    public string? Pattern { get; init; }

    /// <summary>The handler; null where no route takes the request.</summary>
    public RequestDelegate? Handle { get; init; }

    /// <summary>Name and value of the pattern's parameter; null where it has none.</summary>
    public (string Name, string Value)? Parameter { get; init; }

    /// <summary>Another route of the path and method, for requests whose body asks for it; null where there is none.</summary>
    public (Func<JsonElement, bool> Asks, RouteMatch Route)? ByBody { get; init; }

    /// <summary>Methods that the path takes, without the request's own, by name.</summary>
    public IReadOnlyCollection<string> OtherMethods { get; init; } = [];

    /// <summary>Whether there is such a path, be it for another method.</summary>
    public bool IsFound => Handle is not null || OtherMethods.Count > 0;

    /// <summary>Whether the policy has a flag.</summary>
    public bool Is(RoutePolicy flag) => (Policy & flag) != 0;

    /// <summary>Whether a request for this route asks to become a WebSocket.</summary>
    public bool OpensSocket(HttpRequest request) => Is(RoutePolicy.Socket) && request.Headers.Upgrade.Count > 0;
}
