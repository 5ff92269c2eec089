using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// The cells of a slot in a file: llama.cpp's file of a sequence's state, whose tokens are packed as llama-server packs them, so that each
/// reads the other's files. A magic number (-1), the form's version, the number of tokens, the tokens, the number of media (0). Older
/// files have the tokens alone. Where clients share nothing, what another one has computed is neither saved nor erased, and what is
/// restored is for the one that restores it.
/// </summary>
internal static class SlotFiles
{
    private const int Magic = -1;
    private const int Version = 1;
    private const int HeadBytes = 12; // llama.cpp's: a magic number, its version, how many numbers follow

    /// <summary>Does it; the slot is idle. Throws <see cref="EngineException"/> for a file that cannot be written or restored.</summary>
    public static SlotResult Do(SlotAction action, Slot slot, PrefixCache cache, LlamaModel model)
    {
        var before = Stopwatch.GetTimestamp();
        var client = model.Spec.SharingClient(action.Client);
        if (!action.Restore && slot is { Tokens.Count: > 0, Key: { } holder } && holder.Client != client)
            throw Wrong("the slot holds what was computed for another API key", "id_slot");
        var (tokens, bytes) = action switch
        {
            { Path: null } => (Erase(slot, cache), 0L),
            { Restore: true } => Restore(action.Path, slot, cache, model, client),
            _ => Save(action.Path, slot, model),
        };
        return new SlotResult(tokens, bytes, Stopwatch.GetElapsedTime(before).TotalMilliseconds);
    }

    private static int Erase(Slot slot, PrefixCache cache)
    {
        var tokens = slot.Tokens.Count;
        cache.Clear(slot);
        return tokens;
    }

    private static (int Tokens, long Bytes) Save(string path, Slot slot, LlamaModel model)
    {
        if (slot.Media.Count > 0)
            throw Wrong("the slot holds pictures or sounds, which are not saved");
        if (slot.Key is { } key && !key.Adapters.Equals(model.Adapters.Default))
            throw Wrong("the slot was computed with other adapters than the model's own, which the file cannot say");
        NativeLog.TakeErrors();
        var bytes = model.Context.Save(slot.Id, path, [Magic, Version, slot.Tokens.Count, .. slot.Tokens, 0]);
        return bytes > 0
            ? (slot.Tokens.Count, bytes)
            : throw Wrong($"cannot write {path}: {NativeLog.TakeErrors()}");
    }

    private static (int Tokens, long Bytes) Restore(string path, Slot slot, PrefixCache cache, LlamaModel model, string client)
    {
        // Read first: llama.cpp is asked for no more numbers than the file can have, and a slot is emptied for no file that is wrong.
        var tokens = Unpack(Numbers(path), model.Vocabulary.Size);
        if (tokens.Length > model.ContextLength)
        {
            throw Wrong($"Restored prompt does not fit in the slot context: it has {tokens.Length} tokens, and the context "
                + $"{model.ContextLength}");
        }

        // Whoever it belongs to finds it in memory.
        cache.SaveState(slot);
        cache.Clear(slot);
        NativeLog.TakeErrors();
        var bytes = model.Context.Load(slot.Id, path, new int[tokens.Length + HeadBytes]);
        if (bytes == 0)
        {
            cache.Clear(slot);
            throw Invalid(NativeLog.TakeErrors());
        }

        cache.Restored(slot, tokens, new PrefixKey(model.Adapters.Default, client));
        return (tokens.Length, bytes);
    }

    private static int[] Numbers(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            Span<byte> head = stackalloc byte[HeadBytes];
            file.ReadExactly(head);
            var count = BinaryPrimitives.ReadUInt32LittleEndian(head[8..]);
            if (count > (file.Length - HeadBytes) / sizeof(int))
                throw Invalid($"it says that {count} numbers follow, which its size does not hold");
            var numbers = new int[count];
            file.ReadExactly(MemoryMarshal.AsBytes(numbers.AsSpan()));
            return numbers;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Invalid(e.Message);
        }
    }

    private static int[] Unpack(int[] numbers, int vocabularySize)
    {
        if (numbers is [Magic, not Version, ..])
            throw Wrong($"Unsupported server tokens state version {(uint)numbers[1]}; version {Version} is read");
        var tokens = numbers is not [Magic, ..] ? numbers
            : numbers.Length > 3 && numbers[2] >= 0 && numbers[2] <= numbers.Length - 4 ? numbers[3..(3 + numbers[2])]
            : throw Invalid("its tokens are cut");
        if (numbers is [Magic, ..] && numbers[3 + tokens.Length] != 0)
            throw Wrong("the file holds pictures or sounds, which are not restored");
        return Array.TrueForAll(tokens, token => token >= 0 && token < vocabularySize)
            ? tokens
            : throw Invalid("its tokens are not those of this model");
    }

    private static EngineException Invalid(string why) =>
        Wrong($"Unable to restore slot: No available space in KV cache or invalid slot save file ({why})");

    private static EngineException Wrong(string message, string option = "filename") =>
        new(EngineFailure.InvalidRequest, message) { Option = option };
}
