using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>
/// The page in Debian's Chromium, which page.mjs drives: chat, models, workbench, live, hostile answers, keys, a server that goes and
/// comes back, sizes and schemes, and what axe-core finds.
/// </summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class PageBrowserTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    [TestMethod]
    public async Task The_page_works_in_a_browser()
    {
        var browser = Environment.GetEnvironmentVariable("CHROMIUM") ?? "/usr/bin/chromium";
        if (!File.Exists(browser))
            Assert.Inconclusive($"there is no {browser}; .ci/run brings it, and CHROMIUM may name another.");
        using var server = await ServerProcess.StartAsync(Folder, "--threads", "1");
        await NpmScript.RunAsync("page.mjs", TimeSpan.FromMinutes(5), ShimmyProcess.Executable, server.Client.BaseAddress!.ToString(),
            // What is not published still has its compiler to wait for.
            ShimmyProcess.IsPublished ? "2000" : "8000", Environment.GetEnvironmentVariable("SHIMMY_PAGE_PICTURES") ?? "");
    }
}
