using System.Globalization;
using Shimmy.Tests.Benchmarks;
using Shimmy.Tests.Fixtures.Servers;

// Programs that measure; each prints what it ran, medians and ratios. Build them with -c Release.
CultureInfo.DefaultThreadCurrentCulture = CultureInfo.InvariantCulture;
switch (args)
{
    case ["overhead", .. var rest]:
        await OverheadBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["sharing", .. var rest]:
        await SharingBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["prefixes", .. var rest]:
        await PrefixBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["servers", .. var rest]:
        await ServerBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["gaps", .. var rest]:
        await StateGapBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["routing", .. var rest]:
        await RoutingBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["start", .. var rest]:
        await StartBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["templates", .. var rest]:
        await TemplateBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["grammar", .. var rest]:
        await GrammarBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["cache", .. var rest]:
        await CacheBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["speculation", .. var rest]:
        await SpeculationBenchmark.RunAsync(rest.FirstOrDefault(), rest.Skip(1).FirstOrDefault(), Console.Out);
        return 0;
    case ["media", .. var rest]:
        await MediaBenchmark.RunAsync(rest.FirstOrDefault(), rest.Skip(1).FirstOrDefault(), Console.Out);
        return 0;
    case ["gpu", .. var rest]:
        await GpuBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["scan"]:
        await ScanBenchmark.RunAsync(Console.Out);
        return 0;
    case ["pull", .. var rest]:
        await PullBenchmark.RunAsync(rest.FirstOrDefault(), Console.Out);
        return 0;
    case ["memory"]:
        await MemoryBenchmark.RunAsync(Console.Out);
        return 0;
    case ["residency", .. var rest] when int.TryParse(rest.FirstOrDefault() ?? "120", out var seconds):
        Console.WriteLine($"{seconds} s: {await ResidencyRun.RunAsync(TimeSpan.FromSeconds(seconds))}");
        return 0;
    default:
        Console.Error.WriteLine("""
            usage: dotnet run -c Release --project Shimmy.Tests/Benchmarks -- BENCHMARK [MODEL.gguf]
              overhead   a bare llama_decode loop and the worker, in turn, on the same model, threads and prompt
              sharing    eight requests with a common prefix, with prefix sharing and without
              prefixes   prompts that are computed already in part, by the kind of a model's memory
              servers    shimmy llama-server and llama-server (the command in LLAMA_SERVER), in turn: prompts, and tokens per second
              gaps       the time between tokens of streams beside new prompts, with states that are kept and without
              templates  chat templates (FILE.jinja or a folder in place of MODEL.gguf) on 40 messages with 10 tools
              grammar    tokens under a grammar and without, on a vocabulary of 150,000
              cache      chats computed, from the response cache and from a recording (the demo model where none is named)
              speculation  tokens with speculative decoding and without, on text that repeats its prompt and on text that does not
                         (demo model; MODEL.gguf and a DRAFT.gguf else)
              media      the time between tokens of a stream, alone and while pictures and sounds are encoded beside it (the demo model and
                         larger ones; MODEL.gguf and a PROJECTOR.gguf else)
              gpu        the CPU and every GPU backend that has a device, in turn (1.1 billion random weights where no model is named)
              scan       discover on 10,000 files in 500 folders, without a cache and from it
              pull       1 GB from a registry on loopback and curl of the same, in turn (a folder on the disk in place of MODEL.gguf)
              memory     the estimate of a model's memory beside what its worker takes, three shapes, two contexts
              residency  random requests over five models with room for two, eight at a time (SECONDS in place of MODEL.gguf; 120)
              routing    an endpoint picker's choice of server and turns, on 3 to 1,000 simulated servers with measured times
              start      serve from exec to the first 200 of /health, and the memory it takes
            SHIMMY_EXECUTABLE names the executable that is measured; by default the one built beside this program.
            """);
        return 2;
}
