namespace Shimmy.Chat.Templates.Jinja.Names;

/// <summary>How a variable of a scope gets its first value.</summary>
internal enum Load
{
    /// <summary>It is given one from outside: a parameter, a loop's target.</summary>
    Parameter,

    /// <summary>From the variables of the rendering.</summary>
    Resolve,

    /// <summary>From the variable of the same name in an outer scope.</summary>
    Alias,

    /// <summary>It has none until it is assigned.</summary>
    Undefined,
}
