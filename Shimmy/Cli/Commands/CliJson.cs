using System.Text;
using System.Text.Json;
using Shimmy.Engine;

namespace Shimmy.Cli.Commands;

/// <summary>JSON of the results that the commands print with <c>--json</c>.</summary>
internal static class CliJson
{
    public static string Of(IReadOnlyList<ModelListItem> models) => Text(json => Array(json, models, Write));

    public static string Of(IReadOnlyList<RunningModel> models) => Text(json => Array(json, models, static (json, model) =>
    {
        json.WriteStartObject();
        json.WriteString("model", model.Model);
        json.WriteString("status", model.Status);
        json.WriteNumber("memory_bytes", model.MemoryBytes);
        json.WriteString("backend", model.Backend);
        json.WriteNumber("requests_active", model.RequestsActive);
        if (model.ExpiresAt is { } end)
            json.WriteString("expires_at", end);
        else
            json.WriteNull("expires_at");
        json.WriteString("server", model.Server);
        json.WriteEndObject();
    }));

    public static string Of(DiscoveryReport report) => Text(json =>
    {
        json.WriteStartObject();
        json.WritePropertyName("models");
        Array(json, report.Models, Write);
        json.WritePropertyName("skipped");
        Array(json, report.Skipped, static (json, file) =>
        {
            json.WriteStartObject();
            json.WriteString("path", file.Path);
            json.WriteString("origin", file.Origin);
            json.WriteString("reason", file.Reason);
            json.WriteBoolean("is_folder", file.IsFolder);
            json.WriteEndObject();
        });
        json.WritePropertyName("places");
        Array(json, report.Places, static (json, place) =>
        {
            json.WriteStartObject();
            json.WriteString("origin", place.Origin);
            json.WriteString("path", place.Path);
            json.WriteBoolean("exists", place.Exists);
            json.WriteEndObject();
        });
        json.WriteNumber("elapsed_milliseconds", report.ElapsedMilliseconds);
        json.WriteEndObject();
    });

    public static string Of(ProbeReport report) => Text(json =>
    {
        json.WriteStartObject();
        json.WriteString("model", report.Model);
        json.WriteString("path", report.Path);
        json.WriteString("format", report.Format);
        json.WriteString("converted", report.Converted);
        json.WriteString("description", report.Description);
        json.WriteNumber("parameter_count", report.ParameterCount);
        json.WriteNumber("context_length", report.ContextLength);
        json.WriteNumber("trained_context_length", report.TrainedContextLength);
        Texts(json, "capabilities", report.Capabilities);
        json.WriteString("projector", report.Projector);
        json.WriteString("why_blind", report.ProjectorSkipReason);
        json.WriteString("why_deaf", report.AudioUnsupportedReason);
        json.WriteNumber("load_milliseconds", report.LoadMilliseconds);
        json.WriteNumber("first_token_milliseconds", report.FirstTokenMilliseconds);
        json.WriteNumber("estimated_bytes", report.EstimatedBytes);
        json.WriteNumber("resident_bytes", report.ResidentBytes);
        json.WriteNumber("tensor_bytes", report.TensorBytes);
        json.WriteNumber("threads", report.Threads);
        json.WriteNumber("batch_threads", report.BatchThreads);
        json.WriteString("backend", report.Backend);
        json.WriteNumber("gpu_layers", report.GpuLayers);
        json.WriteNumber("layers", report.Layers);
        json.WriteString("layer_reason", report.LayerReason);
        json.WritePropertyName("memory");
        Array(json, report.Memory, static (json, memory) =>
        {
            json.WriteStartObject();
            json.WriteString("device", memory.Device);
            json.WriteNumber("tensor_bytes", memory.TensorBytes);
            json.WriteNumber("expert_bytes", memory.ExpertBytes);
            json.WriteNumber("buffer_bytes", memory.BufferBytes);
            json.WriteNumber("cache_bytes", memory.CacheBytes);
            json.WriteNumber("compute_bytes", memory.ComputeBytes);
            json.WriteEndObject();
        });
        json.WritePropertyName("devices");
        Array(json, report.Devices, Write);
        json.WriteString("runtime", report.Runtime);
        json.WriteString("runtime_reason", report.RuntimeReason);
        json.WriteString("library_version", report.LibraryVersion);
        json.WriteEndObject();
    });

