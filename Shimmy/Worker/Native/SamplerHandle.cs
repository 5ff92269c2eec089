using System.Runtime.InteropServices;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Native;

/// <summary>
/// Owns a sampler: a chain of llama.cpp's samplers, or a grammar. Keeps the model alive whose vocabulary it may point into. Used by one
/// thread at a time.
/// </summary>
internal sealed unsafe class SamplerHandle : SafeHandle
{
    private readonly ModelHandle _model;

    private SamplerHandle(nint sampler, ModelHandle model) : base(0, ownsHandle: true)
    {
        var added = false;
        model.DangerousAddRef(ref added);
        _model = model;
        SetHandle(sampler);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>An empty chain.</summary>
    public static SamplerHandle Chain(ModelHandle model) =>
        new(llama_sampler_chain_init(new LlamaSamplerChainParams { NoPerf = 1 }), model);

    /// <summary>A grammar in GBNF; null where it does not parse, which the log explains.</summary>
    public static SamplerHandle? Grammar(NativeVocabulary vocabulary, string grammar, string root) =>
        llama_sampler_init_grammar(vocabulary.Pointer, RuntimeLayout.Loaded.Spell(grammar), root) is not 0 and var sampler
            ? new SamplerHandle(sampler, vocabulary.Model)
            : null;

    // Stages of a chain; parameters as in llama.h

    public void AddGreedy() => Add(llama_sampler_init_greedy());

    public void AddDistribution(uint seed) => Add(llama_sampler_init_dist(seed));

    public void AddTopK(int k) => Add(llama_sampler_init_top_k(k));

    public void AddTopP(float p, int minKeep = 0) => Add(llama_sampler_init_top_p(p, (nuint)minKeep));

    public void AddMinP(float p, int minKeep = 0) => Add(llama_sampler_init_min_p(p, (nuint)minKeep));

    public void AddTypical(float p, int minKeep = 0) => Add(llama_sampler_init_typical(p, (nuint)minKeep));

    public void AddTopNSigma(float n) => Add(llama_sampler_init_top_n_sigma(n));

    public void AddXtc(float probability, float threshold, uint seed, int minKeep = 0) =>
        Add(llama_sampler_init_xtc(probability, threshold, (nuint)minKeep, seed));

    public void AddInfill(NativeVocabulary vocabulary) => Add(llama_sampler_init_infill(vocabulary.Pointer));

    public void AddTemperature(float temperature) => Add(llama_sampler_init_temp(temperature));

    public void AddDynamicTemperature(float temperature, float range, float exponent) =>
        Add(llama_sampler_init_temp_ext(temperature, range, exponent));

    public void AddMirostat(int vocabularySize, uint seed, float tau, float eta)
    {
        const int tokensToEstimateFrom = 100; // llama.cpp's fixed value of m
        Add(llama_sampler_init_mirostat(vocabularySize, seed, tau, eta, tokensToEstimateFrom));
    }

    public void AddAdaptiveP(float target, float decay, uint seed) => Add(llama_sampler_init_adaptive_p(target, decay, seed));

    public void AddMirostatV2(uint seed, float tau, float eta) => Add(llama_sampler_init_mirostat_v2(seed, tau, eta));

    public void AddDry(
        NativeVocabulary vocabulary, float multiplier, float dryBase, int allowedLength, int lastN, IReadOnlyList<string> breakers)
    {
        var texts = breakers.Select(text => Marshal.StringToCoTaskMemUTF8(text)).ToArray();
        try
        {
            fixed (nint* pointers = texts)
            {
                Add(RuntimeLayout.Loaded.CreateDry(
                    vocabulary, multiplier, dryBase, allowedLength, lastN, (byte**)pointers, (nuint)texts.Length));
            }
        }
        finally
        {
            foreach (var text in texts)
                Marshal.FreeCoTaskMem(text);
        }
    }

    // Use

    /// <summary>How many candidates the last <see cref="Choose"/> has left, and whether they are sorted.</summary>
    public (int Count, bool Sorted) Left { get; private set; }

    /// <summary>
    /// Chooses among the candidates, which it may reorder and change; the token, or -1 where none was chosen or the chosen logit is NaN.
    /// </summary>
    /// <param name="candidates">At least one.</param>
    /// <param name="sorted">Whether they are sorted, largest logit first.</param>
    public int Choose(Span<LlamaTokenData> candidates, bool sorted)
    {
        fixed (LlamaTokenData* data = candidates)
        {
            var array = new LlamaTokenDataArray
            {
                Data = data,
                Size = (nuint)candidates.Length,
                Selected = -1,
                Sorted = sorted ? (byte)1 : (byte)0,
            };
            llama_sampler_apply(this, &array);
            Left = ((int)array.Size, array.Sorted != 0);
            return array.Selected >= 0 && (nuint)array.Selected < array.Size && !float.IsNaN(data[array.Selected].Logit)
                ? data[array.Selected].Id
                : -1;
        }
    }

    /// <summary>Sets the logits of the candidates that a grammar forbids to negative infinity; their order stays.</summary>
    public void Forbid(Span<LlamaTokenData> candidates)
    {
        if (candidates.IsEmpty)
            return;
        fixed (LlamaTokenData* data = candidates)
        {
            var array = new LlamaTokenDataArray { Data = data, Size = (nuint)candidates.Length, Selected = -1 };
            llama_sampler_apply(this, &array);
        }
    }

    /// <summary>Takes a chosen token into account. A grammar ends the process on one that it forbids.</summary>
    public void Accept(int token) => llama_sampler_accept(this, token);

    protected override bool ReleaseHandle()
    {
        llama_sampler_free(handle);
        _model.DangerousRelease();
        return true;
    }

    private void Add(nint stage) => llama_sampler_chain_add(this, stage);
}
