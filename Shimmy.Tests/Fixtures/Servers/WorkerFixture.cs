using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Engine.Workers;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>Workers of the executable that was built beside the tests, on random models.</summary>
internal static class WorkerFixture
{
    public static string Executable { get; } =
        Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "shimmy.exe" : "shimmy");

    public static WorkerEngine NewEngine(ILoggerFactory? log = null, ICellListener? cells = null) =>
        new(log ?? NullLoggerFactory.Instance, Executable, cells: cells);

    /// <summary>Loads a small random model; the folder must outlive it.</summary>
    public static async Task<ILoadedModel> LoadAsync(TemporaryFolder folder,
        Func<ModelSpec, ModelSpec>? change = null, RandomModelShape? shape = null, ILoggerFactory? log = null)
    {
        var spec = new ModelSpec { Name = "random", Path = RandomModel.Write(folder["random.gguf"], shape), Threads = 1 };
        return await NewEngine(log).LoadAsync(change?.Invoke(spec) ?? spec, null, CancellationToken.None);
    }

    /// <summary>Runs a request to its end.</summary>
    public static async Task<Answer> RunAsync(ILoadedModel model, GenerationRequest request, Action<int>? onToken = null)
    {
        var answer = new Answer();
        await foreach (var engineEvent in model.GenerateAsync(request, CancellationToken.None))
        {
            if (engineEvent.Start is { } start)
            {
                answer.Start = start;
            }
            else if (engineEvent.End is { } end)
            {
                answer.End = end;
            }
            else
            {
                answer.Tokens.Add(engineEvent.Token);
                answer.Drafted += engineEvent.Draft.Drafted;
                answer.Accepted += engineEvent.Draft.Accepted ? 1 : 0;
                answer.Bytes.Write(engineEvent.Piece.Span);
                answer.LogProbabilities.Add(engineEvent.LogProbability);
                onToken?.Invoke(engineEvent.Token);
            }
        }
        return answer;
    }

    /// <summary>A greedy request that never ends by itself.</summary>
    public static GenerationRequest Greedy(string prompt, int maxTokens) => new()
    {
        Prompt = Prompt.FromText(prompt),
        Options = new GenerationOptions { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true },
    };
}

/// <summary>All that a generation gave.</summary>
internal sealed class Answer
{
    public GenerationStart Start { get; set; } = null!;

    public GenerationEnd End { get; set; } = null!;

    public List<int> Tokens { get; } = [];

    /// <summary>Tokens drafted, as the tokens tell it.</summary>
    public int Drafted { get; set; }

    /// <summary>Those of them that came.</summary>
    public int Accepted { get; set; }

    public MemoryStream Bytes { get; } = new();

    public List<TokenLogProbability?> LogProbabilities { get; } = [];

    public string Text => Encoding.UTF8.GetString(Bytes.ToArray());
}
