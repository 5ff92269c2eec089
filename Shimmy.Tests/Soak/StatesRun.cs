using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Kept states of prompts, of a hybrid, a model with windows and a plain one, under more conversations than the cells and the store have
/// room for: the text is always the one that is computed from nothing, the memory stays inside its bound, and workers that are killed, in
/// the middle of writing states as well, leave nothing behind that makes another text.
/// </summary>
internal static class StatesRun
{
    private const int FullRun = 10_000;
    private const int Prompts = 24;
    private const int Ends = 3;
    private const int Answer = 12;
    private const long Memory = 8 << 20;
    private const long Disk = 48 << 20;

    // In logits. The order in which numbers are added depends on what runs beside, and random weights make much of the difference: so close
    // together, either of two tokens may come. What a wrong state says is that close to the right one in one case of a hundred.
    private const double Tie = 0.5;

    // Each prompt is asked so often beside others with nothing kept, to see what they make of it.
    private const int Companies = 4;

    private static readonly string[] Models = ["lfm2", "gemma3", "llama"];

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        using var folder = new TemporaryFolder();
        foreach (var model in Models)
            RandomModel.Write(folder[$"models/{model}.gguf"], RandomMemory.ShapeOf(model));
        using var server = await ServerProcess.StartAsync(folder, ["--threads", "1", "--log-level", "warning",
            "--ctx", "1500", "--parallel", "3", "--prefix-memory", $"{Memory}", "--prefix-store", folder["states"],
            "--prefix-store-size", $"{Disk}", .. options.Serve]);
        var trial = new Trial(server, folder["states"], options.Seed);
        await trial.LearnAsync();
        await trial.LeaveOutAsync(options.Clients);
        verdict.Say($"states: {Models.Length} models, {Prompts * Ends} prompts of each, but {trial.Unsure} that get another answer "
            + $"where others run beside and nothing is kept, seed {options.Seed}");

        var total = options.Requests ?? FullRun;
        await trial.AskAsync(total / 4, options.Clients, errorsAllowed: false);
        var quarter = Resident(server);
        await trial.AskAsync(total - (total / 4), options.Clients, errorsAllowed: false);
        var whole = Resident(server);
        var metrics = await server.Client.GetStringAsync("metrics");
        verdict.Say($"{total} requests, {trial.Cached} of {trial.Asked} tokens of prompts not computed, "
            + $"{trial.Ties} ties told the other way; workers {quarter / 1e6:F0} MB after a quarter, {whole / 1e6:F0} MB at the end");
        foreach (var model in Models)
        {
            var bytes = ValueOf(metrics, "shimmy_prefix_state_bytes", model);
            verdict.Require(bytes is > 0 and <= Memory, $"states of {model} take at most {Memory} bytes ({bytes})");
            var (back, left) = (ValueOf(metrics, "shimmy_prefix_states_restored_total", model),
                ValueOf(metrics, "shimmy_prefix_states_evicted_total", model));
            verdict.Require(back > 0 && left > 0, $"{model}: {back} states were brought back, {left} left for others");
        }
        verdict.Require(whole < quarter + (Memory * Models.Length), "the workers' memory does not grow with the requests");
        Judge("each answer is the computed one");

        var kills = await trial.KillAsync(options.Kills, options.Clients, verdict);
        verdict.Say($"{kills} workers killed, {trial.Errors} requests ended with an error, {trial.Ties} ties told the other way, "
            + $"{trial.FromDisk()} bytes of states on disk");
        verdict.Require(trial.FromDisk() <= Disk + Memory, $"the folder takes at most {Disk} bytes and a state");
        Judge("each answer after a death is the computed one");
        var (code, _) = await server.TerminateAsync();
        verdict.Require(code == 0, $"the server ends with 0 ({code})");

