using Shimmy.Models.Discovery;

namespace Shimmy.Tests.Models.Discovery;

[TestClass]
[TestCategory("Unit")]
public sealed class SearchOrderTests
{
    [TestMethod]
    public void On_Linux() => AssertPlaces(
        HostEnvironments.Linux(),
        null,
        "models /home/me/work/models",
        "app /opt/shimmy/models",
        "huggingface /home/me/.cache/huggingface/hub",
        "ollama /home/me/.ollama/models",
        "ollama /usr/share/ollama/.ollama/models",
        "ollama /var/lib/ollama/.ollama/models",
        "ollama /var/lib/ollama/models",
        "ollama /var/lib/ollama",
        "lmstudio /home/me/.lmstudio/models",
        "lmstudio /home/me/.cache/lm-studio/models",
        "llama.cpp /home/me/.cache/llama.cpp");

    [TestMethod]
    public void On_macOS() => AssertPlaces(
        HostEnvironments.MacOS(),
        null,
        "models /Users/me/work/models",
        "app /Applications/shimmy/models",
        "huggingface /Users/me/.cache/huggingface/hub",
        "ollama /Users/me/.ollama/models",
        "lmstudio /Users/me/.lmstudio/models",
        "lmstudio /Users/me/.cache/lm-studio/models",
        "llama.cpp /Users/me/Library/Caches/llama.cpp");

    [TestMethod]
    public void On_Windows() => AssertPlaces(
        HostEnvironments.Windows(("LOCALAPPDATA", @"C:\Users\me\AppData\Local"), ("SHIMMY_BASE_GGUF", @"E:\gguf\one.gguf")),
        @"relative; E:\models;~\mine",
        @"models D:\work\models",
        @"app C:\Program Files\shimmy\models",
        @"base E:\gguf",
        @"dirs D:\work\relative",
        @"dirs E:\models",
        @"dirs C:\Users\me\mine",
        @"huggingface C:\Users\me\.cache\huggingface\hub",
        @"ollama C:\Users\me\.ollama\models",
        @"lmstudio C:\Users\me\.lmstudio\models",
        @"lmstudio C:\Users\me\.cache\lm-studio\models",
        @"llama.cpp C:\Users\me\AppData\Local\llama.cpp");

    [TestMethod]
    public void Everything_named_by_variables_is_searched_in_order() => AssertPlaces(
        HostEnvironments.Linux(
            ("SHIMMY_BASE_GGUF", "./one.gguf"), ("SHIMMY_MODEL_PATHS", "/c;;d"), ("OLLAMA_MODELS", "/o"),
                ("HF_HOME", "~/hf"), ("LLAMA_CACHE", "/l")),
        "/a;b",
        "models /home/me/work/models",
        "app /opt/shimmy/models",
        "base /home/me/work",
        "dirs /a",
        "dirs /home/me/work/b",
        "dirs /c",
        "dirs /home/me/work/d",
        "ollama /o",
        "huggingface /home/me/hf/hub",
        "ollama /home/me/.ollama/models",
        "ollama /usr/share/ollama/.ollama/models",
        "ollama /var/lib/ollama/.ollama/models",
        "ollama /var/lib/ollama/models",
        "ollama /var/lib/ollama",
        "lmstudio /home/me/.lmstudio/models",
        "lmstudio /home/me/.cache/lm-studio/models",
        "llama.cpp /l");

    [TestMethod]
    [DataRow("/1", "HF_HUB_CACHE=/1", "HUGGINGFACE_HUB_CACHE=/2", "HF_HOME=/3", "XDG_CACHE_HOME=/4")]
    [DataRow("/2", "HUGGINGFACE_HUB_CACHE=/2", "HF_HOME=/3", "XDG_CACHE_HOME=/4")]
    [DataRow("/3/hub", "HF_HOME=/3", "XDG_CACHE_HOME=/4")]
    [DataRow("/4/huggingface/hub", "XDG_CACHE_HOME=/4")]
    [DataRow("/home/me/.cache/huggingface/hub", "HF_HOME= ")]
    public void The_first_variable_of_Hugging_Face_that_is_set_counts(string expected, params string[] variables)
    {
        var host = HostEnvironments.Linux([.. variables.Select(variable => (variable.Split('=')[0], variable.Split('=')[1]))]);
        Assert.AreEqual(expected, new HuggingFaceSource(host).Places.Single());
    }

    private static void AssertPlaces(HostEnvironment host, string? modelDirs, params string[] expected) => Assert.AreEqual(
        string.Join('\n', expected),
        string.Join('\n', SearchOrder.Sources(host, modelDirs)
            .SelectMany(source => source.Places.Select(place => $"{source.Origin} {place}"))));
}
