using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Engine;

/// <summary>Receives what the KV cells and kept states of loaded models hold, for routers (<c>serve --kv-events</c>). Called in turn for a
/// model, from any thread.</summary>
internal interface ICellListener
{
    /// <summary>Called when the blocks that a model holds have changed; <see cref="CellBlocks.Read"/> reads the changes.</summary>
    void Changed(string model, ReadOnlyMemory<byte> changes);

    /// <summary>A model holds nothing any more: it was unloaded, or its worker died.</summary>
    void Gone(string model);
}

/// <summary>
/// Blocks of tokens that a model has computed and holds, and came to hold no more. A block is reported once it is full; its number stands
/// for all tokens up to its end, and for the model, the adapters and the client that they were computed for.
/// </summary>
/// <param name="InMemory">Whether it is a state in the host's memory; else it is in KV cells. A block may be in both.</param>
/// <param name="Hashes">The numbers of the blocks; where they came, each follows the one before it.</param>
/// <param name="Tokens">The tokens of the blocks that came; null where they went.</param>
/// <param name="Parent">The number of the block before the first; null at the beginning of a prompt.</param>
/// <param name="Adapter">
/// Names of the adapters that act, <see cref="CellBlocks.BetweenNames"/> between them; null for none but those that act where a request
/// chooses none.
/// </param>
internal sealed record CellChange(bool InMemory, ulong[] Hashes, int[]? Tokens = null, ulong? Parent = null, string? Adapter = null);

/// <summary>
/// Changes as bytes on the worker pipe. Each: whether blocks came (1), whether in memory (1), number of blocks (4), their hashes (8 each);
/// where they came whether there is a parent (1), its hash (8), the tokens (4 each), length of the adapter's name (4), the name. Numbers
/// little endian.
/// </summary>
internal static class CellBlocks
{
    /// <summary>Tokens of a block. What llm-d takes for a block of a prompt by default.</summary>
    public const int Tokens = 64;

    /// <summary>Between the names of adapters: no file has it in its name.</summary>
    public const char BetweenNames = '\0';

    /// <summary>Writes one behind the others.</summary>
    public static void Write(Stream stream, CellChange change)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(change.Tokens is not null);
        writer.Write(change.InMemory);
        writer.Write(change.Hashes.Length);
        foreach (var hash in change.Hashes)
            writer.Write(hash);
        if (change.Tokens is not { } tokens)
            return;
        writer.Write(change.Parent is not null);
        writer.Write(change.Parent ?? 0);
        foreach (var token in tokens)
            writer.Write(token);
        var adapter = Encoding.UTF8.GetBytes(change.Adapter ?? "");
        writer.Write(adapter.Length);
        writer.Write(adapter);
    }

    /// <summary>Reads all, in order.</summary>
    public static IReadOnlyList<CellChange> Read(ReadOnlyMemory<byte> changes)
    {
        var found = new List<CellChange>();
        var rest = changes.Span;
        while (rest.Length > 0)
        {
            var (came, inMemory) = (rest[0] != 0, rest[1] != 0);
            var count = BinaryPrimitives.ReadInt32LittleEndian(rest[2..]);
            rest = rest[6..];
            if (count < 0 || count > rest.Length / sizeof(ulong))
                throw new InvalidDataException("a list of blocks on the worker pipe is cut");
            var hashes = new ulong[count];
            for (var i = 0; i < hashes.Length; i++)
                hashes[i] = BinaryPrimitives.ReadUInt64LittleEndian(rest[(8 * i)..]);
            rest = rest[(8 * hashes.Length)..];
            if (!came)
            {
                found.Add(new CellChange(inMemory, hashes));
                continue;
            }
            ulong? parent = rest[0] == 0 ? null : BinaryPrimitives.ReadUInt64LittleEndian(rest[1..]);
            rest = rest[9..];
            var tokens = new int[hashes.Length * Tokens];
            for (var i = 0; i < tokens.Length; i++)
                tokens[i] = BinaryPrimitives.ReadInt32LittleEndian(rest[(4 * i)..]);
            rest = rest[(4 * tokens.Length)..];
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest);
            var adapter = length == 0 ? null : Encoding.UTF8.GetString(rest.Slice(4, length));
            rest = rest[(4 + length)..];
            found.Add(new CellChange(inMemory, hashes, tokens, parent, adapter));
        }
        return found;
    }
}
