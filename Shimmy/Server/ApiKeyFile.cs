using System.Globalization;
using System.Security.Cryptography;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Reads the values of <c>--api-key</c>: a key, its hash (<c>sha256:HEX</c>), or <c>@FILE</c>. A line of the file is
/// <c>NAME KEY [concurrency=N] [tokens_per_minute=N] [rank=N]</c>, KEY being a key or its hash; empty lines and those behind # say nothing.
/// </summary>
internal static class ApiKeyFile
{
    private const string HashPrefix = "sha256:";
    private const int ShownDigits = 8;

    /// <summary>The keys. Throws <see cref="FormatException"/> with a message for the user, which never holds a key.</summary>
    public static IReadOnlyList<ApiKey> Read(IReadOnlyList<string> values)
    {
        var keys = new List<ApiKey>();
        foreach (var value in values)
        {
            if (string.IsNullOrWhiteSpace(value))
                throw new FormatException("a key may not be empty");
            if (value[0] != '@')
            {
                var hash = HashOf(value, "a key");
                keys.Add(new ApiKey("key-" + Convert.ToHexStringLower(hash)[..ShownDigits], hash));
                continue;
            }
            var file = value[1..];
            var number = 0;
            foreach (var line in Lines(file))
            {
                number++;
                if (line.AsSpan().TrimStart() is [] or ['#', ..])
                    continue;
                keys.Add(KeyOf(line, $"{file}, line {number}"));
            }
        }
        if (keys.GroupBy(key => key.Name, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw new FormatException($"two keys are called '{twice.Key}'");
        if (keys is [var only])
            only.IsOnly = true;
        return values.Count > 0 && keys.Count == 0 ? throw new FormatException("the files hold no key") : keys;
    }

    private static string[] Lines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new FormatException($"cannot read {file}: {e.Message}", e);
        }
    }

    private static ApiKey KeyOf(string line, string where)
    {
        var words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < 2)
            throw new FormatException($"{where}: must be NAME KEY, optionally followed by concurrency=N, tokens_per_minute=N or rank=N");
        var settings = new Dictionary<string, int> { ["concurrency"] = 0, ["tokens_per_minute"] = 0, ["rank"] = 0 };
        foreach (var word in words[2..])
        {
            var equals = word.IndexOf('=', StringComparison.Ordinal);
            var name = equals < 0 ? "" : word[..equals];
            // Not the word itself: it may be part of a key that has a space in it.
            if (!settings.ContainsKey(name))
                throw new FormatException($"{where}: only settings may follow the key: concurrency=N, tokens_per_minute=N or rank=N");
            if (!int.TryParse(word[(equals + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
                || (number < 0 && name != "rank"))
            {
                throw new FormatException($"{where}: {name} must be a whole number{(name == "rank" ? "" : " of at least 0")}");
            }

            settings[name] = number;
        }
        return new ApiKey(words[0], HashOf(words[1], where))
        {
            Concurrency = settings["concurrency"],
            TokensPerMinute = settings["tokens_per_minute"],
            Rank = settings["rank"],
        };
    }

    private static byte[] HashOf(string key, string where)
    {
        if (!key.StartsWith(HashPrefix, StringComparison.Ordinal))
            return ApiKey.HashOf(key);
        var digits = key[HashPrefix.Length..];
        return digits.Length == SHA256.HashSizeInBytes * 2 && digits.All(char.IsAsciiHexDigit)
            ? Convert.FromHexString(digits)
            : throw new FormatException($"{where}: after {HashPrefix} {SHA256.HashSizeInBytes * 2} hexadecimal digits are required");
    }
}
