using Microsoft.Extensions.Logging;

namespace Shimmy.Server.Recording;

/// <summary>A recording in memory: requests and their answers.</summary>
internal sealed partial class RecordingIndex
{
    private readonly Dictionary<string, Answers> _answers = [];

    private RecordingIndex(string path, IReadOnlyList<string> ignoredFields) => (Path, IgnoredFields) = (path, ignoredFields);

    /// <summary>Path of the recording.</summary>
    public string Path { get; }

    /// <summary>Fields of request bodies that make no difference (<see cref="Http.Dialect.UnrecordedFields"/>).</summary>
    public IReadOnlyList<string> IgnoredFields { get; }

    /// <summary>Exchanges that it has.</summary>
    public int Count { get; private set; }

    /// <summary>The models that answered, in the order in which they first did.</summary>
    public IReadOnlyList<string> Models { get; private set; } = [];

    /// <summary>
    /// Reads a recording. A broken line, as a crash may leave at the end, is skipped and named in the log. Throws <see cref="IOException"/>
    /// for a file that cannot be read, or is not a recording.
    /// </summary>
    public static RecordingIndex Read(string path, IReadOnlyList<string> ignoredFields, ILogger logger)
    {
        var recordingIndex = new RecordingIndex(path, ignoredFields);
        var models = new List<string>();
        var bytes = BytesOf(path);
        for (var number = 1; bytes.Length > 0; number++)
        {
            var end = bytes.Span.IndexOf((byte)'\n');
            var line = bytes[..(end < 0 ? bytes.Length : end)];
            bytes = bytes[(end < 0 ? bytes.Length : end + 1)..];
            if (number == 1)
            {
                if (!RecordingFile.IsHead(line.Span))
                    throw new IOException($"cannot replay '{path}': {RecordingFile.WhyNone}");
                continue;
            }
            if (line.Span.Trim(" \t\r"u8).IsEmpty)
                continue;
            try
            {
                var exchange = ExchangeLine.Read(line, ignoredFields);
                recordingIndex.Add(exchange);
                if (exchange is { Status: < 400, Request.Model: { } model } && !models.Contains(model))
                    models.Add(model);
            }
            catch (FormatException e)
            {
                LogBroken(logger, path, number, e.Message);
            }
        }
        recordingIndex.Models = models;
        return recordingIndex;
    }

    /// <summary>
    /// The answer to a request; null where none was recorded. One that was recorded several times is answered in that order, and then
    /// always as the last time.
    /// </summary>
    public Exchange? Find(CanonicalRequest request) => _answers.TryGetValue(request.Key, out var answers) ? answers.Next() : null;

    /// <summary>
    /// Why a request has no answer, as the end of a sentence: in what it differs from the recorded one that is most like it.
    /// </summary>
    public string Explain(CanonicalRequest request)
    {
        var alike = _answers.Values.Select(answers => answers.First.Request).Where(other => other.Route == request.Route).ToList();
        if (alike.Count == 0)
            return "it has nothing for this route";
        var nearest = alike.Select(other => Differences(other, request)).MinBy(names => names.Count)!;
        return nearest.Count == 0
            ? "its body is another"
            : $"the nearest of {alike.Count} for this route differs in {string.Join(", ", nearest)}";
    }

    private static ReadOnlyMemory<byte> BytesOf(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"cannot replay '{path}': {e.Message}", e);
        }
    }

    private void Add(Exchange exchange)
    {
        Count++;
        if (_answers.TryGetValue(exchange.Request.Key, out var answers))
            answers.Add(exchange);
        else
            _answers.Add(exchange.Request.Key, new Answers(exchange));
    }

    private static List<string> Differences(CanonicalRequest one, CanonicalRequest other) =>
        [.. one.Fields.Keys.Union(other.Fields.Keys)
            .Where(name => one.Fields.GetValueOrDefault(name) != other.Fields.GetValueOrDefault(name)).Order(StringComparer.Ordinal)];

    [LoggerMessage(LogLevel.Warning, "{Path}, line {Line} is skipped: {Reason}")]
    private static partial void LogBroken(ILogger logger, string path, int line, string reason);

    /// <summary>The answers to one request.</summary>
    private sealed class Answers(Exchange first)
    {
        private readonly List<Exchange> _all = [first];
        private int _next;

        public Exchange First => _all[0];

        public void Add(Exchange exchange) => _all.Add(exchange);

        // Counts no further than the last, so that it never wraps around.
        public Exchange Next() => _next >= _all.Count ? _all[^1] : _all[Math.Min(Interlocked.Increment(ref _next) - 1, _all.Count - 1)];
    }
}
