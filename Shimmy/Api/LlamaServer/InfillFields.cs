using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// The fields of <c>/infill</c>: the text in front of a gap and behind it, other files, and what the answer goes on from. They share the
/// context as editors expect: a batch holds three parts of the prefix to one of the suffix, the rest is for the end of the files.
/// </summary>
internal sealed record InfillFields(string Prefix, string Suffix, string Prompt, IReadOnlyList<(string? Name, string Text)> Files)
{
    private const string ProjectName = "myproject\n";
    private const string CurrentFile = "filename\n";
    private const string Snippet = "\n\n--- snippet ---\n\n";

    /// <summary>Reads the fields; throws <see cref="ApiException"/> naming the one that is wrong.</summary>
    public static InfillFields Read(RequestFields fields) => new(
        fields.RequiredText("input_prefix"), fields.RequiredText("input_suffix"), fields.Text("prompt") ?? "",
        [.. (fields.List("input_extra") ?? []).Select((file, i) =>
        {
            var one = RequestFields.Of(file, $"input_extra[{i}]");
            return (one.Text("filename"), one.RequiredText("text"));
        })]);

    /// <summary>The prompt. Throws <see cref="ApiException"/> (501) where the model fills no gaps.</summary>
    /// <param name="model">The model.</param>
    /// <param name="predict">Most tokens of the answer; -1 is no limit.</param>
    /// <param name="mode">The size of a batch, and the order.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<Prompt> PromptAsync(ILoadedModel model, int predict, LlamaServerMode mode, CancellationToken cancellation)
    {
        if (model.Facts.FillInTheMiddle is not { } markers)
        {
            throw new ApiException(501,
                "Infill is not supported by this model: its vocabulary has no tokens for filling in the middle", "not_supported");
        }

        var batch = Math.Min(mode.BatchSize, model.Facts.ContextLength);
        var prefix = await TokensAsync(Prefix).ConfigureAwait(false);
        var suffix = await TokensAsync(Suffix).ConfigureAwait(false);
        var prompt = await TokensAsync(Prompt, special: true).ConfigureAwait(false);
        var extra = await ExtraAsync().ConfigureAwait(false);
        prefix = Last(prefix, 3 * (batch / 4));
        suffix = First(suffix, (batch / 4) - (2 + prompt.Count));
        extra = Last(extra, model.Facts.ContextLength - batch - (2 * predict));
        IReadOnlyList<int> front = [.. await ControlTokenAsync(markers.Prefix).ConfigureAwait(false), .. prefix, .. prompt];
        IReadOnlyList<int> back = [.. await ControlTokenAsync(markers.Suffix).ConfigureAwait(false), .. suffix];
        var first = await model.TokenizeAsync(Engine.Prompt.FromText(""), cancellation).ConfigureAwait(false);
        return Engine.Prompt.FromTokens(
        [
            .. extra, .. first, .. mode.SuffixFirst ? back : front, .. mode.SuffixFirst ? front : back,
            .. await ControlTokenAsync(markers.Middle).ConfigureAwait(false),
        ]);

        async Task<IReadOnlyList<int>> ExtraAsync()
        {
            var all = new List<int>();
            if (markers.Repository is { } repository)
            {
                all.AddRange(await ControlTokenAsync(repository).ConfigureAwait(false));
                all.AddRange(await TokensAsync(ProjectName).ConfigureAwait(false));
            }
            foreach (var (name, text) in Files)
            {
                if (markers.File is { } file)
                {
                    all.AddRange(await ControlTokenAsync(file).ConfigureAwait(false));
                    all.AddRange(await TokensAsync((name ?? "tmp") + "\n").ConfigureAwait(false));
                }
                else
                {
                    all.AddRange(await TokensAsync(Snippet).ConfigureAwait(false));
                }
                all.AddRange(await TokensAsync(text).ConfigureAwait(false));
            }
            if (markers.File is { } current)
            {
                all.AddRange(await ControlTokenAsync(current).ConfigureAwait(false));
                all.AddRange(await TokensAsync(CurrentFile).ConfigureAwait(false));
            }
            return all;
        }

        async Task<IReadOnlyList<int>> TokensAsync(string text, bool special = false) => text.Length == 0 ? []
            : await model.TokenizeAsync(new Prompt { Parts = [new PromptPart(text, special)], AddBos = false }, cancellation)
                .ConfigureAwait(false);

        Task<IReadOnlyList<int>> ControlTokenAsync(string text) => TokensAsync(text, special: true);
    }

    private static IReadOnlyList<int> Last(IReadOnlyList<int> tokens, int most) => [.. tokens.TakeLast(Math.Max(0, most))];

    private static IReadOnlyList<int> First(IReadOnlyList<int> tokens, int most) => [.. tokens.Take(Math.Max(0, most))];
}
