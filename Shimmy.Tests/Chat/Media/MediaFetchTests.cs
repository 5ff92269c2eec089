using System.Net;
using System.Net.Sockets;
using System.Text;
using Shimmy.Chat.Media;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Media;

/// <summary>Pictures by URL come from the hosts that were allowed, and from nowhere inside.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MediaFetchTests
{
    [TestMethod]
    [DataRow("8.8.8.8", true)]
    [DataRow("127.0.0.1", false)]
    [DataRow("10.1.2.3", false)]
    [DataRow("172.16.0.1", false)]
    [DataRow("172.32.0.1", true)]
    [DataRow("192.168.1.1", false)]
    [DataRow("169.254.169.254", false)]
    [DataRow("100.64.0.1", false)]
    [DataRow("0.0.0.0", false)]
    [DataRow("224.0.0.1", false)]
    [DataRow("::1", false)]
    [DataRow("::ffff:10.0.0.1", false)]
    [DataRow("fe80::1", false)]
    [DataRow("fd00::1", false)]
    [DataRow("2002:0a00:0001::", false)]
    [DataRow("2606:4700::1111", true)]
    public void Private_addresses_are_known(string address, bool isPublic) =>
        Assert.AreEqual(isPublic, MediaFetch.IsPublic(IPAddress.Parse(address)));

    [TestMethod]
    public async Task A_file_is_read_in_the_one_folder_alone()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["pictures/of"]);
        File.WriteAllText(folder["pictures/of/a b.png"], "a");
        File.WriteAllText(folder["secret"], "s");
        var fetch = new MediaFetch([], folder: folder["pictures"]);

        foreach (var url in (string[])["file://of/a%20b.png", "file:////of//a%20b.png", "file:///of/a%20b.png"])
            CollectionAssert.AreEqual("a"u8.ToArray(), await fetch.GetAsync(new Uri(url), CancellationToken.None), url);
        foreach (var url in (string[])["file:///../secret", "file:///%2e%2e/secret", "file:///of/../../secret", "file:///none.png",
            "file:///", "file:///" + folder["secret"]])
        {
            Assert.Contains("the media folder", (await Assert.ThrowsExactlyAsync<FormatException>(
                () => fetch.GetAsync(new Uri(url), CancellationToken.None), url)).Message);
        }
        File.WriteAllText(folder["pictures/empty"], "");
        Assert.Contains("is empty", (await Assert.ThrowsExactlyAsync<FormatException>(
            () => fetch.GetAsync(new Uri("file:///empty"), CancellationToken.None))).Message);
        Assert.Contains("not read by this server", (await Assert.ThrowsExactlyAsync<FormatException>(
            () => new MediaFetch([]).GetAsync(new Uri("file:///of/a.png"), CancellationToken.None))).Message);
    }

    [TestMethod]
    public void Only_listed_hosts_are_asked()
    {
        var fetch = new MediaFetch(["images.example.org", "other.example.org:8080"]);
        Assert.IsNull(fetch.WhyNot(new Uri("https://images.example.org/a.png")));
        Assert.IsNull(fetch.WhyNot(new Uri("http://other.example.org:8080/a.png")));
        foreach (var url in (string[])["http://images.example.org:81/a.png", "http://example.org/a.png", "ftp://images.example.org/a.png",
            "http://user@images.example.org/a.png", "http://images.example.org.evil.test/a.png"])
        {
            Assert.Contains("--media-urls", fetch.WhyNot(new Uri(url))!);
        }
        Assert.Contains("--media-urls", new MediaFetch([]).WhyNot(new Uri("https://images.example.org/a.png"))!);
    }

    [TestMethod]
    public async Task A_host_with_a_private_address_is_not_asked() =>
        Assert.Contains("private address", (await Assert.ThrowsExactlyAsync<FormatException>(() =>
            new MediaFetch(["localhost"]).GetAsync(new Uri("http://localhost/a.png"), CancellationToken.None))).Message);

    [TestMethod]
    public async Task A_picture_is_fetched_and_a_redirect_goes_to_listed_hosts_alone()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var serving = ServeAsync(listener);
        var fetch = new MediaFetch([$"127.0.0.1:{port}"], _ => true);

        CollectionAssert.AreEqual(Pictures.Row, await fetch.GetAsync(new Uri($"http://127.0.0.1:{port}/picture"), CancellationToken.None));
        CollectionAssert.AreEqual(Pictures.Row, await fetch.GetAsync(new Uri($"http://127.0.0.1:{port}/moved"), CancellationToken.None));
        foreach (var (path, reason) in (ValueTuple<string, string>[])[("/elsewhere", "--media-urls"), ("/missing", "status 404"), ("/loop", "redirected"),
            ("/cut", "cut off")])
        {
            Assert.Contains(reason, (await Assert.ThrowsExactlyAsync<FormatException>(() =>
                fetch.GetAsync(new Uri($"http://127.0.0.1:{port}{path}"), CancellationToken.None))).Message);
        }
        // Of one request, each URL once: also one that has failed.
        var fetches = new MediaFetches(fetch, CancellationToken.None);
        var picture = new Uri($"http://127.0.0.1:{port}/picture");
        Assert.AreSame(await fetches.GetAsync(picture), await fetches.GetAsync(new Uri(picture.AbsoluteUri)));
        var missing = new Uri($"http://127.0.0.1:{port}/missing");
        var why = (await Assert.ThrowsExactlyAsync<FormatException>(() => fetches.GetAsync(missing))).Message;
        listener.Stop();
        Assert.AreEqual(why, (await Assert.ThrowsExactlyAsync<FormatException>(() => fetches.GetAsync(missing))).Message);
        // All within the time of a request.
        using (var over = new CancellationTokenSource())
        {
            over.Cancel();
            Assert.Contains("all media of a request", (await Assert.ThrowsExactlyAsync<FormatException>(() =>
                fetch.GetAsync(new Uri($"http://127.0.0.1:{port}/picture"), CancellationToken.None, over.Token))).Message);
        }
        await serving;
    }

    private static async Task ServeAsync(TcpListener listener)
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = await listener.AcceptTcpClientAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
            using (client)
            {
                var stream = client.GetStream();
                using var reader = new StreamReader(stream, Encoding.Latin1, leaveOpen: true);
                var path = (await reader.ReadLineAsync())!.Split(' ')[1];
                while (await reader.ReadLineAsync() is { Length: > 0 })
                {
                }
                var head = path switch
                {
                    "/picture" => $"HTTP/1.1 200 OK\r\nContent-Length: {Pictures.Row.Length}\r\n\r\n",
                    "/cut" => $"HTTP/1.1 200 OK\r\nContent-Length: {Pictures.Row.Length + 1}\r\n\r\n",
                    "/moved" => "HTTP/1.1 302 Found\r\nLocation: /picture\r\n\r\n",
                    "/loop" => "HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n",
                    "/elsewhere" => "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\n\r\n",
                    _ => "HTTP/1.1 404 Not Found\r\n\r\n",
                };
                await stream.WriteAsync(Encoding.ASCII.GetBytes(head));
                if (path is "/picture" or "/cut")
                    await stream.WriteAsync(Pictures.Row);
            }
        }
    }
}
