using System.Reflection;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models.Configuration;

namespace Shimmy.Tests.Cli.Options;

[TestClass]
[TestCategory("Unit")]
public sealed class OptionParserTests
{
    private static readonly string[] OfConfigurationsAlone = ["name", "base_path", "pinned"];

    [TestMethod]
    public void The_command_line_comes_before_the_environment_before_the_default()
    {
        Assert.AreEqual(1, Read("generate --top-k 1", ("SHIMMY_TOP_K", "2")).Sampling.TopK);
        Assert.AreEqual(2, Read("generate", ("SHIMMY_TOP_K", "2")).Sampling.TopK);
        Assert.AreEqual(40, Read("generate").Sampling.TopK);
    }

    [TestMethod]
    public void An_empty_variable_counts_as_unset() => Assert.AreEqual(40, Read("generate", ("SHIMMY_TOP_K", "")).Sampling.TopK);

    [TestMethod]
    [DataRow("0,5")]
    [DataRow("1,000.5")]
    [DataRow("NaN")]
    [DataRow("Infinity")]
    [DataRow(" 1")]
    [DataRow("0x1")]
    [DataRow("100.5")]
    [DataRow("")]
    public void A_number_is_read_strictly(string text)
    {
        var refused = Assert.ThrowsExactly<UsageException>(() => Temperature(text));
        StringAssert.StartsWith(refused.Message, "--temperature: ");
        StringAssert.Contains(refused.Message, "0 to 100");
    }

    [TestMethod]
    [DataRow("0.5", 0.5f)]
    [DataRow("2", 2f)]
    [DataRow("1e-3", 0.001f)]
    public void Numbers_are_written_with_a_point(string text, float expected) => Assert.AreEqual(expected, Temperature(text));

    [TestMethod]
    public void A_store_on_disk_without_memory_for_states_is_refused()
    {
        StringAssert.StartsWith(
            Assert.ThrowsExactly<UsageException>(() => Read("serve --prefix-store x --prefix-memory 0")).Message, "--prefix-store: ");
        Assert.AreEqual(1L << 20, Read("serve --prefix-store x --prefix-memory 1MiB").PrefixMemoryBytes);
        Assert.AreEqual(0L, Read("serve --prefix-memory 0").PrefixMemoryBytes);
    }

    private static float Temperature(string text) => Read(["generate", "--temperature", text]).Sampling.Temperature;

    [TestMethod]
    public void A_switch_can_be_set_and_refused_in_the_environment()
    {
        Assert.IsTrue(Read("list", ("SHIMMY_JSON", "true")).Json);
        Assert.IsFalse(Read("list", ("SHIMMY_JSON", "0")).Json);
        Assert.IsTrue(Read("list --json", ("SHIMMY_JSON", "0")).Json);
        Assert.ThrowsExactly<UsageException>(() => Read("list", ("SHIMMY_JSON", "yes please")));
    }

    [TestMethod]
    [DataRow("0", 0)]
    [DataRow("90", 90)]
    [DataRow("30s", 30)]
    [DataRow("5m", 300)]
    [DataRow("1h", 3600)]
    [DataRow("1h30m", 5400)]
    [DataRow("1500ms", 1.5)]
    public void Durations_are_seconds_or_carry_units(string text, double seconds) =>
        Assert.AreEqual(TimeSpan.FromSeconds(seconds), Duration(text));

    [TestMethod]
    [DataRow("")]
    [DataRow("5 minutes")]
    [DataRow("m")]
    [DataRow("5m3")]
    [DataRow("NaN")]
    public void Other_durations_are_refused(string text) =>
        Assert.ThrowsExactly<UsageException>(() => Duration(text));

    [TestMethod]
    [DataRow("-1")]
    [DataRow("-5m")]
    [DataRow("99999999999h")]
    public void A_negative_or_endless_duration_is_for_ever(string text) =>
        Assert.IsLessThan(TimeSpan.Zero, Duration(text));

    private static TimeSpan Duration(string text) => Read(["serve", "--keep-alive", text]).Residency.KeepAlive;

    [TestMethod]
    public void Values_of_a_repeated_option_are_kept_apart()
    {
        var options = Read("serve --api-key a,b --cors * --api-key c");
        CollectionAssert.AreEqual(Shimmy.Server.ApiKeyFile.Read(["a,b", "c"]).Select(key => key.Name).ToArray(),
            options.Server.Keys.Select(key => key.Name).ToArray());
        Assert.AreEqual("*", options.Server.CorsOrigins.Single());
        CollectionAssert.AreEqual(new[] { "a,b", "c" }, Read("generate --stop a,b --stop c").Sampling.Stop.ToArray());
    }

