namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>The arguments of a call.</summary>
/// <param name="Positional">Those without a name.</param>
/// <param name="Named">Those with one, in order; the names differ.</param>
internal readonly record struct Arguments(Value[] Positional, KeyValuePair<string, Value>[] Named)
{
    /// <summary>No arguments.</summary>
    public static Arguments None { get; } = new([], []);

    /// <summary>Positional arguments alone.</summary>
    public static Arguments Of(params Value[] positional) => new(positional, []);

    /// <summary>A named argument, or null.</summary>
    public Value? Find(string name)
    {
        foreach (var argument in Named)
            if (argument.Key == name)
                return argument.Value;
        return null;
    }

    /// <summary>The same arguments without the first positional ones.</summary>
    public Arguments Skip(int count) => this with { Positional = Positional[count..] };
}
