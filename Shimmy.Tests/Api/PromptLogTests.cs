using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary><c>--log-prompts</c>: what models are given to read, and nothing else that looks like the log.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PromptLogTests : IDisposable
{
    private readonly CapturedLog _log = new();

    [TestMethod]
    public async Task A_prompt_is_one_line_whatever_it_holds()
    {
        await using var server = await StartAsync();
        await server.AnswerAsync("v1/completions",
            """{"model":"talker","prompt":"a\n2026-01-01 INF shimmy: forged\r\u001b[2J\u2028\\n\u202e\udb40\udc41 👩‍🚀"}""");

        Assert.EndsWith(@": a\n2026-01-01 INF shimmy: forged\r\u001b[2J\u2028\\n\u202e\U000e0041 👩‍🚀", (await _log.WaitForAsync("prompt of request ")).TrimEnd());
    }

    [TestMethod]
    public async Task A_prompt_whose_answer_is_there_already_is_logged_too()
    {
        await using var server = await StartAsync();
        for (var i = 0; i < 2; i++)
        {
            await server.AnswerAsync("v1/chat/completions",
                """{"model":"talker","temperature":0,"messages":[{"role":"user","content":"who?"}]}""");
        }

        Assert.HasCount(2, _log.Lines.Where(line => line.Contains("prompt of request ", StringComparison.Ordinal)));
        await _log.WaitForAsync("response cache hit");
    }

    [TestMethod]
    public async Task What_is_embedded_is_logged()
    {
        await using var server = await StartAsync();
        await server.AnswerAsync("v1/embeddings", """{"model":"talker","input":["one","two"]}""");

        await _log.WaitForAsync(": one");
        await _log.WaitForAsync(": two");
    }

    public void Dispose() => _log.Dispose();

    private Task<ServerFixture> StartAsync() => ServerFixture.StartAsync(options: new ServerOptions { LogPrompts = true }, loggers: _log);
}
