using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>The page at <c>/</c> and its files, as they are sent.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class PageTests
{
    private static readonly string Files = Path.Combine(Repository.Root, "Shimmy", "Server", "Page", "Files");

    [TestMethod]
    public async Task The_page_is_there_without_a_key_and_allows_nothing_but_its_own_files()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Keys = ApiKeyFile.Read(["secret"]) });

        using var page = await server.Client.GetAsync("");

        Assert.AreEqual(HttpStatusCode.OK, page.StatusCode);
        Assert.AreEqual("text/html; charset=utf-8", page.Content.Headers.ContentType!.ToString());
        var policy = page.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self' 'sha256-", policy);
        // The hash is that of the sheet that stands in the page, which the frame is painted with before any file has come.
        var style = StyleOf(await page.Content.ReadAsStringAsync());
        Assert.AreEqual(await File.ReadAllTextAsync(Path.Combine(Files, "base.css")), style);
        Assert.Contains($"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(style)))}'", policy);
        Assert.DoesNotContain("unsafe", policy);
        Assert.Contains("frame-ancestors 'none'", policy);
        Assert.AreEqual("nosniff", page.Headers.GetValues("X-Content-Type-Options").Single());
        // What it tells of the server needs the key all the same.
        using var events = await server.Client.GetAsync("api/events");
        Assert.AreEqual(HttpStatusCode.Unauthorized, events.StatusCode);
    }

    [TestMethod]
    public async Task Every_file_that_the_page_names_is_there_with_its_type()
    {
        await using var server = await ServerFixture.StartAsync();
        var named = Directory.EnumerateFiles(Files).SelectMany(file => Reference().Matches(File.ReadAllText(file)))
            .Select(match => match.Groups[1].Value).Distinct().ToList();

        Assert.IsGreaterThan(8, named.Count);
        foreach (var name in named)
        {
            using var file = await server.Client.GetAsync("page/" + name);
            Assert.AreEqual(HttpStatusCode.OK, file.StatusCode, name);
            Assert.AreEqual(name.Split('.')[1] switch { "js" => "text/javascript", "css" => "text/css", _ => "image/svg+xml" },
                file.Content.Headers.ContentType!.MediaType, name);
        }
        using var missing = await server.Client.GetAsync("page/nothing.js");
        Assert.AreEqual(HttpStatusCode.NotFound, missing.StatusCode);
    }

    [TestMethod]
    public async Task No_markup_of_the_page_holds_a_script_or_a_style_and_none_of_its_scripts_makes_markup()
    {
        await using var server = await ServerFixture.StartAsync();
        var html = await server.Client.GetStringAsync("");
        Assert.DoesNotMatchRegex(Inline(), html.Replace($"<style>{StyleOf(html)}</style>", "", StringComparison.Ordinal));

        foreach (var file in Directory.EnumerateFiles(Files, "*.js"))
            Assert.DoesNotMatchRegex(Markup(), await File.ReadAllTextAsync(file), Path.GetFileName(file));
    }

    [TestMethod]
    public async Task All_of_it_packed_is_below_150_kilobytes_and_unpacks_to_what_was_written()
    {
        await using var server = await ServerFixture.StartAsync();
        var sum = 0L;
        foreach (var path in Directory.EnumerateFiles(Files))
        {
            var name = Path.GetFileName(path);
            using var request = new HttpRequestMessage(HttpMethod.Get, name == "index.html" ? "" : "page/" + name);
            request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("gzip"));
            using var answer = await server.Client.SendAsync(request);
            var packed = await answer.Content.ReadAsByteArrayAsync();
            sum += packed.Length;
            CollectionAssert.AreEqual((string[])["gzip"], answer.Content.Headers.ContentEncoding.ToArray(), name);
            using var text = new StreamReader(new GZipStream(new MemoryStream(packed), CompressionMode.Decompress), Encoding.UTF8);
            var written = await File.ReadAllTextAsync(path);
            var sent = await text.ReadToEndAsync();
            if (name == "index.html")
                sent = sent.Replace($"<style>{StyleOf(sent)}</style>", """<link rel="stylesheet" href="page/base.css">""");
            Assert.AreEqual(written, sent, name);
        }
        Assert.IsLessThan(150_000, sum);
    }

    [TestMethod]
    public async Task What_a_browser_has_already_is_not_sent_again()
    {
        await using var server = await ServerFixture.StartAsync();
        using var first = await server.Client.GetAsync("page/app.js");
        using var request = new HttpRequestMessage(HttpMethod.Get, "page/app.js");
        request.Headers.IfNoneMatch.Add(first.Headers.ETag!);

        using var again = await server.Client.SendAsync(request);

        Assert.AreEqual(HttpStatusCode.NotModified, again.StatusCode);
        Assert.IsEmpty(await again.Content.ReadAsByteArrayAsync());
        Assert.AreEqual(first.Headers.ETag, again.Headers.ETag);
        using var other = await server.Client.GetAsync("page/dom.js");
        Assert.AreNotEqual(first.Headers.ETag, other.Headers.ETag);
    }

    [TestMethod]
    public async Task Head_has_the_headers_of_get()
    {
        await using var server = await ServerFixture.StartAsync();
        using var whole = await server.Client.GetAsync("");
        using var head = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, ""));

        Assert.AreEqual(HttpStatusCode.OK, head.StatusCode);
        Assert.AreEqual(whole.Content.Headers.ContentLength, head.Content.Headers.ContentLength);
        Assert.AreEqual(whole.Headers.ETag, head.Headers.ETag);
    }

    [TestMethod]
    public async Task Without_it_there_is_no_page_but_everything_else()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Page = false });
        foreach (var path in (string[])["", "page/app.js"])
        {
            using var answer = await server.Client.GetAsync(path);
            Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode, path);
        }
        using var models = await server.Client.GetAsync("api/models");
        Assert.AreEqual(HttpStatusCode.OK, models.StatusCode);
    }

    [TestMethod]
    public async Task Below_a_base_path_it_is_behind_a_slash_so_that_its_links_lead_there()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { BasePath = "/my/llm" });
        var answer = await server.RawAsync("GET /my/llm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 308 ", answer);
        Assert.Contains("Location: llm/\r\n", answer);
        foreach (var path in (string[])["my/llm/", "my/llm/page/app.js", ""])
        {
            using var found = await server.Client.GetAsync(path);
            Assert.AreEqual(HttpStatusCode.OK, found.StatusCode, path);
        }
    }

    // As a browser on another machine has it: the page's own requests have its origin.
    [TestMethod]
    [DataRow("http://10.1.2.3:11435", "10.1.2.3:11435", HttpStatusCode.OK)]
    [DataRow("https://llm.example", "llm.example", HttpStatusCode.OK)]
    [DataRow("http://rebound.example", "rebound.example", HttpStatusCode.Forbidden)]
    [DataRow("http://10.1.2.4:11435", "10.1.2.3:11435", HttpStatusCode.Forbidden)]
    public async Task The_page_may_call_the_server_it_came_from_where_nobody_else_can_point_its_name(
        string origin, string host, HttpStatusCode status)
    {
        // A loopback connection would refuse the host before: this is the check of the origin alone.
        var cors = new CorsMiddleware([], new HostCheckMiddleware(["llm.example"]));
        var context = new Microsoft.AspNetCore.Http.DefaultHttpContext();
        context.Request.Headers.Origin = origin;
        context.Request.Host = new Microsoft.AspNetCore.Http.HostString(host);
        var reached = false;
        try
        {
            await cors.InvokeAsync(context, _ =>
            {
                reached = true;
                return Task.CompletedTask;
            });
        }
        catch (Shimmy.Http.ApiException e)
        {
            Assert.AreEqual((int)status, e.Status);
        }
        Assert.AreEqual(status == HttpStatusCode.OK, reached);
    }

    private static string StyleOf(string html) => html.Split("<style>")[1].Split("</style>")[0];

    [GeneratedRegex("""(?:"page/|from '\./|import\('\./)([a-z-]+\.[a-z]+)""")]
    private static partial Regex Reference();

    [GeneratedRegex("""<script(?![^>]* src=)|<style| style=| on[a-z]+=|javascript:""")]
    private static partial Regex Inline();

    [GeneratedRegex("""innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|setAttribute\('style'""")]
    private static partial Regex Markup();
}
