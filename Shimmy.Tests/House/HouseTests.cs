namespace Shimmy.Tests.House;

/// <summary>The program's source keeps to the rules of docs/architecture.md, and each rule notices what breaks it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class HouseTests
{
    private static readonly SourceTree Tree = SourceTree.Read();

    [TestMethod]
    public void Arrows_point_down() => AreNone(HouseRules.UpwardArrows(Tree));

    [TestMethod]
    public void Folders_use_each_other_in_one_direction() => AreNone(HouseRules.Circles(Tree));

    [TestMethod]
    public void Pointers_and_native_calls_are_in_one_folder() => AreNone(HouseRules.NativeCode(Tree));

    [TestMethod]
    public void No_folder_is_crowded() =>
        AreNone(HouseRules.CrowdedFolders(Tree.Files.Keys.Concat(SourceTree.PathsIn("Shimmy.Tests"))).Concat(HouseRules.ManyFiles(Tree)));

    [TestMethod]
    public void Most_files_are_short() => AreNone(HouseRules.LongFiles(Tree));

    [TestMethod]
    public void Lines_end_at_140_columns() => AreNone(HouseRules.LongLines(Tree));

    [TestMethod]
    [DataRow("Shimmy/Gguf/GgufReader.cs", "using Shimmy.Engine;", DisplayName = "one floor up")]
    [DataRow("Shimmy/Engine/ModelSpec.cs", "using Shimmy.Models;", DisplayName = "the contract and what is built on it")]
    [DataRow("Shimmy/Http/RouteTable.cs", "using Shimmy.Api.OpenAI;", DisplayName = "what dialects share and a dialect")]
    [DataRow("Shimmy/Api/OpenAI/ChatCompletions.cs", "using Shimmy.Api.Anthropic;", DisplayName = "one dialect and another")]
    [DataRow("Shimmy/Chat/ChatPipeline.cs", "using static Shimmy.Server.ShimmyServer;", DisplayName = "a using static")]
    [DataRow("Shimmy/Chat/ChatPipeline.cs", "using Port = Shimmy.Server.ServerOptions;", DisplayName = "an alias")]
    [DataRow("Shimmy/Chat/ChatPipeline.cs", "global using Shimmy.Server;", DisplayName = "a global using")]
    [DataRow("Shimmy/Gguf/GgufReader.cs", "file record Probe(Engine.Prompt Of);", DisplayName = "a name with its namespace")]
    [DataRow("Shimmy/Gguf/GgufReader.cs", "file record Probe(global::Shimmy.Engine.Memory.LayerFit Of);", DisplayName = "a whole name")]
    [DataRow("Shimmy/Server/ShimmyServer.cs", "using Shimmy.Worker.Native;", DisplayName = "the server and the child")]
    [DataRow("Shimmy/Worker/Scheduling/Scheduler.cs", "using Shimmy.Chat;", DisplayName = "the child and what is above the engine")]
    public void An_arrow_that_points_up_is_found(string path, string line) =>
        Assert.AreEqual(1, Of(HouseRules.UpwardArrows(Tree.WithLine(path, line)), path));

    [TestMethod]
    public void A_circle_of_folders_is_found()
    {
        StringAssert.Contains(
            string.Join('\n', HouseRules.Circles(Tree.WithLine("Shimmy/Chat/Messages/ChatRequest.cs", "using Shimmy.Chat.Templates;"))),
                "Chat/Messages");
        // Without a using: a folder inside another sees its types, which must not use it in turn.
        var inside =
            Tree.With("Shimmy/Chat/Messages/Probe.cs",
                "namespace Shimmy.Chat.Messages;\ninternal sealed class Probe { public object Of() => typeof(ChatPipeline); }\n");
        StringAssert.Contains(string.Join('\n', HouseRules.Circles(inside)), "Chat/Messages uses a folder that uses it: Chat");
    }

    [TestMethod]
    [DataRow("internal static unsafe class Probe;")]
    [DataRow("internal static partial class Probe { [LibraryImport(\"libc\")] private static partial int Dup(int descriptor); }")]
    [DataRow("internal static class Probe { [DllImport(\"libc\")] private static extern int Dup(int descriptor); }")]
    public void Native_code_in_another_folder_is_found(string code)
    {
        Assert.AreEqual(1, Found("Shimmy/Engine/Probe.cs", code));
        Assert.AreEqual(0, Found("Shimmy/Worker/Native/Probe.cs", code));
        // Words in comments and literals are not code.
        Assert.AreEqual(0, Found("Shimmy/Engine/Probe.cs", "// unsafe \nconst string Text = \"unsafe [DllImport\";"));

        static int Found(string path, string code) => Of(HouseRules.NativeCode(Tree.With(path, code)), path);
    }

    [TestMethod]
    public void A_crowded_folder_and_a_long_line_are_found()
    {
        var crowded = Enumerable.Range(0, 21)
            .Aggregate(Tree, (tree, i) => tree.With($"Shimmy/Gguf/More/Probe{i}.cs", "namespace Shimmy.Gguf.More;"));
        StringAssert.Contains(string.Join('\n', HouseRules.CrowdedFolders(crowded.Files.Keys)), "Gguf/More has 21 files");
        Assert.AreEqual(1, Found(new string('x', 141)));
        Assert.AreEqual(0, Found(new string('x', 140)));
        Assert.AreEqual(0, Found($"var text = \"{new string('x', 141)}\";"));
        Assert.AreEqual(1, Found($"var text = \"short\"; {new string('x', 141)}"));

        static int Found(string line)
        {
            const string path = "Shimmy/Gguf/Probe.cs";
            return Of(HouseRules.LongLines(Tree.With(path, line)), path);
        }
    }

    [TestMethod]
    public void A_long_file_and_many_of_some_length_are_found()
    {
        Assert.AreEqual(1, Of(HouseRules.LongFiles(Tree.With("Shimmy/Gguf/Probe.cs", new string('\n', 501))), "Shimmy/Gguf/Probe.cs"));
        Assert.AreEqual(0, Of(HouseRules.LongFiles(Tree.With("Shimmy/Gguf/Probe.cs", new string('\n', 500))), "Shimmy/Gguf/Probe.cs"));
        var many = Enumerable.Range(0, 100)
            .Aggregate(Tree, (tree, i) => tree.With($"Shimmy/Gguf/Probe{i}.cs", string.Concat(Enumerable.Repeat("//\n", 200))));
        StringAssert.StartsWith(HouseRules.LongFiles(many).Single(), "half of the files");
    }

    private static int Of(IEnumerable<string> found, string path) => found.Count(line => line.StartsWith(path, StringComparison.Ordinal));

    private static void AreNone(IEnumerable<string> found) => Assert.AreEqual("", string.Join('\n', found));
}