    public static string Of(BenchReport report) => Text(json =>
    {
        json.WriteStartObject();
        json.WriteString("model", report.Model);
        json.WriteNumber("size_bytes", report.SizeBytes);
        Texts(json, "devices", report.Devices);
        json.WriteNumber("threads", report.Threads);
        json.WriteNumber("batch_threads", report.BatchThreads);
        json.WriteNumber("load_milliseconds", report.LoadMilliseconds);
        json.WriteNumber("prompt_tokens", report.PromptTokens);
        json.WriteNumber("generated_tokens", report.GeneratedTokens);
        json.WriteNumber("parallel", report.Parallel);
        json.WriteNumber("runs", report.Runs);
        Write(json, "prompt_tokens_per_second", report.PromptTokensPerSecond);
        Write(json, "generation_tokens_per_second", report.GenerationTokensPerSecond);
        Write(json, "time_to_first_token_milliseconds", report.TimeToFirstTokenMilliseconds);
        json.WriteEndObject();
    });

    public static string Of(BackendReport report) => Text(json =>
    {
        json.WriteStartObject();
        json.WriteString("library_version", report.LibraryVersion);
        json.WriteString("runtime_directory", report.RuntimeDirectory);
        json.WritePropertyName("runtimes");
        Array(json, report.Runtimes, static (json, runtime) =>
        {
            json.WriteStartObject();
            json.WriteString("name", runtime.Name);
            json.WriteString("directory", runtime.Directory);
            json.WriteString("version", runtime.Version);
            json.WriteBoolean("media", runtime.Media);
            Texts(json, "gpus", runtime.Gpus);
            json.WriteBoolean("chosen", runtime.Chosen);
            json.WriteString("reason", runtime.Reason);
            json.WriteEndObject();
        });
        json.WritePropertyName("backends");
        Array(json, report.Backends, static (json, backend) =>
        {
            json.WriteStartObject();
            json.WriteString("name", backend.Name);
            Texts(json, "devices", backend.Devices);
            json.WriteBoolean("loaded", backend.Loaded);
            json.WriteString("version", backend.Version);
            json.WriteBoolean("crashed", backend.Crashed);
            json.WriteString("reason", backend.Reason);
            json.WriteEndObject();
        });
        json.WritePropertyName("devices");
        Array(json, report.Devices, Write);
        json.WriteString("auto", report.Auto);
        json.WriteEndObject();
    });

    private static void Write(Utf8JsonWriter json, ModelListItem model)
    {
        json.WriteStartObject();
        json.WriteString("name", model.Name);
        json.WriteString("path", model.Path);
        json.WriteNumber("size_bytes", model.SizeBytes);
        json.WriteString("model_type", model.ModelType);
        json.WriteString("architecture", model.Architecture);
        if (model.ParameterCount is { } parameters)
            json.WriteNumber("parameter_count", parameters);
        else
            json.WriteNull("parameter_count");
        json.WriteString("quantization", model.Quantization);
        json.WriteNumber("context_length", model.ContextLength);
        Texts(json, "capabilities", model.Capabilities);
        json.WriteString("source", model.Source);
        json.WriteString("format", model.Format);
        json.WriteString("conversion", model.Conversion);
        if (model is DiscoveredModel discovered)
        {
            json.WriteString("origin", discovered.Origin);
            Texts(json, "shards", discovered.Shards);
            Texts(json, "other_names", discovered.OtherNames);
            Texts(json, "adapters", discovered.Adapters);
            json.WriteString("projector", discovered.Projector);
            json.WriteString("why_unloadable", discovered.WhyUnloadable);
        }
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, DeviceFacts device)
    {
        json.WriteStartObject();
        json.WriteString("name", device.Name);
        json.WriteString("description", device.Description);
        json.WriteString("kind", device.Kind);
        json.WriteString("backend", device.Backend);
        json.WriteNumber("memory_free_bytes", device.MemoryFreeBytes);
        json.WriteNumber("memory_total_bytes", device.MemoryTotalBytes);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, Spread spread)
    {
        json.WriteStartObject(name);
        json.WriteNumber("median", spread.Median);
        json.WriteNumber("min", spread.Min);
        json.WriteNumber("max", spread.Max);
        json.WriteEndObject();
    }

    private static void Texts(Utf8JsonWriter json, string name, IReadOnlyList<string> texts)
    {
        json.WritePropertyName(name);
        Array(json, texts, static (json, text) => json.WriteStringValue(text));
    }

    private static void Array<T>(Utf8JsonWriter json, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
    {
        json.WriteStartArray();
        foreach (var item in items)
            write(json, item);
        json.WriteEndArray();
    }

    private static string Text(Action<Utf8JsonWriter> write)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true }))
            write(json);
        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }
}
