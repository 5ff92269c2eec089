using System.Net;
using System.Net.Sockets;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

[TestClass]
[TestCategory("Unit")]
public sealed class BindAddressTests
{
    [TestMethod]
    [DataRow("8080", "127.0.0.1:8080")]
    [DataRow("0", "127.0.0.1:0")]
    [DataRow("localhost:1", "127.0.0.1:1")]
    [DataRow("*:65535", "0.0.0.0:65535")]
    [DataRow("0.0.0.0:80", "0.0.0.0:80")]
    [DataRow("[::1]:80", "[::1]:80")]
    [DataRow("[::]:80", "[::]:80")]
    [DataRow("unix:/tmp/shimmy.sock", "/tmp/shimmy.sock")]
    public void An_address_is_read(string text, string endpoint) => Assert.AreEqual(endpoint, BindAddress.Parse(text).ToString());

    [TestMethod]
    [DataRow("")]
    [DataRow(":")]
    [DataRow("65536")]
    [DataRow("-1")]
    [DataRow("1e3")]
    [DataRow("http://localhost:80")]
    [DataRow("example.com:80")]
    [DataRow("::1:80")]
    [DataRow("::1")]
    [DataRow(":80")]
    [DataRow("127.0.0.1:")]
    [DataRow("unixx:/tmp/shimmy.sock")]
    public void What_is_no_address_is_said(string text)
    {
        var error = Assert.ThrowsExactly<FormatException>(() => BindAddress.Parse(text));
        Assert.Contains("to listen on", error.Message);
    }

    [TestMethod]
    public void Auto_takes_the_variable_or_goes_from_port_to_port()
    {
        Assert.AreEqual("0.0.0.0:99", BindAddress.Candidates(["auto"], name => name == "SHIMMY_BIND_ADDRESS" ? "*:99" : null)
            .Single().Endpoints.Single().ToString());
        var choices = BindAddress.Candidates(["auto"], _ => null);
        Assert.IsTrue(choices.SelectMany(choice => choice.Endpoints).All(one => IPAddress.IsLoopback(((IPEndPoint)one).Address)));
        var ports = choices.Select(choice => (IPEndPoint)choice.Endpoints[0]).ToArray();
        CollectionAssert.AreEqual(Enumerable.Range(11435, 101).Append(0).ToArray(), ports.Select(one => one.Port).ToArray());
        // What was asked for by name is tried alone.
        Assert.AreEqual("127.0.0.1:5", BindAddress.Candidates(["5"], _ => "6").Single().Endpoints[0].ToString());
    }

    [TestMethod]
    public async Task A_port_that_is_taken_or_an_address_of_another_machine_is_named()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        foreach (var bind in new[] { taken.LocalEndpoint.ToString()!, "203.0.113.1:8080" })
        {
            var error = await Assert.ThrowsAsync<IOException>(() => ServerFixture.StartAsync(options: new ServerOptions { Bind = bind }));
            Assert.Contains(bind, error.Message);
        }
    }

    [TestMethod]
    public async Task Listening_for_everybody_without_a_key_is_warned_of()
    {
        var log = new CapturedLog();
        await using (var server =
            await ServerFixture.StartAsync(options: new ServerOptions { Bind = "*:0", Keys = ApiKeyFile.Read(["key"]) }, loggers: log))
        {
            Assert.AreEqual("127.0.0.1", server.Server.Address.Host);
        }

        Assert.IsEmpty(log.Lines);
        await using (await ServerFixture.StartAsync(options: new ServerOptions { Bind = "*:0" }, loggers: log))
            Assert.Contains("can be reached from other machines and no API key is set", log.Lines.Single());
    }
}
