using System.Text.Json.Serialization;
using Shimmy.Engine;

namespace Shimmy.Cli.Commands;

/// <summary>JSON of the results that the commands print with <c>--json</c>.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(BackendReport))]
[JsonSerializable(typeof(BenchReport))]
[JsonSerializable(typeof(ModelListItem[]))]
[JsonSerializable(typeof(DiscoveryReport))]
[JsonSerializable(typeof(ProbeReport))]
[JsonSerializable(typeof(RunningModel[]))]
internal sealed partial class CliJson : JsonSerializerContext;
