using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Cli.Options;

/// <summary><c>shimmy llama-server</c>: llama-server's command line and variables.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class LlamaServerArgumentsTests
{
    [TestMethod]
    public void No_name_and_no_variable_is_given_twice()
    {
        CollectionAssert.AllItemsAreUnique(LlamaServerTable.All.SelectMany(row => row.Names).ToArray());
        CollectionAssert.AllItemsAreUnique(LlamaServerTable.All.Select(row => row.Variable).OfType<string>().ToArray());
    }

    [TestMethod]
    public void A_context_is_split_over_the_slots_that_are_asked_for_and_else_shared()
    {
        Assert.IsTrue(Parse("-m a.gguf -c 512 -np 2").Given!.Splits);
        Assert.IsFalse(Parse("-m a.gguf -c 512").Given!.Splits);
        Assert.IsFalse(Parse("-m a.gguf -c 512 -np 2 --kv-unified").Given!.Splits);
        Assert.AreEqual(4, Parse("-m a.gguf -np -1").Parallel);
    }

    [TestMethod]
    [DataRow("-m ")]
    [DataRow("-m a.gguf --slot-save-path ")]
    [DataRow("-m a.gguf -mm ")]
    public void A_path_may_not_be_empty(string arguments) =>
        StringAssert.EndsWith(Assert.ThrowsExactly<UsageException>(() => Parse(arguments)).Message, "'' is not a path");

    [TestMethod]
    public void Sampling_options_are_what_requests_leave_open()
    {
        var sampling = Parse("-m a.gguf --temp 0.5 --seed 42 -n 64 --top-k 7").Given!.Defaults.Sampling;

        var options = SamplingPatch.DefaultsOf(new ModelFacts { Architecture = "a", Description = "a", SamplingDefaults = sampling });
        Assert.AreEqual((0.5f, 42u, 64, 7), (options.Temperature, options.Seed!.Value, options.MaxTokens!.Value, options.TopK));
    }

    [TestMethod]
    [DataRow("none", 0)]
    [DataRow("mean", 1)]
    [DataRow("rank", 4)]
    public void Pooling_is_llama_cpps_number(string word, int number) =>
        Assert.AreEqual(number, Parse($"-m a.gguf --pooling {word}").Tuning.Pooling);

    [TestMethod]
    public void Several_hosts_have_one_port_and_a_socket_has_none()
    {
        CollectionAssert.AreEqual(new[] { "127.0.0.1:9000", "[::1]:9000", "unix:/tmp/a.sock" },
            Parse("-m a.gguf --host 127.0.0.1,::1,/tmp/a.sock --port 9000").Server.Binds.ToArray());
        CollectionAssert.AreEqual(new[] { "127.0.0.1:8080" }, Parse("-m a.gguf").Server.Binds.ToArray());
    }

    [TestMethod]
    public void Keys_stand_in_a_list()
    {
        var keys = Parse("-m a.gguf --api-key one,two").Server.Keys;

        Assert.HasCount(2, keys);
        Assert.IsTrue(keys[1].IsThis("two"));
    }

    [TestMethod]
    public void A_variable_stands_in_for_an_option_which_wins()
    {
        Assert.AreEqual(3, Parse("-m a.gguf", ("LLAMA_ARG_N_PARALLEL", "3")).Parallel);
        Assert.AreEqual(2, Parse("-m a.gguf -np 2", ("LLAMA_ARG_N_PARALLEL", "3")).Parallel);
        Assert.IsFalse(Parse("-m a.gguf", ("LLAMA_ARG_ENDPOINT_SLOTS", "off")).Server.LlamaServer!.Slots);
        CollectionAssert.AreEqual(new[] { "127.0.0.1:8080" },
            Parse("-m a.gguf --host 127.0.0.1", ("LLAMA_ARG_HOST", "0.0.0.0")).Server.Binds.ToArray());
    }

    [TestMethod]
    public void Each_list_of_the_command_line_replaces_that_of_its_own_variable()
    {
        using var folder = new TemporaryFolder();
        var file = folder["keys"];
        File.WriteAllText(file, "of-file");
        (string, string)[] variables = [("LLAMA_API_KEY", "of-variable"), ("LLAMA_ARG_API_KEY_FILE", file)];

        var keys = Parse("-m a.gguf --api_key one --api-key two", variables).Server.Keys;
        Assert.HasCount(3, keys);
        foreach (var key in (string[])["one", "two", "of-file"])
            Assert.IsTrue(keys.Any(known => known.IsThis(key)), key);
        Assert.IsTrue(Parse("-m a.gguf --alias --api-key", variables).Server.Keys.Any(known => known.IsThis("of-variable")));
    }

    [TestMethod]
    public void The_first_alias_by_the_alphabet_names_the_model()
    {
        var options = Parse("-m a.gguf --alias one,fim,code");

        Assert.AreEqual("code", options.Given!.Name);
        CollectionAssert.AreEquivalent(new[] { "one", "fim", "code" }, options.Server.LlamaServer!.Aliases.ToArray());
    }

    [TestMethod]
    [DataRow("-m a.gguf --rpc host", "unknown option --rpc")]
    [DataRow("-m a.gguf -c", "-c: a value is missing")]
    [DataRow("-m a.gguf -c many", "-c: 'many' is not a whole number of at least 0")]
    [DataRow("-m a.gguf rest", "unexpected argument 'rest'")]
    [DataRow("-m a.gguf --api-prefix llm", "--api-prefix: 'llm' is not a path that begins with a slash")]
    [DataRow("-m a.gguf --lora-scaled a.gguf:NaN", "--lora-scaled: the LoRA scale NaN is not a finite number")]
    [DataRow("-m a.gguf --cors-origins example.com", "--cors-origins: 'example.com' is not *, null, or an origin")]
    [DataRow("--models-dir /no/such/folder", "--models-dir: '/no/such/folder' is not a folder")]
    public void What_is_wrong_is_named(string arguments, string message) =>
        Assert.Contains(message, Assert.ThrowsExactly<UsageException>(() => Parse(arguments)).Message);

    [TestMethod]
    public void A_model_stays_in_memory_unless_it_may_sleep()
    {
        Assert.IsTrue(Parse("-m a.gguf").Residency.KeepAlive < TimeSpan.Zero);
        Assert.AreEqual(TimeSpan.FromSeconds(3), Parse("-m a.gguf --sleep-idle-seconds 3").Residency.KeepAlive);
        Assert.AreEqual(ModelSettings.NoProjector, Parse("-m a.gguf --no-mmproj").Projector);
    }

    [TestMethod]
    public void Without_a_model_it_is_a_router()
    {
        var options = Parse("--models-max 2 --no_models_autoload");

        Assert.IsTrue(options.Server.LlamaServer is { Routes: true, LoadsModels: false, MostModels: 2 });
        Assert.AreEqual(2, options.Residency.MaxLoaded);
        Assert.IsFalse(Parse("-m a.gguf").Server.LlamaServer!.Routes);
    }

    [TestMethod]
    public void Pages_of_this_machine_are_no_hosts_that_begin_alike()
    {
        var cors = new CorsMiddleware(Parse("-m a.gguf --cors-origins localhost").Server.CorsOrigins);

        foreach (var origin in (string[])["http://localhost", "https://localhost:8080", "http://127.0.0.1:3000", "http://[::1]"])
            Assert.IsTrue(cors.IsAllowed(origin), origin);
        foreach (var origin in (string[])["http://localhost.evil.com", "http://127.0.0.1.evil.com", "http://notlocalhost"])
            Assert.IsFalse(cors.IsAllowed(origin), origin);
    }

    [TestMethod]
    public void An_origin_may_end_with_a_slash() =>
        CollectionAssert.AreEqual(new[] { "https://a.example" },
            Parse("-m a.gguf --cors-origins https://a.example/").Server.CorsOrigins.ToArray());

    [TestMethod]
    public void An_adapter_may_be_a_folder_in_PEFTs_form()
    {
        using var folder = new TemporaryFolder();
        foreach (var name in (string[])["adapter_config.json", "adapter_model.safetensors"])
            File.WriteAllText(Path.Combine(folder.Path, name), "");

        Assert.AreEqual(new LoraSetting(folder.Path, 0.5f), Parse($"-m a.gguf --lora-scaled {folder.Path}:0.5").Loras.Single());
        Assert.AreEqual(new LoraSetting(folder.Path), Parse($"-m a.gguf --lora {folder.Path}").Loras.Single());
        Assert.ThrowsExactly<UsageException>(() => Parse($"-m a.gguf --lora-scaled {folder.Path}"));
    }

    [TestMethod]
    public void On_Vertex_AI_the_environment_has_the_last_word()
    {
        var options = Parse("-m a.gguf --port 1", ("AIP_MODE", "PREDICTION"), ("AIP_HTTP_PORT", "9000"), ("AIP_PREDICT_ROUTE", "ask"));

        CollectionAssert.AreEqual(new[] { "127.0.0.1:9000" }, options.Server.Binds.ToArray());
        Assert.AreEqual("/ask", options.Server.LlamaServer!.PredictRoute);
        Assert.IsNull(Parse("-m a.gguf", ("AIP_PREDICT_ROUTE", "ask")).Server.LlamaServer!.PredictRoute);
    }

    [TestMethod]
    [DataRow("AIP_PREDICT_ROUTE", "/completion", "POST /completion is a route of the server itself")]
    [DataRow("AIP_PREDICT_ROUTE", "v1/chat/completions/", "POST /v1/chat/completions is")]
    [DataRow("AIP_PREDICT_ROUTE", "/slots/3", "POST /slots/3 is")]
    [DataRow("AIP_PREDICT_ROUTE", "/{any}", "without any of {}")]
    [DataRow("AIP_HEALTH_ROUTE", "/props", "GET /props is")]
    [DataRow("AIP_HEALTH_ROUTE", "/a b", "without blanks")]
    public void A_route_of_Vertex_AI_that_the_server_has_itself_is_refused(string variable, string path, string reason)
    {
        var error = Assert.ThrowsExactly<UsageException>(() => Parse("-m a.gguf", ("AIP_MODE", "PREDICTION"), (variable, path)));

        StringAssert.StartsWith(error.Message, $"{variable}: '{path}' is not ");
        Assert.Contains(reason, error.Message);
    }

    [TestMethod]
    public void Routes_as_Vertex_AI_gives_them_are_taken()
    {
        var mode = Parse("-m a.gguf", ("AIP_MODE", "PREDICTION"), ("AIP_HEALTH_ROUTE", "/health"),
            ("AIP_PREDICT_ROUTE", "/v1/endpoints/12/deployedModels/34:predict")).Server.LlamaServer!;

        Assert.AreEqual(("/health", "/v1/endpoints/12/deployedModels/34:predict"), (mode.HealthRoute, mode.PredictRoute));
    }

    private static CommandOptions Parse(string arguments, params (string Name, string Value)[] environment) =>
        LlamaServerArguments.Parse(arguments.Split(' '), name => environment.FirstOrDefault(one => one.Name == name).Value);
}
