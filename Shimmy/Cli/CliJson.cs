using System.Text.Json.Serialization;
using Shimmy.Engine;

namespace Shimmy.Cli;

/// <summary>What the commands print with <c>--json</c>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(BackendReport))]
[JsonSerializable(typeof(BenchReport))]
[JsonSerializable(typeof(ListedModel[]))]
internal sealed partial class CliJson : JsonSerializerContext;