    [TestMethod]
    public void The_context_has_the_range_that_the_config_file_allows()
    {
        Assert.AreEqual(1 << 24, Read("serve --ctx 16777216").ContextLength);
        StringAssert.Contains(Assert.ThrowsExactly<UsageException>(() => Read("serve --ctx 16777217")).Message,
            "a whole number from 0 to 16777216");
    }

    [TestMethod]
    public void What_follows_two_dashes_is_left_alone()
    {
        Assert.AreEqual("--x", Read("probe -- --x").Name);
        StringAssert.Contains(Assert.ThrowsExactly<UsageException>(() => Read("probe -- --x --x")).Message, "unexpected argument '--x'");
    }

    [TestMethod]
    public void A_name_may_stand_before_and_after_options()
    {
        Assert.AreEqual("m", Read("generate m --prompt x").Name);
        Assert.AreEqual(("m", "-"), (Read("generate --prompt - m").Name, Read("generate --prompt - m").Prompt));
    }

    [TestMethod]
    public void The_default_that_the_help_shows_is_the_one_in_force()
    {
        var count = 0;
        foreach (var command in OptionTable.Commands)
        {
            foreach (var option in OptionTable.Of(command).Where(option => option.Default is { } text && !text.Contains(' ')))
            {
                var defaults = CommandOptions.Of(command.Is);
                var set = option.Set(defaults, new OptionValue(option.Name, [option.Default!]));
                // null stands for what a model's settings or llama.cpp decide.
                Assert.IsTrue(set == defaults || Differences(set, defaults).All(before => before is null or LoadTuning),
                    $"{command.Name} {option.Name}: {option.Default}");
                count++;
            }
        }
        Assert.IsGreaterThan(80, count);
    }

    private static IEnumerable<object?> Differences(CommandOptions one, CommandOptions other) =>
        typeof(CommandOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance)
        .Where(property => !Equals(property.GetValue(one), property.GetValue(other))).Select(property => property.GetValue(other));

    [TestMethod]
    public void No_command_has_an_option_twice_and_no_line_of_help_is_too_long()
    {
        foreach (var command in OptionTable.Commands)
        {
            var names = OptionTable.Of(command).SelectMany(option => new[] { option.Name, option.Letter }).OfType<string>().ToList();
            Assert.HasCount(names.Count, names.Distinct().ToList(), command.Name);
        }
        foreach (var help in OptionTable.Commands.Select(HelpText.Of).Append(HelpText.OfProgram()))
            Assert.IsEmpty(help.Split('\n').Where(line => line.Length > HelpText.Width).ToList());
    }

    [TestMethod]
    public void A_configuration_has_the_fields_that_the_options_say() => CollectionAssert.AreEquivalent(
        ModelConfigReader.ModelFields.Except(OfConfigurationsAlone).ToArray(),
        OptionTable.All.Select(option => option.ConfigField).OfType<string>().ToArray());

    [TestMethod]
    public void The_listener_for_Ollamas_clients_is_where_they_look_unless_said_otherwise()
    {
        Assert.IsNull(Read("serve").Server.Ollama);
        Assert.AreEqual(("--ollama", "127.0.0.1:11434"), Read("serve --ollama").Server.Ollama);
        Assert.AreEqual(("--ollama", "127.0.0.1:11434"), Read("serve --ollama --verbose").Server.Ollama);
        Assert.AreEqual(("--ollama", "0.0.0.0:9"), Read("serve --ollama 0.0.0.0:9", ("OLLAMA_HOST", "1.2.3.4")).Server.Ollama);
        Assert.AreEqual(("OLLAMA_HOST", "http://1.2.3.4"), Read("serve --ollama", ("OLLAMA_HOST", "http://1.2.3.4")).Server.Ollama);
        Assert.AreEqual(("SHIMMY_OLLAMA", "9"), Read("serve", ("SHIMMY_OLLAMA", "9")).Server.Ollama);
        Assert.IsNull(Read("serve", ("SHIMMY_OLLAMA", "false"), ("OLLAMA_HOST", "1.2.3.4")).Server.Ollama);
        StringAssert.StartsWith(Assert.ThrowsExactly<UsageException>(() => Read("serve --ollama", ("OLLAMA_HOST", "nowhere:x"))).Message,
            "OLLAMA_HOST: ");
    }

