using System.Globalization;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>What a picker knows of a server: its load as it was scraped last, and the blocks of prompts that were sent there.</summary>
internal sealed class PickedServer
{
    private const int MostBlocks = 31_250;

    private readonly Dictionary<ulong, LinkedListNode<ulong>> _blocks = [];
    private readonly LinkedList<ulong> _byUse = new();

    public double Queue { get; set; }

    public double Usage { get; set; }

    /// <summary>How many of these blocks, from the first on, were sent here before.</summary>
    public int Matches(IReadOnlyList<ulong> blocks)
    {
        var matches = 0;
        while (matches < blocks.Count && _blocks.ContainsKey(blocks[matches]))
            matches++;
        return matches;
    }

    /// <summary>Notes that these blocks are sent here; the least recently sent ones are forgotten.</summary>
    public void Send(IReadOnlyList<ulong> blocks)
    {
        foreach (var block in blocks)
        {
            if (_blocks.TryGetValue(block, out var node))
                _byUse.Remove(node);
            _blocks[block] = _byUse.AddLast(block);
        }
        while (_blocks.Count > MostBlocks)
        {
            _blocks.Remove(_byUse.First!.Value);
            _byUse.RemoveFirst();
        }
    }
}

/// <summary>
/// The endpoint picker of the Gateway API inference extension as it is described: each server gets a score by its queue, by the use of its
/// KV cache, and, twice as heavy, by how much of the prompt was sent there before, in blocks of 64 tokens of about four bytes; the highest
/// sum wins, and chance among equals.
/// </summary>
internal sealed class EndpointPicker(IReadOnlyList<PickedServer> servers, int seed)
{
    private const int BlockBytes = 64 * 4;
    private const double WeightOfPrefix = 2;

    private readonly Random _random = new(seed);

    /// <summary>Chooses the server of a prompt, and notes the choice.</summary>
    public int Pick(string prompt)
    {
        var blocks = BlocksOf(prompt);
        var (least, most) = (servers.Min(server => server.Queue), servers.Max(server => server.Queue));
        var (best, chosen, equals) = (double.MinValue, 0, 0);
        for (var i = 0; i < servers.Count; i++)
        {
            var server = servers[i];
            var score = (most > least ? (most - server.Queue) / (most - least) : 1) + 1 - server.Usage
                + (blocks.Count == 0 ? 0 : WeightOfPrefix * server.Matches(blocks) / blocks.Count);
            if (score > best + 1e-9)
                (best, chosen, equals) = (score, i, 1);
            else if (score > best - 1e-9 && _random.Next(++equals) == 0)
                chosen = i;
        }
        servers[chosen].Send(blocks);
        return chosen;
    }

    /// <summary>
    /// Reads a scrape: of each family the series with the highest timestamp, else the first, as Prometheus' text format has it. Throws
    /// <see cref="FormatException"/> where a family is missing or a line is none.
    /// </summary>
    public static void Read(string scrape, PickedServer into)
    {
        into.Queue = Value(scrape, "shimmy_requests_waiting");
        _ = Value(scrape, "shimmy_requests_running");
        _ = Value(scrape, "shimmy_lora_requests_info");
        _ = Value(scrape, "shimmy_kv_block_size_tokens");
        _ = Value(scrape, "shimmy_kv_blocks");
        into.Usage = Value(scrape, "shimmy_kv_cache_usage_ratio");
    }

    private static double Value(string scrape, string family)
    {
        var (found, value, time) = (false, 0.0, long.MinValue);
        foreach (var line in scrape.Split('\n'))
        {
            if (!line.StartsWith(family, StringComparison.Ordinal) || line.Length == family.Length
                || line[family.Length] is not ('{' or ' '))
            {
                continue;
            }
            var close = line[family.Length] == '{' ? line.LastIndexOf('}') : family.Length - 1;
            if (close < 0)
                throw new FormatException($"labels without an end: {line}");
            var words = line[(close + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var stamp = words.Length > 1 ? long.Parse(words[1], CultureInfo.InvariantCulture) : long.MinValue;
            if (found && stamp <= time)
                continue;
            (found, value, time) = (true, double.Parse(words[0], CultureInfo.InvariantCulture), stamp);
        }
        return found ? value : throw new FormatException($"the family {family} is missing");
    }

    // Each block stands for all that is before it, too.
    private static List<ulong> BlocksOf(string prompt)
    {
        var blocks = new List<ulong>();
        var hash = 14695981039346656037UL;
        for (var i = 0; i < prompt.Length; i++)
        {
            hash = (hash ^ prompt[i]) * 1099511628211UL;
            if ((i + 1) % BlockBytes == 0)
                blocks.Add(hash);
        }
        return blocks;
    }
}
