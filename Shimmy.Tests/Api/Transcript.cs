using System.Text.RegularExpressions;

namespace Shimmy.Tests.Api;

/// <summary>Answers with what differs from one to the next made equal.</summary>
internal static partial class Transcript
{
    /// <summary>Puts ID in place of the id, which must be one throughout, and 0 in place of the time, which must be now.</summary>
    public static string Of(string answer)
    {
        Assert.HasCount(1, Id().Matches(answer).Select(id => id.Value).Distinct().ToList());
        var times = Created().Matches(answer)
            .Select(time => long.Parse(time.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)).Distinct().ToList();
        // Anthropic's messages tell no time.
        Assert.IsLessThanOrEqualTo(1, times.Count);
        foreach (var time in times)
            Assert.IsInRange(time - 60, time + 60, DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        return Created().Replace(Id().Replace(answer, "$1ID"), "\"created\":0");
    }

    [GeneratedRegex("(chatcmpl-|cmpl-|msg_)[0-9a-f]{24}")]
    private static partial Regex Id();

    [GeneratedRegex("\"created\":([0-9]+)")]
    private static partial Regex Created();
}