    [TestMethod]
    public void A_path_may_not_be_empty()
    {
        var serve = OptionTable.Commands.Single(command => command.Name == "serve");
        var paths = OptionTable.Of(serve).Where(option => option.TakesPath && option.Name != "--model-dirs").ToList();

        Assert.IsGreaterThan(8, paths.Count);
        foreach (var option in paths)
        {
            Assert.AreEqual($"{option.Name}: '' is not a path",
                Assert.ThrowsExactly<UsageException>(() => Read(["serve", option.Name, ""])).Message);
        }
    }

    [TestMethod]
    public void Variables_of_Ollama_count_beside_its_listener_and_after_all_of_Shimmys()
    {
        (string, string)[] variables =
        [
            ("OLLAMA_KEEP_ALIVE", "-1"), ("OLLAMA_NUM_PARALLEL", "7"), ("OLLAMA_MAX_LOADED_MODELS", "3"), ("OLLAMA_MAX_QUEUE", "9"),
            ("OLLAMA_CONTEXT_LENGTH", "4096"), ("OLLAMA_FLASH_ATTENTION", "1"), ("OLLAMA_KV_CACHE_TYPE", "q8_0"),
                ("OLLAMA_ORIGINS", "app://*,http://a.b"),
        ];
        var read = Read("serve --ollama", variables);
        Assert.IsLessThan(TimeSpan.Zero, read.Residency.KeepAlive);
        Assert.AreEqual((7, 3, 9, 4096), (read.Parallel, read.Residency.MaxLoaded, read.Queue, read.ContextLength!.Value));
        Assert.AreEqual((FlashAttention.On, CacheType.Q8Level0, CacheType.Q8Level0),
            (read.Tuning.FlashAttention, read.Tuning.CacheTypeK, read.Tuning.CacheTypeV));
        CollectionAssert.IsSubsetOf(new[] { "app://*", "http://a.b", "http://localhost:*" }, read.Server.CorsOrigins.ToArray());

        var own = Read("serve --ollama --keep-alive 1m", [.. variables, ("SHIMMY_PARALLEL", "2")]);
        Assert.AreEqual((TimeSpan.FromMinutes(1), 2), (own.Residency.KeepAlive, own.Parallel));
        var without = Read("serve", variables);
        Assert.AreEqual((TimeSpan.FromMinutes(5), 4), (without.Residency.KeepAlive, without.Parallel));
        // What leaves it to Ollama leaves it to Shimmy.
        Assert.AreEqual(4, Read("serve --ollama", ("OLLAMA_NUM_PARALLEL", "0")).Parallel);
        StringAssert.StartsWith(Assert.ThrowsExactly<UsageException>(() => Read("serve --ollama", ("OLLAMA_KEEP_ALIVE", "soon"))).Message,
            "OLLAMA_KEEP_ALIVE: ");
    }

    [TestMethod]
    public void What_a_running_server_has_decided_already_are_options_of_models_and_of_serving()
    {
        CollectionAssert.AreEquivalent(
            new[] { "--model", "--quiet", "--url", "--api-key", "--print", "--undo", "--color", "--log-level", "--log-format", "--log-file" },
            OthersOf(CommandSet.Launch));
        CollectionAssert.IsSubsetOf(new[] { "--url", "--api-key", "--image", "--system", "--temperature", "--log-level" },
            OthersOf(CommandSet.Chat));
        foreach (var loads in (string[])["--ctx", "--lora", "--gpu-layers", "--memory-budget"])
            CollectionAssert.DoesNotContain(OthersOf(CommandSet.Chat), loads);

        static string[] OthersOf(CommandSet command) => [.. OptionTable.Of(OptionTable.Commands.First(one => one.Is == command))
            .Where(option => !option.NeedsOwnServer).Select(option => option.Name)];
    }

    private static CommandOptions Read(string arguments, params (string Name, string Value)[] variables) =>
        Read(arguments.Split(' '), variables);

    private static CommandOptions Read(string[] arguments, params (string Name, string Value)[] variables)
    {
        var environment = variables.ToDictionary(pair => pair.Name, pair => pair.Value);
        return OptionParser.Parse(OptionTable.Commands.Single(command => command.Name == arguments[0]), arguments.AsSpan(1),
            environment.GetValueOrDefault);
    }
}
