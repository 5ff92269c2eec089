using Shimmy.Cli.Chat;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Cli.Chat;

/// <summary>What is typed behind the commands of a conversation.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ChatCommandsTests
{
    [TestMethod]
    public void A_path_may_be_pasted_as_terminals_quote_it()
    {
        using var folder = new TemporaryFolder();
        var picture = folder["my pic (1).png"];
        File.WriteAllText(picture, "");
        foreach (var typed in new[] { picture, $"\"{picture}\"", $"'{picture}'" })
            Assert.AreEqual(picture, ChatCommands.PlaceOf(typed));
        if (!OperatingSystem.IsWindows())
            Assert.AreEqual(picture, ChatCommands.PlaceOf(folder["my\\ pic\\ \\(1\\).png"]));

        // What is there is what is meant, and where nothing is, what was typed.
        File.WriteAllText(folder["'quoted'"], "");
        foreach (var name in new[] { "'quoted'", "\"none\"", "no\\ ne" })
            Assert.AreEqual(folder[name], ChatCommands.PlaceOf(folder[name]));
    }
}
