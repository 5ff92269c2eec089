using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Http;
using Shimmy.Models.Pull;
using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>GET /api/events</c>: what the server does, as server-sent events. First one <c>hello</c>, then <c>requests</c>, <c>models</c>,
/// <c>pulls</c>, <c>log</c> and <c>figures</c> with what there is, and each again when it changes (docs/page.md). Ends when the server
/// stops.
/// </summary>
internal static class Events
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(15);

    public static void Map(RouteTable routes) => routes.MapRead("/api/events", HandleAsync, RoutePolicy.Quiet | RoutePolicy.DuringDrain);

    private static async Task HandleAsync(HttpContext context)
    {
        SseResponse.SetHeaders(context);
        if (HttpMethods.IsHead(context.Request.Method))
            return;
        var state = context.RequestServices.GetRequiredService<ServerState>();
        var view = new View(context, state);
        var output = context.Response.BodyWriter;
        view.WriteHello(output);
        using var timer = new PeriodicTimer(Pace);
        for (var silent = TimeSpan.Zero; ; silent += Pace)
        {
            if (view.WriteChanges(output))
                silent = TimeSpan.Zero;
            if (silent >= PingInterval)
            {
                output.Write(": still here\n\n"u8);
                silent = TimeSpan.Zero;
            }
            if ((await output.FlushAsync(context.RequestAborted)).IsCompleted || state.Draining)
                return;
            await Task.WhenAny(timer.WaitForNextTickAsync(context.RequestAborted).AsTask(), state.DrainBegun);
            context.RequestAborted.ThrowIfCancellationRequested();
        }
    }

    // What one listener has been sent.
    private sealed class View(HttpContext context, ServerState state)
    {
        private readonly LiveRequests _requests = context.RequestServices.GetRequiredService<LiveRequests>();
        private readonly LiveFigures _figures = context.RequestServices.GetRequiredService<LiveFigures>();
        private readonly ModelResidency _residency = context.RequestServices.GetRequiredService<ModelResidency>();
        private readonly PullService? _pulls = context.RequestServices.GetService<PullService>();
        private readonly LogTail? _log = context.RequestServices.GetService<LogTail>();
        private readonly string? _key = RequestContext.Of(context).Client?.Name;
        private long _lastEnded;
        private long _lastFigures;
        private long _lastLine;
        private bool _anyRan;
        private string _models = "";
        private string _runs = "[]";

        public void WriteHello(IBufferWriter<byte> output) => Write(output, "hello", json =>
        {
            json.WriteStartObject();
            json.WriteString("version", ServerState.Version);
            json.WriteNumber("uptime_seconds", Math.Round(state.Uptime.TotalSeconds, 1));
            json.WriteNumber("figures_seconds", LiveFigures.Interval.TotalSeconds);
            json.WriteBoolean("prompts", state.LogsPrompts);
            json.WriteEndObject();
        });

        public bool WriteChanges(IBufferWriter<byte> output)
        {
            var wrote = WriteWhereChanged(output, "models", ref _models, _residency.Resident, WriteModel);
            if (_pulls is not null)
                wrote |= WriteWhereChanged(output, "pulls", ref _runs, _pulls.Runs, WritePull);
            var running = _requests.Running;
            var ended = _requests.EndedAfter(_lastEnded);
            if (running.Count > 0 || _anyRan || ended.Count > 0)
            {
                WriteRequests(output, running, ended);
                wrote = true;
            }
            _anyRan = running.Count > 0;
            _lastEnded = ended.Count == 0 ? _lastEnded : ended[^1].Number;
            if (_log?.After(_lastLine) is [.., var line] lines)
            {
                Write(output, "log", json => WriteArray(json, lines, WriteLine));
                (_lastLine, wrote) = (line.Number, true);
            }
            if (_figures.After(_lastFigures) is [.., var last] points)
            {
                Write(output, "figures", json => WriteArray(json, points, WriteFigures));
                (_lastFigures, wrote) = (last.Number, true);
            }
            return wrote;
        }

        private static bool WriteWhereChanged<T>(
            IBufferWriter<byte> output, string name, ref string sent, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
        {
            var buffer = new ArrayBufferWriter<byte>(512);
            using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
                WriteArray(json, items, write);
            var text = Encoding.UTF8.GetString(buffer.WrittenSpan);
            if (text == sent)
                return false;
            sent = text;
            Write(output, name, json => json.WriteRawValue(text));
            return true;
        }

        private static void WritePull(Utf8JsonWriter json, PullRun run) => PullEndpoint.WriteStep(json, run.Name.Canonical, run.Latest);

        private void WriteModel(Utf8JsonWriter json, ResidentModel model)
        {
            json.WriteStartObject();
            json.WriteString("name", model.Entry.Name);
            json.WriteString("status", ModelLifecycle.StatusOf(model));
            json.WriteNumber("progress", Math.Round(model.Progress, 2));
            json.WriteNumber("memory_bytes", model.MemoryBytes);
            json.WriteNumber("requests_active", model.Requests);
            json.WriteBoolean("pinned", model.Pinned);
            NativeJson.WriteTime(json, "expires_at", model.ExpiresAt);
            NativeJson.WriteFormat(json, _residency.ConversionOf(model.Entry));
            json.WriteEndObject();
        }

        private void WriteRequests(IBufferWriter<byte> output, IReadOnlyList<LiveRequest> running, IReadOnlyList<EndedRequest> ended) =>
            Write(output, "requests", json =>
            {
                json.WriteStartObject();
                json.WriteStartArray("running");
                var places = new Dictionary<string, int>(StringComparer.Ordinal);
                foreach (var request in running)
                    WriteRunning(json, request, places);
                json.WriteEndArray();
                json.WriteStartArray("ended");
                foreach (var request in ended)
                    WriteEnded(json, request);
                json.WriteEndArray();
                json.WriteEndObject();
            });

        private void WriteRunning(Utf8JsonWriter json, LiveRequest request, Dictionary<string, int> places)
        {
            var record = request.Record;
            var used = record.Usage;
            var stage = record.Stage;
            json.WriteStartObject();
            WriteHead(json, request.Id, request.Method, request.Path, record.Model, record.Client?.Name, record.StartedAt);
            json.WriteString("state", stage);
            if (stage is "loading" or "queued")
            {
                // Requests are served in the order of their arrival, but for those of other priorities.
                var place = places[record.Model ?? ""] = places.GetValueOrDefault(record.Model ?? "") + 1;
                json.WriteNumber("place", place);
            }
            WriteTokens(json, used?.PromptTokens ?? 0, used?.CachedTokens ?? 0, used?.CompletionTokens ?? 0);
            WriteMilliseconds(json, "first_token_ms", record.ToFirstToken);
            WriteMilliseconds(json, "elapsed_ms", record.Elapsed);
            WriteTexts(json, record.Client?.Name, record.PromptText, record.AnswerText);
            json.WriteEndObject();
        }

        private void WriteEnded(Utf8JsonWriter json, EndedRequest request)
        {
            var of = request.Summary;
            var decode = of.Answers.Sum(answer => answer.DecodeMilliseconds);
            json.WriteStartObject();
            WriteHead(json, of.Id, of.Method, of.Path, of.Model, of.Key, of.StartedAt);
            json.WriteString("state", "ended");
            json.WriteNumber("status", of.Status);
            if ((of.BrokenBy ?? of.Refusal) is { } why)
                json.WriteString("error", why);
            if (of.Cache is { } cache)
                json.WriteString("response_cache", cache);
            WriteTokens(json, of.PromptTokens, of.CachedTokens, of.GeneratedTokens);
            json.WriteNumber("queue_ms", Math.Round(of.Answers.Count == 0 ? 0 : of.Answers.Max(answer => answer.QueueMilliseconds), 1));
            WriteMilliseconds(json, "first_token_ms", of.ToFirstToken);
            WriteMilliseconds(json, "elapsed_ms", of.Elapsed);
            if (decode > 0)
            {
                json.WriteNumber("tokens_per_second",
                    Math.Round(of.Answers.Sum(answer => Math.Max(0, answer.Tokens - 1)) * 1000 / decode, 1));
            }
            WriteTexts(json, of.Key, request.Prompt, request.Answer);
            json.WriteEndObject();
        }

        // What another key's holder asked is no business of this one's.
        private void WriteTexts(Utf8JsonWriter json, string? key, string? prompt, string? answer)
        {
            if (prompt is null || key != _key)
                return;
            json.WriteString("prompt", prompt);
            json.WriteString("answer", answer);
        }

        private static void WriteHead(Utf8JsonWriter json, string id, string method, string path, string? model, string? key,
            DateTimeOffset started)
        {
            json.WriteString("id", id);
            json.WriteString("method", method);
            json.WriteString("path", path);
            json.WriteString("model", model);
            json.WriteString("key", key);
            NativeJson.WriteTime(json, "started_at", started);
        }

        private static void WriteTokens(Utf8JsonWriter json, int prompt, int cached, int generated)
        {
            json.WriteNumber("prompt_tokens", prompt);
            json.WriteNumber("cached_tokens", cached);
            json.WriteNumber("generated_tokens", generated);
        }

        private static void WriteLine(Utf8JsonWriter json, LogLine line)
        {
            json.WriteStartObject();
            NativeJson.WriteTime(json, "time", line.Time);
            json.WriteString("level", Name(line.Level));
            json.WriteString("category", line.Category);
            json.WriteString("text", line.Text);
            json.WriteEndObject();

            static string Name(LogLevel level) => level switch
            {
                LogLevel.Trace => "trace",
                LogLevel.Debug => "debug",
                LogLevel.Information => "information",
                LogLevel.Warning => "warning",
                LogLevel.Error => "error",
                _ => "critical",
            };
        }

        private static void WriteFigures(Utf8JsonWriter json, Figures point)
        {
            json.WriteStartObject();
            NativeJson.WriteTime(json, "time", point.Time);
            json.WriteNumber("tokens_per_second", Math.Round(point.TokensPerSecond, 2));
            if (point.FirstTokenMilliseconds is { } first)
                json.WriteNumber("first_token_ms", Math.Round(first, 1));
            else
                json.WriteNull("first_token_ms");
            json.WriteNumber("running", point.Running);
            json.WriteNumber("waiting", point.Waiting);
            json.WriteNumber("server_bytes", point.ServerBytes);
            json.WriteNumber("models_bytes", point.ModelsBytes);
            json.WriteEndObject();
        }

        private static void WriteMilliseconds(Utf8JsonWriter json, string name, TimeSpan? time)
        {
            if (time is { } known)
                json.WriteNumber(name, Math.Round(known.TotalMilliseconds, 1));
            else
                json.WriteNull(name);
        }

        private static void WriteArray<T>(Utf8JsonWriter json, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
        {
            json.WriteStartArray();
            foreach (var item in items)
                write(json, item);
            json.WriteEndArray();
        }

        private static void Write(IBufferWriter<byte> output, string name, Action<Utf8JsonWriter> write)
        {
            output.Write(Encoding.UTF8.GetBytes($"event: {name}\n"));
            SseResponse.WriteData(output, write);
        }
    }
}
