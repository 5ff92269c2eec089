using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Models.Residency;

namespace Shimmy.Chat.Cache;

/// <summary>
/// Key of the response cache: a SHA-256 of everything that an answer depends on. That is the model (<see cref="ModelIdentity"/>), the
/// rendered prompt, every option that has an effect, the grammar, the visible control tokens, the reasoning budget, and the client whose
/// answers are its own; not the dialect.
/// </summary>
internal readonly record struct CacheKey(UInt128 High, UInt128 Low)
{
    private static readonly GenerationOptions NoChance = new() { Temperature = 0 };

    /// <summary>
    /// The key of an answer of the model with this identity. Texts are hashed as they lie in memory, each with its length, which is faster
    /// than what goes to the worker and writes no second copy of a long prompt. The place in the queue is not part of the key.
    /// </summary>
    /// <param name="model">The model's identity.</param>
    /// <param name="request">The request.</param>
    /// <param name="limit">The limit of its reasoning; null for none.</param>
    /// <param name="client">Name of the client that shares answers with no other; empty where all share them.</param>
    public static CacheKey Of(string model, GenerationRequest request, ReasoningLimit? limit, string client = "")
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, model);
        Append(hash, client);
        Append(hash, request.Prompt);
        hash.AppendData(Wire.Write(Effective(request.Options), WorkerRecords.Options));
        Append(hash, request.Grammar);
        Append(hash, request.GrammarTrigger);
        Append(hash, request.ShownControlTokens.Count);
        foreach (var text in request.ShownControlTokens)
            Append(hash, text);
        Append(hash, limit is null ? null : $"{limit.Tokens} {limit.Begun} {limit.Tags.Open}\n{limit.Tags.Close}");
        Span<byte> bytes = stackalloc byte[SHA256.HashSizeInBytes];
        hash.GetHashAndReset(bytes);
        return MemoryMarshal.Read<CacheKey>(bytes);
    }

    private static void Append(IncrementalHash hash, Prompt prompt)
    {
        Append(hash, (prompt.AddBos ? 1 : 0) + (prompt.AddEos ? 2 : 0));
        Append(hash, prompt.Tokens?.Count ?? -1);
        hash.AppendData(MemoryMarshal.AsBytes<int>(prompt.Tokens is null ? [] : [.. prompt.Tokens]));
        Append(hash, prompt.Parts.Count);
        foreach (var part in prompt.Parts)
        {
            Append(hash, part.ParseSpecial ? 1 : 0);
            Append(hash, part.Text);
            Append(hash, part.Medium is { } medium ? prompt.Media[medium].Hash : null);
        }
    }

    // The length first: so null differs from the empty text, and texts cannot be split otherwise with the same hash.
    private static void Append(IncrementalHash hash, string? text)
    {
        Append(hash, text?.Length ?? -1);
        hash.AppendData(MemoryMarshal.AsBytes(text.AsSpan()));
    }

    private static void Append(IncrementalHash hash, int number) =>
        hash.AppendData(MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in number)));

    private static GenerationOptions Effective(GenerationOptions options)
    {
        if (!options.TakesLikeliest)
            return options;
        var effective = options;
        foreach (var field in SamplingField.All)
        {
            if (field.OnlyByChance)
                effective = field.Set(effective, field.Get(NoChance));
        }
        return effective;
    }
}
