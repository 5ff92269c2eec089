using Shimmy.Models.Pull;

namespace Shimmy.Tests.Models.Pull;

/// <summary>Names that people write, and paths that registries send.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PullNameTests
{
    [TestMethod]
    [DataRow("org/repo:Q4_K_M", "Hub", "org/repo:Q4_K_M")]
    [DataRow("org/repo", "Hub", "org/repo")]
    [DataRow("hf.co/org/repo:Q8_0", "Hub", "org/repo:Q8_0")]
    [DataRow("huggingface.co/org/repo", "Hub", "org/repo")]
    [DataRow("https://huggingface.co/org/repo", "Hub", "org/repo")]
    [DataRow("https://huggingface.co/org/repo/blob/main/sub/a-Q8_0.gguf?download=true", "Hub", "org/repo/sub/a-Q8_0.gguf")]
    [DataRow("https://huggingface.co/org/repo/resolve/v2/a.gguf", "Hub", "org/repo/a.gguf@v2")]
    [DataRow("org/repo/sub/a.gguf", "Hub", "org/repo/sub/a.gguf")]
    [DataRow("org/repo:latest", "Hub", "org/repo")]
    [DataRow("llama3.2:1b", "Ollama", "llama3.2:1b")]
    [DataRow("llama3.2", "Ollama", "llama3.2:latest")]
    [DataRow("library/llama3.2", "Ollama", "llama3.2:latest")]
    [DataRow("ollama.com/user/model:x", "Ollama", "user/model:x")]
    [DataRow("https://ollama.com/library/llama3.2", "Ollama", "llama3.2:latest")]
    [DataRow("localhost:5000/user/model", "Ollama", "localhost:5000/user/model:latest")]
    [DataRow("registry.example.org/user/model:x", "Ollama", "registry.example.org/user/model:x")]
    [DataRow("https://example.org/files/a-Q8_0.gguf", "Url", "https://example.org/files/a-Q8_0.gguf")]
    public void Names_are_read(string name, string source, string canonical)
    {
        var parsed = PullName.Parse(name);
        Assert.AreEqual((source, canonical), (parsed.Source.ToString(), parsed.Canonical));
    }

    [TestMethod]
    [DataRow("")]
    [DataRow("../evil")]
    [DataRow("org/../repo")]
    [DataRow("org/repo:../x")]
    [DataRow("org/repo/../../x.gguf")]
    [DataRow("org/NUL")]
    [DataRow("a b")]
    [DataRow("org/repo/readme.md")]
    [DataRow("https://example.org/page.html")]
    [DataRow("https://user:key@example.org/a.gguf")]
    [DataRow("ftp://example.org/a.gguf")]
    [DataRow("a/b/c/d/e")]
    public void What_is_no_name_is_refused(string name) =>
        Assert.AreEqual(PullFailure.BadName, Assert.ThrowsExactly<PullException>(() => PullName.Parse(name)).Failure);

    [TestMethod]
    public void A_name_of_two_parts_is_Ollamas_where_its_clients_say_it()
    {
        Assert.AreEqual(PullSource.Ollama, PullName.Parse("user/model", ofOllama: true).Source);
        Assert.AreEqual(PullSource.Hub, PullName.Parse("hf.co/org/repo", ofOllama: true).Source);
    }

    [TestMethod]
    [DataRow("a.gguf", true)]
    [DataRow("sub/Größe-Q8_0.gguf", true)]
    [DataRow("", false)]
    [DataRow("/etc/passwd", false)]
    [DataRow("../a.gguf", false)]
    [DataRow("sub/../../a.gguf", false)]
    [DataRow("./a.gguf", false)]
    [DataRow("sub//a.gguf", false)]
    [DataRow("C:\\a.gguf", false)]
    [DataRow("C:a.gguf", false)]
    [DataRow("a\\b.gguf", false)]
    [DataRow("a.gguf:stream", false)]
    [DataRow("con", false)]
    [DataRow("sub/nul.gguf", false)]
    [DataRow("COM1.gguf", false)]
    [DataRow("lpt\u00B2.gguf", false)]
    [DataRow("aux .gguf", false)]
    [DataRow("a.gguf.", false)]
    [DataRow("a.gguf ", false)]
    [DataRow(" a.gguf", false)]
    [DataRow("a\0.gguf", false)]
    [DataRow("a\n.gguf", false)]
    [DataRow("a\u202Efugg.gguf", false)]
    [DataRow("a.gguf.shimmy-partial", false)]
    public void Paths_of_a_registry_are_checked(string path, bool isAllowed)
    {
        Assert.AreEqual(isAllowed, RegistryPath.WhyNot(path) is null, RegistryPath.WhyNot(path));
        if (!isAllowed)
            Assert.ThrowsExactly<PullException>(() => RegistryPath.Below(Path.GetTempPath(), path));
    }

    // What an attribute cannot hold.
    [TestMethod]
    public void Half_a_character_is_no_part_of_a_path() => Assert.IsNotNull(RegistryPath.WhyNot("a" + (char)0xD800 + ".gguf"));

    [TestMethod]
    [DataRow("a.gguf b.gguf sub/a.gguf", null)]
    [DataRow("a.gguf A.GGUF", "A.GGUF")]
    [DataRow("a.gguf a.gguf", "a.gguf")]
    [DataRow("sub/a.gguf Sub/b.gguf", "Sub/b.gguf")]
    [DataRow("sub sub/b.gguf", "sub/b.gguf")]
    [DataRow("sub/b.gguf sub", "sub")]
    [DataRow("\u00E9.gguf e\u0301.gguf", "e\u0301.gguf")]
    public void Paths_that_mean_one_file_somewhere_are_found(string paths, string? twice) =>
        Assert.AreEqual(twice, RegistryPath.Collision(paths.Split(' ')));
}
