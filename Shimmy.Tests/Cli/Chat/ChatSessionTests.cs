using System.Text.Json;
using Shimmy.Cli.Chat;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Editing;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Cli.Chat;

/// <summary>A conversation with a real server before scripted models, and the file that keeps it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ChatSessionTests
{
    private static readonly ChatModel Talker = new("talker", 1 << 20, "Q8_0", 64, Loaded: true, Ready: true, ["completion"], "/nowhere");

    [TestMethod]
    public async Task What_was_said_goes_into_the_next_request_and_into_the_file()
    {
        using var folder = new TemporaryFolder();
        var prompts = new List<string>();
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                prompts.Add(string.Concat(request.Prompt.Parts.Select(part => part.Text)));
                return ["an", " answer"];
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using var client = new ServerClient(server.Client.BaseAddress!, null);
        var session = new ChatSession(client, Talker, new Conversation(folder["chats"]));
        session.Conversation.SetSystem("be brief");
        Assert.AreEqual("an answer", await AskAsync(session, "one?"));
        Assert.AreEqual("an answer", await AskAsync(session, "two?"));

        Assert.Contains("be brief", prompts[1]);
        Assert.Contains("one?", prompts[1]);
        Assert.AreEqual(2, session.Figures.AnswerTokens);
        Assert.AreEqual("stop", session.Figures.FinishReason);
        Assert.Contains(" in, 2 out, ", session.Figures.Line(64));

        var again = Conversation.Last(folder["chats"]);
        Assert.AreEqual(session.Conversation.ToLines(), again.ToLines());
        Assert.AreEqual("talker", again.Model);
        Assert.AreEqual("one?", Conversation.Kept(folder["chats"])[0].FirstWords);
        if (!OperatingSystem.IsWindows())
        {
            Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite,
                File.GetUnixFileMode(folder[$"chats/{again.Id}.jsonl"]));
        }
    }

    [TestMethod]
    public async Task A_part_that_was_stopped_is_kept_as_a_part()
    {
        using var folder = new TemporaryFolder();
        var engine =
            new ScriptedEngine { Answer = (_, _) => Enumerable.Repeat(" word", 100_000), BeforeToken = token => Task.Delay(2, token) };
        await using var server = await ServerFixture.StartAsync(engine);
        using var client = new ServerClient(server.Client.BaseAddress!, null);
        var session = new ChatSession(client, Talker, new Conversation(folder["chats"]));
        session.Conversation.Add(new ChatEntry("user", "go on"));
        using var stop = new CancellationTokenSource();
        await Assert.ThrowsAsync<OperationCanceledException>(async () =>
        {
            await foreach (var piece in session.AskAsync(stop.Token))
                await stop.CancelAsync();
        });
        var last = Conversation.Last(folder["chats"]).Entries[^1];
        Assert.IsTrue(last.IsPart);
        Assert.StartsWith(" word", last.Text);
    }

    [TestMethod]
    public async Task The_oldest_turns_are_left_out_where_the_context_does_not_hold_them_and_a_question_alone_is_refused()
    {
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
                string.Concat(request.Prompt.Parts.Select(part => part.Text)) is var text && text.Contains("long", StringComparison.Ordinal)
                ? throw new EngineException(EngineFailure.PromptTooLong, "too long") { PromptTokens = 100, ContextLength = 64 }
                : ["short"],
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using var client = new ServerClient(server.Client.BaseAddress!, null);
        var conversation = new Conversation(null);
        foreach (var text in (string[])["long one", "long two", "three"])
        {
            conversation.Add(new ChatEntry("user", text));
            conversation.Add(new ChatEntry("assistant", "yes"));
        }
        var session = new ChatSession(client, Talker, conversation);
        Assert.AreEqual("short", await AskAsync(session, "four?"));
        Assert.AreEqual(4, session.Skipped);
        var refusal = await Assert.ThrowsAsync<ServerRefusal>(() => AskAsync(session, "long five"));
        Assert.AreEqual("too long", refusal.Text);
        Assert.IsNull(session.Answer);
        Assert.AreEqual(4, session.Skipped);
    }

    [TestMethod]
    public void A_conversation_takes_back_what_was_undone_and_forgets_a_line_that_was_cut_off()
    {
        using var folder = new TemporaryFolder();
        var conversation = new Conversation(folder["chats"]);
        conversation.Add(new ChatEntry("user", "one") { Media = ["data:image/png;base64,AA==", ChatEntry.Sound + "AA=="] });
        conversation.Add(new ChatEntry("assistant", "first") { Reasoning = "hm", Model = "talker" });
        conversation.Add(new ChatEntry("user", "two"));
        conversation.Drop(1);
        var whole = conversation.ToLines();
        File.AppendAllText(folder[$"chats/{conversation.Id}.jsonl"], string.Join('\n',
            "{\"undo\":-1}", "{\"role\":5}", "{\"undo\":1,\"undo\":1}",
            "{\"role\":\"user\",\"content\":\"x\",\"images\":[null]}", "{\"undo\":1,\"images\":\"x\"}", "{\"role\":\"user\",\"cont"));

        var read = Conversation.Open(folder["chats"], conversation.Id);
        Assert.AreEqual(whole, read.ToLines());
        Assert.HasCount(2, read.Entries);
        read.Add(new ChatEntry("user", "behind it"));
        Assert.AreEqual("behind it", Conversation.Open(folder["chats"], conversation.Id).Entries[^1].Text);
        read.Drop(1);
        Assert.AreEqual(whole, Conversation.Open(folder["chats"], conversation.Id).ToLines());
        using var messages = JsonDocument.Parse(read.ToMessages(0).ToJsonString());
        Assert.AreEqual("image_url", messages.RootElement[0].GetProperty("content")[0].GetProperty("type").GetString());
        Assert.AreEqual(ChatEntry.Sound + "AA==",
            messages.RootElement[0].GetProperty("content")[1].GetProperty("audio_url").GetProperty("url").GetString());
        Assert.AreEqual("hm", messages.RootElement[1].GetProperty("reasoning_content").GetString());
        Assert.ThrowsExactly<CommandException>(() => Conversation.Open(folder["chats"], "../nothing"));
        read.Drop(2);
        Assert.IsEmpty(Directory.GetFiles(folder["chats"]));
    }

    [TestMethod]
    public void The_picker_shows_what_was_used_last_first_and_filters_by_all_words()
    {
        ChatModel[] models =
        [
            new("alpha-7b", 4L << 30, "Q4_K_M", 4096, false, true, ["completion"], ""),
            new("日本語モデル", 5 << 20, "Q8_0", 4096, true, true, ["completion"], ""),
            new("alpha-1b", 1L << 30, "Q8_0", 4096, false, true, ["completion"], ""),
        ];
        var picker = new ModelPicker(models, ["alpha-7b", "gone"]);
        Assert.AreEqual("""
            model:
            > alpha-7b        4.0 GB  Q4_K_M
              alpha-1b        1.0 GB  Q8_0
              日本語モデル      5 MB  Q8_0      loaded
            """, string.Join('\n', picker.Layout(80, isStyled: false).Rows.Select(row => row.TrimEnd())));
        picker.Handle(new Key(KeyCode.Text, "ALPHA q8"));
        Assert.HasCount(2, picker.Layout(80, isStyled: false).Rows);
        Assert.IsTrue(picker.Handle(new Key(KeyCode.Enter)));
        Assert.AreEqual("alpha-1b", picker.Chosen!.Name);
    }

    [TestMethod]
    [DataRow("/help", true)]
    [DataRow("/set temperature 0", true)]
    [DataRow("/etc/passwd is what?", false)]
    [DataRow("/ what", false)]
    [DataRow(" /help", false)]
    [DataRow("what is /help?", false)]
    public void A_line_that_begins_with_a_path_is_no_command(string line, bool isCommand) =>
        Assert.AreEqual(isCommand, ChatCommands.IsCommand(line));

    private static async Task<string> AskAsync(ChatSession session, string question)
    {
        session.Conversation.Add(new ChatEntry("user", question));
        var text = "";
        await foreach (var piece in session.AskAsync(CancellationToken.None))
            text += piece.Text;
        return text;
    }
}
