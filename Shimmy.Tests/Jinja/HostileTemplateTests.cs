using System.Diagnostics;
using System.Text.Json;
using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Tests.Jinja;

/// <summary>Templates that want all time or memory, or the .NET objects behind the values, get neither.</summary>
[TestClass]
[TestCategory("Unit")]
[DoNotParallelize]
public sealed class HostileTemplateTests
{
    private const int MostMilliseconds = 500;
    private const long MostBytes = 64 << 20;

    private static readonly Dictionary<string, Value> Variables = TemplateCase.Variables(
        JsonDocument.Parse("""{"messages":[{"role":"user","content":"abcdefghij"}],"l":[1,2,3]}""").RootElement);

    [TestMethod]
    [DataRow("{% for i in range(10**9) %}{% endfor %}")]
    [DataRow("{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}")]
    [DataRow("{% for i in range(99999) %}{% for j in range(99999) %}{% set x = i %}{% endfor %}{% endfor %}")]
    [DataRow("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}")]
    [DataRow("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")]
    [DataRow("{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}")]
    [DataRow("{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}")]
    [DataRow("{{ 'x' * 10**9 }}")]
    [DataRow("{{ [0] * 10**9 }}")]
    [DataRow("{{ 'abc'.ljust(10**9) }}")]
    [DataRow("{{ '%1000000000d' % 1 }}")]
    [DataRow("{{ '{:1000000000}'.format(1) }}")]
    [DataRow("{{ 'x' | center(10**9) }}")]
    [DataRow("{{ 'a\nb' | indent(10**9) }}")]
    [DataRow("{{ {'a': 1} | tojson(indent=10**9) }}")]
    [DataRow("{{ 9 ** (9 ** 9) }}")]
    [DataRow("{{ 10 ** 100000000 }}")]
    [DataRow("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}")]
    [DataRow("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [DataRow("{% set ns = namespace(s='xx') %}{% for i in range(99) %}{% set ns.s = ns.s | replace('x', ns.s) %}{% endfor %}")]
    [DataRow("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}")]
    [DataRow("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}")]
    [DataRow("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}")]
    [DataRow("{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(99) %}{% set ns.l, ns.m = [ns.l, ns.l], [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}")]
    [DataRow("{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}")]
    [DataRow("{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}")]
    [DataRow("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}")]
    [DataRow("{{ range(99999) | list | batch(1) | list | sort(attribute='0') | list | tojson | length }}{% for i in range(9999) %}{{ range(99999) | sum }}{% endfor %}")]
    [DataRow("{% set x = 'ab' * 100000 %}{% for i in range(99999) %}{{ x.find('b' * 50 ~ 'c') }}{% endfor %}")]
    [DataRow("{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% set y = x | upper %}{% endfor %}")]
    [DataRow("{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% set y = x == 'a' * 1000000 %}{% endfor %}")]
    [DataRow("{% set x = ('a ' * 400000).split() %}{% for i in range(99999) %}{% set y = x | unique | list %}{% endfor %}")]
    [DataRow("{{ 'a'.join('x' * 5000000) }}{{ 'ab' * 9000000 }}")]
    [DataRow("{{ cycler(*range(99999)) }}{% for i in range(99999) %}{{ range(99999) | list | length }}{% endfor %}")]
    [DataRow("{% set c = cycler(1, 2) %}{% for i in range(99999) %}{% for j in range(99999) %}{% set x = c.next() %}{% endfor %}{% endfor %}")]
    [DataRow("{% for i in range(99999) %}{{ strftime_now('%Y' * 9999) }}{% endfor %}")]
    [DataRow("{{ strftime_now('%9999Y' * 9999) }}")]
    [DataRow("{{ l | map('string') | map('string') | list }}{% for a in range(99999) %}{{ range(99999) | map('string') | join | length }}{% endfor %}")]
    public void It_ends_in_an_error_in_time_and_memory(string source)
    {
        // The best of a few: the first compiles the engine itself, and a busy machine may take the processor away in any of them.
        var runs = new List<(TemplateException? Failure, TimeSpan Time, long Bytes)>();
        do
            runs.Add(Run(source));
        while (runs.Count < 2 || (runs.Count < 20 && runs.Min(run => run.Time.TotalMilliseconds) >= MostMilliseconds));

        var (failure, time, bytes) = runs.MinBy(run => run.Time);

        Assert.IsNotNull(failure, "it rendered");
        Assert.AreNotEqual(TemplateFailure.Syntax, failure.Failure, failure.Message);
        Assert.IsLessThan(MostMilliseconds, time.TotalMilliseconds, failure.Message);
        Assert.IsLessThan(MostBytes, bytes, failure.Message);
    }

    [TestMethod]
    [DataRow("(")]
    [DataRow("[")]
    [DataRow("-")]
    [DataRow("not ")]
    [DataRow("{1:")]
    [DataRow("a(")]
    [DataRow("a[")]
    [DataRow("1 if ")]
    [DataRow("1 if 1 else ")]
    public void Expressions_nested_without_end_do_not_overflow_the_stack(string opening) =>
        Assert.ThrowsExactly<TemplateException>(
            () => CompiledTemplate.Compile("{{ " + string.Concat(Enumerable.Repeat(opening, 100_000)) + " }}"));

    [TestMethod]
    [DataRow("{% if 1 %}")]
    [DataRow("{% for x in y %}")]
    [DataRow("{% macro f() %}")]
    [DataRow("{% set x %}")]
    [DataRow("{% filter upper %}")]
    [DataRow("{% if 1 %}{% elif 1 %}")]
    public void Statements_nested_without_end_do_not_overflow_the_stack(string opening) =>
        Assert.ThrowsExactly<TemplateException>(() => CompiledTemplate.Compile(string.Concat(Enumerable.Repeat(opening, 100_000))));

    [TestMethod]
    [DataRow("+ 1")]
    [DataRow("~ 1")]
    [DataRow("and 1")]
    [DataRow("| string")]
    [DataRow(".a")]
    [DataRow("[0]")]
    [DataRow("()")]
    [DataRow("< 1")]
    public void Long_chains_either_render_or_are_refused(string link)
    {
        var source = "{{ x " + string.Concat(Enumerable.Repeat(link + " ", 100_000)) + " }}";

        try
        {
            TemplateCase.Render(CompiledTemplate.Compile(source), JsonDocument.Parse("{}").RootElement, TimeProvider.System);
        }
        catch (TemplateException)
        {
            // Refused; what matters is that the process lives.
        }
    }

    [TestMethod]
    [DataRow("__class__")]
    [DataRow("__init__")]
    [DataRow("__globals__")]
    [DataRow("GetType")]
    [DataRow("ToString")]
    [DataRow("Text")]
    [DataRow("Provenance")]
    [DataRow("mro")]
    public void Attributes_reach_nothing_behind_the_values(string attribute)
    {
        foreach (var value in (string[])["''", "1", "1.5", "true", "none", "[]", "()", "{}",
            "range", "range(1)", "namespace()", "''.upper", "cycler(1)"])
        {
            var failure = Run($"{{{{ ({value}).{attribute}.x }}}}{{{{ ({value})['{attribute}'].x }}}}").Failure;
            Assert.AreEqual(TemplateFailure.Undefined, failure?.Failure, $"{value}.{attribute}");
        }
    }

    [TestMethod]
    public void A_long_conversation_widens_the_limits()
    {
        var text = new string('x', 4 << 20);
        using var document = JsonDocument.Parse($$"""{"text":"{{text}}"}""");

        Assert.AreEqual(text.Length,
            TemplateCase.Render(CompiledTemplate.Compile("{{ text | trim }}"), document.RootElement, TimeProvider.System).Length);
    }

    // On a stack as a server's threads have it. Code that is compiled ahead takes so little that the main thread's 8 MiB hold 99,999 levels.
    private static (TemplateException? Failure, TimeSpan Time, long Bytes) Run(string source)
    {
        var run = default((TemplateException?, TimeSpan, long));
        var thread = new Thread(() => run = RunHere(source), maxStackSize: 1536 << 10);
        thread.Start();
        thread.Join();
        return run;
    }

    private static (TemplateException? Failure, TimeSpan Time, long Bytes) RunHere(string source)
    {
        var bytes = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();
        TemplateException? failure = null;
        try
        {
            CompiledTemplate.Compile(source).Render(Variables, inputBytes: 0, TimeProvider.System);
        }
        catch (TemplateException e)
        {
            failure = e;
        }

        return (failure, Stopwatch.GetElapsedTime(started), GC.GetAllocatedBytesForCurrentThread() - bytes);
    }
}
