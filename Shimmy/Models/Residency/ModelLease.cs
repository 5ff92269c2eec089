using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>One load of a model: what requests share from its load to its unload.</summary>
/// <param name="model">The model in memory.</param>
/// <param name="identity">The same for loads that answer alike (<see cref="ModelIdentity"/>).</param>
internal sealed class ModelLoad(ILoadedModel model, string identity)
{
    private readonly HashSet<string> _reports = [];

    /// <summary>The model in memory.</summary>
    public ILoadedModel Model => model;

    /// <summary>The same for loads that answer alike (<see cref="ModelIdentity"/>).</summary>
    public string Identity => identity;

    /// <summary>
    /// Whether this is the first report of its kind for this load. Clients ask the same with every request; the log has it once.
    /// </summary>
    public bool IsFirstReport(string kind)
    {
        lock (_reports)
            return _reports.Add(kind);
    }

    /// <summary>
    /// The model's compiled chat template, kept here by <c>Chat/Templates/TemplateCache</c>, whose type this layer does not know; null
    /// before the first chat.
    /// </summary>
    public object? Template { get; set; }

    /// <summary>
    /// The adapters of requests that choose none, as llama-server's <c>POST /lora-adapters</c> sets them; null for the model's own.
    /// </summary>
    public IReadOnlyList<LoraChoice>? Loras { get; set; }
}

/// <summary>The right of one request to use a loaded model, which stays in memory until the lease is disposed.</summary>
internal sealed class ModelLease : IDisposable
{
    private Action? _release;

    internal ModelLease(ModelEntry entry, ModelLoad load, Action release)
    {
        Entry = entry;
        Load = load;
        _release = release;
    }

    /// <summary>A lease of a model that no <see cref="ModelResidency"/> has loaded, as in commands. Its disposal unloads nothing.</summary>
    public ModelLease(ILoadedModel model)
        : this(new ModelEntry { Name = model.Spec.Name, Path = model.Spec.Path },
            new ModelLoad(model, ModelIdentity.Unknown()), static () => { })
    {
    }

    /// <summary>The model's entry as the request named it.</summary>
    public ModelEntry Entry { get; }

    /// <summary>The load, shared by all requests on it.</summary>
    public ModelLoad Load { get; }

    /// <summary>The model. If its worker dies, <see cref="ILoadedModel.Completion"/> completes and its methods throw.</summary>
    public ILoadedModel Model => Load.Model;

    /// <summary>
    /// The adapters that act where a request chooses none itself: the one that it named as its model, else those set for the load; null for
    /// the model's own.
    /// </summary>
    public IReadOnlyList<LoraChoice>? Loras { get => field ?? Load.Loras; private init; }

    /// <summary>The request's place in the model's queue.</summary>
    public QueuePlace Place { get; private init; } = QueuePlace.Default;

    /// <summary>The adapters of a request: its own choice, else what was set for the load; null for the model's own.</summary>
    public IReadOnlyList<LoraChoice>? LorasOver(IReadOnlyList<LoraChoice>? asked) => asked ?? Loras;

    /// <summary>
    /// This lease for a request with a place in the queue; <paramref name="released"/> is called when the model was given back.
    /// </summary>
    /// <param name="place">The place.</param>
    /// <param name="released">Is called then.</param>
    /// <param name="entry">The entry as the request named it, where that is not the model's own: an adapter's.</param>
    /// <param name="loras">The adapter that was named; null for none.</param>
    public ModelLease For(QueuePlace place, Action released, ModelEntry? entry = null, IReadOnlyList<LoraChoice>? loras = null) =>
        new(entry ?? Entry, Load, () =>
        {
            Dispose();
            released();
        })
        {
            Place = place,
            Loras = loras,
        };

    /// <summary>Calls this when the lease ends; at once where it has ended.</summary>
    public void OnEnd(Action action)
    {
        while (_release is { } before)
        {
            if (Interlocked.CompareExchange(ref _release, before + action, before) == before)
                return;
        }
        action();
    }

    /// <summary>Ends the lease. Idempotent.</summary>
    public void Dispose() => Interlocked.Exchange(ref _release, null)?.Invoke();
}
