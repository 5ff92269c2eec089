namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>The parameters of a built-in function, method, filter or test.</summary>
internal sealed class Signature
{
    private readonly int required;
    private readonly string[] names;

    /// <summary>Parameters by name; a trailing <c>=</c> marks an optional one, a leading <c>/</c> one that has no name to callers.</summary>
    public Signature(params string[] parameters)
    {
        names = Array.ConvertAll(parameters, parameter => parameter.TrimEnd('='));
        required = parameters.Count(parameter => !parameter.EndsWith('='));
    }

    /// <summary>No parameters.</summary>
    public static Signature Empty { get; } = new();

    /// <summary>Puts arguments in the parameters' order; null where an optional one is not given.</summary>
    public Value?[] Bind(string function, Arguments arguments)
    {
        var positional = arguments.Positional;
        if (positional.Length > names.Length)
            throw TemplateException.Evaluation(
                $"{function}() takes at most {names.Length} argument(s), {positional.Length} given");
        if (positional.Length == names.Length && arguments.Named.Length == 0)
            return positional;

        var bound = new Value?[names.Length];
        positional.CopyTo(bound, 0);
        foreach (var (name, value) in arguments.Named)
        {
            var index = Array.IndexOf(names, name);
            if (index < 0)
                throw TemplateException.Evaluation($"{function}() got an unexpected keyword argument '{name}'");
            if (bound[index] is not null)
                throw TemplateException.Evaluation($"{function}() got multiple values for argument '{name}'");
            bound[index] = value;
        }

        for (var i = 0; i < required; i++)
            if (bound[i] is null)
                throw TemplateException.Evaluation($"{function}() missing required argument: '{names[i].TrimStart('/')}'");
        return bound;
    }
}
