using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>GET /diag</c>: the machine, the backends, and the limits in force. The first call loads the native libraries in a process of its own.
/// </summary>
internal static class Diagnostics
{
    public static void Map(RouteTable routes) => routes.MapRead("/diag", Handle, name: "diag");

    private static async Task Handle(HttpContext context)
    {
        var services = context.RequestServices;
        BackendReport? report = null;
        string? fault = null;
        try
        {
            report = services.GetService<BackendProbe>() is { } probe ? await probe.GetAsync(context.RequestAborted) : null;
        }
        catch (EngineException e)
        {
            fault = e.Message;
        }
        var state = services.GetRequiredService<ServerState>();
        var workers = services.GetRequiredService<ModelResidency>().Resident.Where(model => model.Model is not null)
            .Sum(model => model.MemoryBytes);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("version", ServerState.Version);
            json.WriteString("os", RuntimeInformation.OSDescription);
            json.WriteString("runtime_identifier", RuntimeInformation.RuntimeIdentifier);
            json.WriteNumber("cores", Environment.ProcessorCount);
            json.WriteStartObject("memory");
            json.WriteNumber("total_mb", ByteCount.MegabyteTenths(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes));
            json.WriteNumber("server_mb", ByteCount.MegabyteTenths(ProcessFacts.ResidentBytes));
            json.WriteNumber("models_mb", ByteCount.MegabyteTenths(workers));
            json.WriteEndObject();
            WriteBackends(json, report, fault);
            json.WriteStartObject("limits");
            foreach (var (name, value) in state.Limits)
            {
                if (value is { } number)
                    json.WriteNumber(name, number);
                else
                    json.WriteNull(name);
            }
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static void WriteBackends(Utf8JsonWriter json, BackendReport? report, string? fault)
    {
        json.WriteString("native_library", report?.LibraryVersion);
        if (fault is not null)
            json.WriteString("native_library_error", fault);
        json.WriteStartArray("runtimes");
        foreach (var runtime in report?.Runtimes ?? [])
        {
            json.WriteStartObject();
            json.WriteString("name", runtime.Name);
            json.WriteString("version", runtime.Version);
            json.WriteBoolean("media", runtime.Media);
            json.WriteBoolean("chosen", runtime.Chosen);
            json.WriteString("reason", runtime.Reason);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("backends");
        foreach (var backend in report?.Backends ?? [])
        {
            json.WriteStartObject();
            json.WriteString("name", backend.Name);
            json.WriteBoolean("loaded", backend.Loaded);
            json.WriteString("reason", backend.Reason);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("devices");
        foreach (var device in report?.Devices ?? [])
        {
            json.WriteStartObject();
            json.WriteString("name", device.Name);
            json.WriteString("description", device.Description);
            json.WriteString("kind", device.Kind);
            json.WriteString("backend", device.Backend);
            json.WriteNumber("memory_free_mb", ByteCount.MegabyteTenths(device.MemoryFreeBytes));
            json.WriteNumber("memory_total_mb", ByteCount.MegabyteTenths(device.MemoryTotalBytes));
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