        void Judge(string what) => verdict.Require(trial.Complaints.Count == 0,
            $"{what} ({trial.Complaints.Count} are not)" + string.Concat(trial.Complaints.Texts.Take(5).Select(text => "\n    " + text)));
    }

    private static long Resident(ServerProcess server) => server.Workers.Sum(worker => ProcessState.Of(worker.Id).PrivateBytes);

    private static double ValueOf(string metrics, string name, string model) =>
        double.Parse(metrics.Split('\n').First(line => line.StartsWith($"{name}{{model=\"{model}\"}}", StringComparison.Ordinal))
            .Split(' ')[^1], CultureInfo.InvariantCulture);

    // The conversations, what each is answered with where nothing is kept, and what came instead.
    private sealed class Trial(ServerProcess server, string states, int seed)
    {
        private readonly Dictionary<(string Model, int Prompt), (int Token, Dictionary<int, double> Near)[]> _computed = [];
        private readonly ConcurrentDictionary<(string Model, int Prompt), bool> _unsure = new();
        private int _number;
        private int _ties;
        private int _errors;
        private long _cached;
        private long _asked;

        public Complaints Complaints { get; } = new();

        public int Ties => _ties;

        public int Errors => _errors;

        public long Cached => _cached;

        public long Asked => _asked;

        public int Unsure => _unsure.Count;

        public long FromDisk() => Directory.EnumerateFiles(states, "*", SearchOption.AllDirectories)
            .Sum(file => new FileInfo(file).Length);

        public async Task LearnAsync()
        {
            foreach (var model in Models)
            {
                for (var prompt = 0; prompt < Prompts * Ends; prompt++)
                {
                    var (status, answer) = await CompleteAsync(model, prompt, cachePrompt: false);
                    if (status != 200)
                        throw new InvalidOperationException($"{model}, prompt {prompt}: {status} {answer}");
                    _computed[(model, prompt)] = [.. answer.GetProperty("completion_probabilities").EnumerateArray().Select(token =>
                        (token.GetProperty("id").GetInt32(), token.GetProperty("top_logprobs").EnumerateArray()
                            .ToDictionary(top => top.GetProperty("id").GetInt32(), top => top.GetProperty("logprob").GetDouble())))];
                }
            }
        }

        // What depends on the requests beside says nothing about states.
        public Task LeaveOutAsync(int clients) => Parallel.ForEachAsync(
            Enumerable.Range(0, Companies).SelectMany(_ => _computed.Keys), new ParallelOptions { MaxDegreeOfParallelism = clients },
            async (asked, _) =>
            {
                var (_, answer) = await CompleteAsync(asked.Model, asked.Prompt, cachePrompt: false);
                if (!TokensOf(answer).SequenceEqual(_computed[asked].Select(one => one.Token)))
                    _unsure[asked] = true;
            });

        public Task AskAsync(int count, int clients, bool errorsAllowed, CancellationToken end = default)
        {
            var last = _number + count;
            return Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(async () =>
            {
                while (!end.IsCancellationRequested && Interlocked.Increment(ref _number) is var mine && mine <= last)
                {
                    var random = new Random(unchecked((seed * 1_000_003) + mine));
                    var (model, prompt) = (Models[random.Next(Models.Length)], random.Next(Prompts * Ends));
                    try
                    {
                        Compare(model, prompt, await CompleteAsync(model, prompt, cachePrompt: true), errorsAllowed);
                    }
                    catch (Exception e) when (e is HttpRequestException or TaskCanceledException or JsonException)
                    {
                        Complaints.Add($"{model}, prompt {prompt}: {e.GetType().Name} {e.Message}");
                    }
                }
            }, CancellationToken.None)));
        }

        // Requests for a while, then a rest in which states are written; the death comes anywhere in that.
        public async Task<int> KillAsync(int count, int clients, Verdict verdict)
        {
            var random = new Random(seed);
            var killed = 0;
            while (killed < count)
            {
                var asking = AskAsync(random.Next(20, 60), clients, errorsAllowed: true);
                await Task.Delay(random.Next(1500));
                if (random.Next(2) == 0)
                {
                    await asking;
                    await Task.Delay(random.Next(400, 900));
                }
                foreach (var worker in server.Workers)
                {
                    using (worker)
                    {
                        worker.Kill();
                        killed++;
                    }
                }
                await asking;
                if (killed % 50 < Models.Length)
                    verdict.Say($"{killed} killed");
            }
            await AskAsync(Models.Length * Prompts * Ends, clients, errorsAllowed: true);
            return killed;
        }

        private void Compare(string model, int prompt, (int Status, JsonElement Answer) got, bool errorsAllowed)
        {
            if (got.Status != 200)
            {
                Interlocked.Increment(ref _errors);
                if (!errorsAllowed || got.Status is not (502 or 503))
                    Complaints.Add($"{model}, prompt {prompt}: {got.Status} {got.Answer}");
                return;
            }
            var tokens = TokensOf(got.Answer);
            var timings = got.Answer.GetProperty("timings");
            var cached = timings.GetProperty("cache_n").GetInt32();
            Interlocked.Add(ref _cached, cached);
            Interlocked.Add(ref _asked, cached + timings.GetProperty("prompt_n").GetInt32());
            if (_unsure.ContainsKey((model, prompt)))
                return;
            var computed = _computed[(model, prompt)];
            for (var i = 0; i < computed.Length; i++)
            {
                if (i < tokens.Length && tokens[i] == computed[i].Token)
                    continue;
                if (i < tokens.Length && computed[i].Near.TryGetValue(tokens[i], out var near)
                    && near > computed[i].Near[computed[i].Token] - Tie)
                {
                    Interlocked.Increment(ref _ties);
                    return;
                }
                Complaints.Add($"{model}, prompt {prompt}, {cached} tokens not computed: token {i} of {string.Join(' ', tokens)} is not "
                    + $"that of {string.Join(' ', computed.Select(one => one.Token))}, whose logits are "
                    + string.Join(' ', computed[i].Near.Select(pair => $"{pair.Key}:{pair.Value:F2}")));
                return;
            }
        }

        private static int[] TokensOf(JsonElement answer) =>
            [.. answer.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32())];

        private async Task<(int Status, JsonElement Answer)> CompleteAsync(string model, int prompt, bool cachePrompt)
        {
            // Four beginnings, of which each has six conversations, and each of these three ends.
            var (conversation, end) = (prompt / Ends, prompt % Ends);
            int[] tokens = [.. RandomMemory.Words(conversation % 4, 300),
                .. RandomMemory.Words(100 + conversation, 150 + (conversation * 25)),
                .. RandomMemory.Words(1000 + end, 40)];
            using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
            using var body = new StringContent($$"""
                {"model":"{{model}}","prompt":[{{string.Join(',', tokens)}}],"n_predict":{{Answer}},"temperature":0,"ignore_eos":true,
                 "return_tokens":true,"n_probs":8,"cache_prompt":{{(cachePrompt ? "true" : "false")}}}
                """);
            using var answer = await server.Client.PostAsync("completion", body, limit.Token);
            var text = await answer.Content.ReadAsStringAsync(limit.Token);
            return ((int)answer.StatusCode, JsonElement.Parse(text));
        }
    }
}
