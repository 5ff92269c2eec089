namespace Shimmy.Api.OpenAI.Responses;

/// <summary>An answer that was given, and what it answered.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Status"><c>completed</c>, <c>incomplete</c>, <c>cancelled</c> or <c>failed</c>.</param>
/// <param name="Json">The answer as its client got it.</param>
/// <param name="Input">What the request brought.</param>
/// <param name="Output">What was answered.</param>
/// <param name="Previous">The answer before it; null where it was the first.</param>
internal sealed record StoredResponse(string Id, string Status, ReadOnlyMemory<byte> Json, IReadOnlyList<ResponseItem> Input,
    IReadOnlyList<ResponseItem> Output, StoredResponse? Previous)
{
    /// <summary>About how many bytes it takes, without what came before it.</summary>
    public long Size { get; } = 512 + Json.Length + Input.Concat(Output).Sum(item => (long)item.Size);

    /// <summary>Holders of its memory: the store, and each answer after it that has holders. Kept by <see cref="ResponseStore"/>.</summary>
    public int Holders { get; set; }

    /// <summary>All that was said before its answer, oldest first.</summary>
    public IReadOnlyList<ResponseItem> Context
    {
        get
        {
            var turns = new Stack<StoredResponse>();
            for (var turn = Previous; turn is not null; turn = turn.Previous)
                turns.Push(turn);
            return [.. turns.SelectMany(turn => turn.Input.Concat(turn.Output)), .. Input];
        }
    }
}
