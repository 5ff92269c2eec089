using System.Net.Sockets;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

[TestClass]
[TestCategory("Unit")]
public sealed class UnixSocketTests
{
    [TestMethod]
    public async Task The_server_answers_on_a_socket_and_leaves_nothing_behind()
    {
        using var folder = new TemporaryFolder();
        var path = folder["shimmy.sock"];
        await using (var server = await ServerFixture.StartAsync(options: new ServerOptions { Bind = "unix:" + path }))
        {
            Assert.AreEqual("unix:" + path, server.Server.Address.ToString());
            using var client = ClientOf(path);
            // Whatever the host is called: there is no web page behind a socket.
            Assert.Contains("talker", await client.GetStringAsync("http://shimmy.example/v1/models"));

            // A second server does not take it away.
            var error =
                await Assert.ThrowsAsync<IOException>(() => ServerFixture.StartAsync(options: new ServerOptions { Bind = "unix:" + path }));
            Assert.Contains("another server listens on it", error.Message);
            Assert.Contains("talker", await client.GetStringAsync("http://localhost/v1/models"));
        }
        Assert.IsFalse(File.Exists(path));
    }

    [TestMethod]
    public async Task A_socket_of_a_server_that_is_gone_is_replaced_and_a_file_is_not()
    {
        using var folder = new TemporaryFolder();
        var path = folder["shimmy.sock"];
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(path));
            // .NET removes the file of a socket it closes; a killed process does not.
            File.Move(path, path + ".kept");
        }
        File.Move(path + ".kept", path);
        await using (await ServerFixture.StartAsync(options: new ServerOptions { Bind = "unix:" + path }))
        {
            using var client = ClientOf(path);
            Assert.Contains("talker", await client.GetStringAsync("http://localhost/v1/models"));
        }

        foreach (var content in new[] { "precious", "" })
        {
            File.WriteAllText(path, content);
            await Assert.ThrowsAsync<IOException>(() => ServerFixture.StartAsync(options: new ServerOptions { Bind = "unix:" + path }));
            Assert.AreEqual(content, File.ReadAllText(path));
        }
    }

    [TestMethod]
    public void A_path_that_is_too_long_is_refused()
    {
        var error = Assert.ThrowsExactly<FormatException>(() => BindAddress.Parse("unix:/" + new string('x', 200)));
        Assert.Contains("cannot be a socket", error.Message);
    }

    private static HttpClient ClientOf(string path) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    });
}
