using System.Globalization;

namespace Shimmy.Tests.Soak;

/// <summary>How long and how hard the programs of this folder press on; the defaults are those of the full runs.</summary>
internal sealed record SoakOptions
{
    /// <summary>Requests of <c>soak</c>, and of <c>fuzz</c> for each dialect; null lets the program choose, or the time end it.</summary>
    public int? Requests { get; init; }

    /// <summary>When to end even so; null is never.</summary>
    public TimeSpan? Duration { get; init; }

    /// <summary>Seeds everything that is left to chance.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Requests at a time.</summary>
    public int Clients { get; init; } = 32;

    /// <summary>Workers that <c>kill</c> kills.</summary>
    public int Kills { get; init; } = 200;

    /// <summary>Connections that <c>idle</c> opens.</summary>
    public int Connections { get; init; } = 5000;

    /// <summary>The one dialect that <c>fuzz</c> tries; null for all.</summary>
    public string? Dialect { get; init; }

    /// <summary>More arguments for <c>shimmy serve</c>.</summary>
    public IReadOnlyList<string> Serve { get; init; } = [];

    /// <summary>Reads a command line; throws <see cref="FormatException"/> for what it does not know.</summary>
    public static SoakOptions Parse(IReadOnlyList<string> arguments)
    {
        var options = new SoakOptions();
        for (var i = 0; i < arguments.Count; i++)
        {
            var name = arguments[i];
            if (name == "--")
                return options with { Serve = [.. arguments.Skip(i + 1)] };
            if (++i == arguments.Count)
                throw new FormatException($"{name} needs a value");
            options = name switch
            {
                "--requests" => options with { Requests = Whole() },
                "--seconds" => options with { Duration = TimeSpan.FromSeconds(Whole()) },
                "--seed" => options with { Seed = Whole() },
                "--clients" => options with { Clients = Whole() },
                "--kills" => options with { Kills = Whole() },
                "--connections" => options with { Connections = Whole() },
                "--dialect" => options with { Dialect = arguments[i] },
                _ => throw new FormatException($"unknown option {name}"),
            };

            int Whole() => int.TryParse(arguments[i], NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
                ? number
                : throw new FormatException($"{name}: '{arguments[i]}' is no number above 0");
        }
        return options;
    }
}
