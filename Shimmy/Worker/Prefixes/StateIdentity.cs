using System.IO.Hashing;
using System.Text;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Gguf;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// What a state in a file belongs to: the model, llama.cpp's version and layout, and the options that change what is computed.
/// </summary>
internal static class StateIdentity
{
    // Enough to tell two files of one shape apart without reading gigabytes.
    private const int Samples = 64;
    private const int SampleBytes = 4096;

    /// <summary>The identity as hexadecimal digits.</summary>
    public static string Of(LlamaModel model)
    {
        var hash = new XxHash128();
        Append($"{RuntimeLibraries.Version} {RuntimeLibraries.Commit}");
        Append(RuntimeLayout.Loaded.Builds);
        foreach (var (key, value) in model.Handle.ReadMetadata().OrderBy(pair => pair.Key, StringComparer.Ordinal))
            Append($"{key}={value}");
        Append($"{model.Handle.SizeBytes} {model.Handle.ParameterCount} {model.ContextLength} {model.DeviceNames}");
        // Everything that is said about a load but what changes no state, in the form that this build gives it.
        Append(WorkerRecords.Form);
        var spec = model.Spec;
        hash.Append(
            Wire.Write(new ModelSpec { Name = "", Path = "", Tuning = spec.Tuning, BatchSize = spec.BatchSize }, WorkerRecords.Spec));
        foreach (var part in PartsOf(spec.Path))
            AppendFile(part);
        foreach (var lora in spec.Loras)
            AppendFile(lora.File ?? lora.Path);
        if (spec.Projector is { } projector)
            AppendFile(projector);
        return Convert.ToHexStringLower(hash.GetCurrentHash());

        void Append(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            hash.Append(BitConverter.GetBytes(bytes.Length));
            hash.Append(bytes);
        }

        void AppendFile(string path)
        {
            using var file = GgufPlace.Open(path, out var place);
            hash.Append(BitConverter.GetBytes(place.Length));
            // Where little was changed, the samples may miss it.
            hash.Append(BitConverter.GetBytes(File.GetLastWriteTimeUtc(path).Ticks));
            var sample = new byte[SampleBytes];
            for (var i = 0; i < Samples; i++)
            {
                var at = place.Length / Samples * i;
                file.Position = place.Offset + at;
                var count = file.ReadAtLeast(
                    sample.AsSpan(0, (int)Math.Min(SampleBytes, place.Length - at)), SampleBytes, throwOnEndOfStream: false);
                hash.Append(sample.AsSpan(0, count));
            }
        }
    }

    /// <summary>The files that a model consists of, from the path of the first.</summary>
    public static IEnumerable<string> PartsOf(string path)
    {
        var name = ModelFileName.Parse(Path.GetFileName(path));
        return name.ShardCount == 0
            ? [path]
            : Enumerable.Range(1, name.ShardCount).Select(number => Path.Join(Path.GetDirectoryName(path), name.OfShard(number)));
    }
}
