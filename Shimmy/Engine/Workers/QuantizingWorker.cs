using System.Runtime.InteropServices;
using Shimmy.Engine.Protocol;
using Shimmy.Engine.Runtimes;
using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;

namespace Shimmy.Engine.Workers;

/// <summary>llama.cpp's quantizer in a worker process without a model: this process never loads llama.cpp.</summary>
internal sealed class QuantizingWorker : Quantizer
{
    private readonly WorkerProcess _worker;

    private QuantizingWorker(WorkerProcess worker) => _worker = worker;

    /// <summary>Starts one. Throws <see cref="SafeTensorsException"/> where it does not start.</summary>
    public static QuantizingWorker Start()
    {
        try
        {
            return new QuantizingWorker(
                WorkerProcess.Start(WorkerEngine.ThisProgram, RuntimeChoice.ForNone()[0].Runtime, (_, _) => { }, _ => { }));
        }
        catch (EngineException e)
        {
            throw new SafeTensorsException($"its weights cannot be quantized: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public override byte[] Quantize(GgmlType type, ReadOnlySpan<float> rows, int width)
    {
        var payload = GC.AllocateUninitializedArray<byte>(checked(8 + (rows.Length * sizeof(float))));
        MemoryMarshal.Write(payload, (int)type);
        MemoryMarshal.Write(payload.AsSpan(4), width);
        MemoryMarshal.AsBytes(rows).CopyTo(payload.AsSpan(8));
        try
        {
            // A conversion runs on a thread of its own, so that nobody else waits.
            return _worker.AskAsync(FrameKind.Quantize, payload, CancellationToken.None).GetAwaiter().GetResult();
        }
        catch (EngineException e)
        {
            throw new SafeTensorsException($"its weights cannot be quantized: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public override void Dispose() => _worker.DisposeAsync().AsTask().GetAwaiter().GetResult();
}
