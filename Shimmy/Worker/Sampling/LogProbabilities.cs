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

    /// <summary>
    /// Log probability of the chosen token, with the most likely tokens, and behind them the chosen one where the answer does not show its
    /// text.
    /// </summary>
    public TokenLogProbability Of(int token, Vocabulary vocabulary)
    {
        var candidates = _top == 0 ? [] : new LlamaTokenData[_top + 1024];
        var count = _top == 0 ? 0 : TopCandidates.Select(_logits, _top, candidates);
        var top = new List<TopToken>(count + 1);
        for (var i = 0; i < count; i++)
            top.Add(Shown(candidates[i].Id));
        // A control token adds no text to the answer: how it is spelled stands here alone.
        if (vocabulary.Piece(token).Length == 0 && !top.Exists(one => one.Token == token))
            top.Add(Shown(token));
        return new TokenLogProbability(Log(token), top);

        TopToken Shown(int id) => new(id, vocabulary.Shown(id), Log(id));
    }

    private float Log(int token) => (float)(_logits[token] - _logSum);
}
