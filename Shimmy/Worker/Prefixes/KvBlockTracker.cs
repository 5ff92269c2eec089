using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// The blocks that slots and kept states hold, compared once a turn with what was reported before: what a router learns is what is there,
/// and not what a counter beside it believes. A block that several slots share came with the first and goes with the last.
/// </summary>
/// <param name="cache">The slots and states.</param>
/// <param name="model">Name of the model.</param>
/// <param name="adapters">Its adapters.</param>
internal sealed class KvBlockTracker(PrefixCache cache, string model, LoraAdapters adapters)
{
    private const int HashLength = 8;

    private readonly List<ulong>[] _ofSlots = [.. cache.Slots.Select(_ => new List<ulong>())];
    private readonly Dictionary<SavedState, List<ulong>> _ofStates = [];
    private readonly Tier _cells = new(false);
    private readonly Tier _memory = new(true);
    private long _statesSeen;
    private byte[] _buffer = [];

    /// <summary>The changes since the last call, as <see cref="CellBlocks"/> writes them; empty where there are none.</summary>
    public ReadOnlyMemory<byte> Changes()
    {
        // What comes is counted before what goes, so that what only moves is not reported.
        List<ulong>? left = null;
        foreach (var slot in cache.Slots)
        {
            var reported = _ofSlots[slot.Id];
            var stays = Math.Min(reported.Count, slot.Unchanged / CellBlocks.Tokens);
            if (stays < reported.Count)
            {
                (left ??= []).AddRange(CollectionsMarshal.AsSpan(reported)[stays..]);
                reported.RemoveRange(stays, reported.Count - stays);
            }
            slot.Unchanged = slot.Tokens.Count;
            if (slot.Tokens.Count / CellBlocks.Tokens > reported.Count)
                Extend(_cells, reported, CollectionsMarshal.AsSpan(slot.Tokens), slot.Key!);
        }
        foreach (var hash in left ?? [])
            _cells.Leave(hash);
        CompareStates();
        if (!_cells.HasNews && !_memory.HasNews)
            return default;
        using var stream = new MemoryStream();
        _cells.Take(stream);
        _memory.Take(stream);
        return stream.ToArray();
    }

    private void CompareStates()
    {
        if (_statesSeen == cache.Store.Version)
            return;
        _statesSeen = cache.Store.Version;
        foreach (var state in cache.Store.States)
        {
            if (!cache.Serves(state) || _ofStates.ContainsKey(state))
                continue;
            var blocks = new List<ulong>();
            Extend(_memory, blocks, state.Tokens, state.Key);
            _ofStates.Add(state, blocks);
        }
        foreach (var (state, blocks) in _ofStates.Where(pair => !cache.Store.States.Contains(pair.Key)).ToArray())
        {
            foreach (var hash in blocks)
                _memory.Leave(hash);
            _ofStates.Remove(state);
        }
    }

    // A block with a picture in it has no tokens by which anybody could find it, and neither has what is behind it.
    private void Extend(Tier tier, List<ulong> reported, ReadOnlySpan<int> tokens, PrefixKey key)
    {
        // Whoever names the model alone gets the adapters that it was loaded with.
        var adapter = key.Adapters.Equals(adapters.Default) || NamesOf(key) is not { Length: > 0 } names ? null : names;
        for (var begin = reported.Count * CellBlocks.Tokens; begin + CellBlocks.Tokens <= tokens.Length; begin += CellBlocks.Tokens)
        {
            var block = tokens.Slice(begin, CellBlocks.Tokens);
            if (block.IndexOfAnyInRange(int.MinValue, -1) >= 0)
                return;
            ulong? parent = reported.Count == 0 ? null : reported[^1];
            var hash = HashOf(parent, block, key);
            reported.Add(hash);
            tier.Come(hash, block, parent, adapter);
        }
    }

    private string NamesOf(PrefixKey key) => string.Join(CellBlocks.BetweenNames, adapters.NamesOf(key.Adapters));

    private ulong HashOf(ulong? parent, ReadOnlySpan<int> block, PrefixKey key)
    {
        // The first block stands for whom all are for, and by what they were computed: routers keep one table for all models.
        var scales = MemoryMarshal.AsBytes(key.Adapters.Scales);
        var whom = parent is null ? Encoding.UTF8.GetBytes($"{model}\0{scales.Length}\0{NamesOf(key)}\0{key.Client}") : [];
        var length = HashLength + (4 * block.Length) + (parent is null ? scales.Length + whom.Length : 0);
        if (_buffer.Length < length)
            _buffer = new byte[length];
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer, parent ?? 0);
        MemoryMarshal.AsBytes(block).CopyTo(_buffer.AsSpan(HashLength));
        if (parent is null)
        {
            scales.CopyTo(_buffer.AsSpan(HashLength + (4 * block.Length)));
            whom.CopyTo(_buffer, HashLength + (4 * block.Length) + scales.Length);
        }
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(_buffer.AsSpan(0, length), hash);
        // Readers of MessagePack that know no unsigned numbers read it, too.
        return BinaryPrimitives.ReadUInt64LittleEndian(hash) >> 1;
    }

    // Blocks of one place: how often each is held, and what is new since the last telling.
    private sealed class Tier(bool inMemory)
    {
        private readonly Dictionary<ulong, int> _held = [];
        private readonly Dictionary<ulong, Arrival> _come = [];
        private readonly List<ulong> _order = [];
        private readonly HashSet<ulong> _gone = [];

        public bool HasNews => _come.Count + _gone.Count > 0;

        public void Come(ulong hash, ReadOnlySpan<int> tokens, ulong? parent, string? adapter)
        {
            var count = _held[hash] = _held.GetValueOrDefault(hash) + 1;
            if (count > 1 || _gone.Remove(hash))
                return;
            _come.Add(hash, new Arrival(tokens.ToArray(), parent, adapter));
            _order.Add(hash);
        }

        public void Leave(ulong hash)
        {
            if (--_held[hash] > 0)
                return;
            _held.Remove(hash);
            if (!_come.Remove(hash))
                _gone.Add(hash);
        }

        // What follows one another is one change.
        public void Take(Stream stream)
        {
            if (_gone.Count > 0)
                CellBlocks.Write(stream, new CellChange(inMemory, [.. _gone]));
            var (run, tokens) = (new List<ulong>(), new List<int>());
            Arrival? first = null;
            foreach (var hash in _order)
            {
                if (!_come.TryGetValue(hash, out var one))
                    continue;
                if (first is not null && (run[^1] != one.Parent || one.Adapter != first.Adapter))
                    End();
                first ??= one;
                run.Add(hash);
                tokens.AddRange(one.Tokens);
            }
            End();
            _come.Clear();
            _order.Clear();
            _gone.Clear();

            void End()
            {
                if (first is not null)
                    CellBlocks.Write(stream, new CellChange(inMemory, [.. run], [.. tokens], first.Parent, first.Adapter));
                first = null;
                run.Clear();
                tokens.Clear();
            }
        }
    }

    private sealed record Arrival(int[] Tokens, ulong? Parent, string? Adapter);
}
