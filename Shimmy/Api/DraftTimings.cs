using System.Text.Json;
using Shimmy.Engine;

namespace Shimmy.Api;

/// <summary>llama.cpp's <c>draft_n</c> and <c>draft_n_accepted</c> inside an object of times, where anything was drafted.</summary>
internal static class DraftTimings
{
    /// <summary>Writes them.</summary>
    public static void Write(Utf8JsonWriter json, GenerationTimings timings)
    {
        if (timings.DraftedTokens == 0)
            return;
        json.WriteNumber("draft_n", timings.DraftedTokens);
        json.WriteNumber("draft_n_accepted", timings.AcceptedTokens);
    }
}
