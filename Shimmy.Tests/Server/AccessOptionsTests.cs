using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>Kind: who may come in, and where the server listens. What is refused names the option that lets it in.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class AccessOptionsTests
{
    [TestMethod]
    [DataRow("llm.example.com", "llm.example.com", true)]
    [DataRow("llm.example.com", "LLM.example.com:11435", true)]
    [DataRow("*.example.com", "a.example.com", true)]
    [DataRow("*.example.com", "example.com.evil.net", false)]
    [DataRow("a.net b.net", "b.net", true)]
    [DataRow("*", "anything.at.all", true)]
    [DataRow("llm.example.com:8080", "llm.example.com", true)]
    public async Task Allow_host_lets_a_name_in(string allowed, string host, bool works)
    {
        var options = Serve("--allow-host", allowed).Server;
        await using var server = await ServerFixture.StartAsync(options: options);
        Assert.AreEqual(works ? HttpStatusCode.OK : HttpStatusCode.Forbidden, await StatusAsync(server, "health", ("Host", host)));
    }

    [TestMethod]
    public async Task The_machines_own_name_is_let_in_and_the_refusal_names_the_option()
    {
        await using var server = await ServerFixture.StartAsync();
        foreach (var host in new[] { Environment.MachineName, Environment.MachineName + ".local", "host.docker.internal", "localhost." })
            Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, "health", ("Host", host)), host);
        using var refused = await SendAsync(server, "health", ("Host", "evil.example"));
        Assert.Contains("--allow-host", await refused.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [DataRow("app://obsidian.md", "app://obsidian.md", true)]
    [DataRow("tauri://localhost", "tauri://localhost", true)]
    [DataRow("vscode-webview://*", "vscode-webview://1a2b3c", true)]
    [DataRow("chrome-extension://abcdef", "chrome-extension://abcdef", true)]
    [DataRow("chrome-extension://abcdef", "chrome-extension://fedcba", false)]
    [DataRow("null", "null", true)]
    [DataRow("https://*.example.com", "https://a.example.com", true)]
    [DataRow("https://*.example.com", "https://a.example.org", false)]
    [DataRow("https://a.net/", "https://a.net", true)]
    [DataRow("app://*,https://b.net", "https://b.net", true)]
    public async Task Cors_takes_origins_of_any_scheme(string option, string origin, bool works)
    {
        await using var server = await ServerFixture.StartAsync(options: Serve("--cors", "https://first.net", "--cors", option).Server);
        Assert.AreEqual(works ? HttpStatusCode.OK : HttpStatusCode.Forbidden, await StatusAsync(server, "health", ("Origin", origin)));
    }

    [TestMethod]
    [DataRow("localhost:3000")]
    [DataRow("https://a.net/path")]
    [DataRow("://a.net")]
    [DataRow("https://")]
    public void What_is_no_origin_is_said(string option) =>
        Assert.Contains("--cors: ", Assert.ThrowsExactly<UsageException>(() => Serve("--cors", option)).Message);

    [TestMethod]
    public async Task A_page_that_asks_for_the_private_network_is_answered()
    {
        await using var server = await ServerFixture.StartAsync(options: Serve("--cors", "https://a.net").Server);
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "v1/models");
        foreach (var (name, value) in new[] { ("Origin", "https://a.net"), ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Private-Network", "true") })
        {
            preflight.Headers.TryAddWithoutValidation(name, value);
        }
        using var answer = await server.Client.SendAsync(preflight);
        Assert.AreEqual("true", answer.Headers.GetValues("Access-Control-Allow-Private-Network").Single());
    }

    [TestMethod]
    public async Task This_machine_is_127_0_0_1_and_1_alike()
    {
        if (!Socket.OSSupportsIPv6)
            Assert.Inconclusive("This machine has no IPv6.");
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Bind = $"localhost:{FreePort()}" });
        Assert.AreEqual("127.0.0.1", server.Server.Address.Host);
        using var client = new HttpClient();
        using var answer = await client.GetAsync(new Uri($"http://[::1]:{server.Server.Address.Port}/health"));
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
    }

    [TestMethod]
    public async Task Bind_may_be_given_more_than_once()
    {
        using var folder = new TemporaryFolder();
        await using var server = await ServerFixture.StartAsync(
            options: Serve("--bind", $"127.0.0.1:{FreePort()}", "--bind", $"unix:{folder["s"]}").Server);
        Assert.HasCount(2, server.Server.Addresses);
        Assert.IsTrue(File.Exists(folder["s"]));
        Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, "health"));
    }

    [TestMethod]
    [DataRow("0.0.0.0", "0.0.0.0:11435")]
    [DataRow("*", "0.0.0.0:11435")]
    [DataRow("[::]", "[::]:11435")]
    [DataRow("localhost", "127.0.0.1:11435")]
    [DataRow("0.0.0.0:80", "0.0.0.0:80")]
    public void A_host_without_a_port_works(string text, string first) => Assert.AreEqual(first,
        BindAddress.Candidates(["auto"], name => name == "SHIMMY_BIND_ADDRESS" ? text : null).Single().Endpoints[0].ToString());

    [TestMethod]
    public void Errors_name_what_was_set()
    {
        Assert.StartsWith("SHIMMY_BIND_ADDRESS: 'nonsense'", Assert.ThrowsExactly<FormatException>(() =>
            BindAddress.Candidates(["auto"], _ => "nonsense")).Message);
        Assert.StartsWith("SHIMMY_BIND: 'nonsense'", Assert.ThrowsExactly<UsageException>(() =>
            OptionParser.Parse(ServeCommand, [], name => name == "SHIMMY_BIND" ? "nonsense" : null)).Message);
        Assert.StartsWith("--bind: 'nonsense'", Assert.ThrowsExactly<UsageException>(() => Serve("--bind", "nonsense")).Message);
    }

    [TestMethod]
    [DataRow("warn", LogLevel.Warning)]
    [DataRow("INFO", LogLevel.Information)]
    [DataRow("information", LogLevel.Information)]
    [DataRow("none", LogLevel.None)]
    public void Levels_of_the_log_have_their_short_names(string text, LogLevel level) =>
        Assert.AreEqual(level, Serve("--log-level", text).LogLevel);

    [TestMethod]
    [DataRow("llm/health", HttpStatusCode.OK)]
    [DataRow("llm/v1/models", HttpStatusCode.OK)]
    [DataRow("health", HttpStatusCode.OK)]
    [DataRow("llmx/health", HttpStatusCode.NotFound)]
    public async Task A_base_path_stands_before_the_routes(string path, HttpStatusCode status)
    {
        await using var server = await ServerFixture.StartAsync(options: Serve("--base-path", "/llm/").Server);
        Assert.AreEqual(status, await StatusAsync(server, path));
    }

    [TestMethod]
    public void A_base_path_begins_with_a_slash() =>
        Assert.Contains("--base-path: ", Assert.ThrowsExactly<UsageException>(() => Serve("--base-path", "llm")).Message);

    private static Command ServeCommand => OptionTable.Commands.First(command => command.Is == CommandSet.Serve);

    private static CommandOptions Serve(params string[] arguments) => OptionParser.Parse(ServeCommand, arguments, _ => null);

    private static async Task<HttpStatusCode> StatusAsync(ServerFixture server, string path, params (string Name, string Value)[] headers)
    {
        using var answer = await SendAsync(server, path, headers);
        return answer.StatusCode;
    }

    private static async Task<HttpResponseMessage> SendAsync(
        ServerFixture server, string path, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        return await server.Client.SendAsync(request);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
