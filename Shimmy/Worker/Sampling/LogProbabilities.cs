using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>Log probabilities of one step, taken from the logits before any sampler changes them.</summary>
internal sealed class LogProbabilities
{
    private readonly float[] _logits;
    private readonly double _logSum;
    private readonly int _top;

    public LogProbabilities(ReadOnlySpan<float> logits, int top)
    {
        _logits = logits.ToArray();
        _top = top;
        var best = TopCandidates.IndexOfMax(logits);
        var max = best < 0 ? 0f : logits[best];
        double sum = 0;
        foreach (var logit in logits)
            sum += float.IsNaN(logit) ? 0 : Math.Exp(logit - max);
        _logSum = max + Math.Log(sum);
    }

    /// <summary>Log probability of the chosen token, with the most likely tokens.</summary>
    public TokenLogProbability Of(int token, Vocabulary vocabulary)
    {
        if (_top == 0)
            return new TokenLogProbability(Log(token), []);
        var candidates = new LlamaTokenData[_top + 1024];
        var count = TopCandidates.Select(_logits, _top, candidates);
        var top = new TopToken[count];
        for (var i = 0; i < count; i++)
            top[i] = new TopToken(candidates[i].Id, vocabulary.Piece(candidates[i].Id), Log(candidates[i].Id));
        return new TokenLogProbability(Log(token), top);
    }

    private float Log(int token) => (float)(_logits[token] - _logSum);
}
