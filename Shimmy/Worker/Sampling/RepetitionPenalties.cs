using Shimmy.Engine;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// llama.cpp's penalties sampler over the last tokens of a sequence, applied to the logits in place: a token seen before has its
/// logit divided by the repeat penalty (multiplied where negative: Keskar et al. 2019, as llama.cpp amends it), then loses the
/// frequency penalty once per occurrence and the presence penalty once.
/// </summary>
internal sealed class RepetitionPenalties
{
    private readonly Queue<int> _window = new();
    private readonly Dictionary<int, int> _counts = [];
    private readonly int _length;
    private readonly float _repeat;
    private readonly float _frequency;
    private readonly float _presence;

    private RepetitionPenalties(int length, float repeat, float frequency, float presence)
    {
        _length = length;
        _repeat = repeat;
        _frequency = frequency;
        _presence = presence;
    }

    /// <summary>The penalties that the options ask for; null where they ask for none.</summary>
    public static RepetitionPenalties? Of(GenerationOptions options, int contextLength)
    {
        var length = options.RepeatLastN < 0 ? contextLength : options.RepeatLastN;
        return length == 0 || options is { RepeatPenalty: 1f, FrequencyPenalty: 0f, PresencePenalty: 0f }
            ? null
            : new RepetitionPenalties(length, options.RepeatPenalty, options.FrequencyPenalty, options.PresencePenalty);
    }

    /// <summary>Adds a token of the sequence to the window.</summary>
    public void Accept(int token)
    {
        _window.Enqueue(token);
        _counts[token] = _counts.GetValueOrDefault(token) + 1;
        if (_window.Count <= _length)
            return;
        var oldest = _window.Dequeue();
        if (--_counts[oldest] == 0)
            _counts.Remove(oldest);
    }

    /// <summary>Penalizes the logits of the tokens in the window.</summary>
    public void Apply(Span<float> logits)
    {
        foreach (var (token, count) in _counts)
        {
            Penalize(ref logits[token], count);
        }
    }

    /// <summary>Penalizes the logits of the candidates that are in the window.</summary>
    public void Apply(Span<LlamaTokenData> candidates)
    {
        foreach (ref var candidate in candidates)
        {
            if (_counts.TryGetValue(candidate.Id, out var count))
                Penalize(ref candidate.Logit, count);
        }
    }

    private void Penalize(ref float logit, int count)
    {
        logit = logit <= 0 ? logit * _repeat : logit / _repeat;
        logit -= count * _frequency + _presence;
    }
}
