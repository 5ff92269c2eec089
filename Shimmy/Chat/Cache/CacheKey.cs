using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Models.Residency;

namespace Shimmy.Chat.Cache;

/// <summary>
/// What an answer depends on, as a SHA-256: the model (<see cref="ModelIdentity"/>), the rendered prompt, every option that has a say, the
/// grammar, what is shown of control tokens, and how long the model may think. Not the dialect, which is gone by then.
/// </summary>
internal readonly record struct CacheKey(UInt128 High, UInt128 Low)
{
    private static readonly GenerationOptions NoChance = new() { Temperature = 0 };

    /// <summary>
    /// The key of an answer. The request is hashed in the form in which it crosses to the worker: an option that changes an answer is in
    /// it.
    /// </summary>
    public static CacheKey Of(ILoadedModel model, GenerationRequest request, ReasoningLimit? limit)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(MemoryMarshal.AsBytes(ModelIdentity.Of(model).AsSpan()));
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(request with { Options = Effective(request.Options) },
            WorkerJson.Default.GenerationRequest));
        if (limit is not null)
            hash.AppendData(MemoryMarshal.AsBytes($"{limit.Tokens} {limit.Begun} {limit.Marks.Open}\n{limit.Marks.Close}".AsSpan()));
        Span<byte> bytes = stackalloc byte[SHA256.HashSizeInBytes];
        hash.GetHashAndReset(bytes);
        return MemoryMarshal.Read<CacheKey>(bytes);
    }

    /// <summary>Whether XTC leaves out tokens by chance, even at temperature 0 (as Worker/Sampling/Sampler has it).</summary>
    public static bool DrawsByXtc(GenerationOptions options) => options is { XtcProbability: > 0, XtcThreshold: <= 0.5f };

    // At temperature 0 the sampler takes the best token and builds nothing of what only narrows a choice by chance. Typical sampling and
    // XTC may drop the best, and then what else narrows counts too.
    private static GenerationOptions Effective(GenerationOptions options)
    {
        if (options.Temperature > 0 || options.Mirostat != 0 || options.TypicalP < 1 || DrawsByXtc(options))
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
