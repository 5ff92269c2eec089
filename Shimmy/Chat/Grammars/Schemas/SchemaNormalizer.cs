using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Converts a conjunction of schemas to disjunctive normal form: references and <c>allOf</c> add to a case, <c>anyOf</c> and <c>oneOf</c>
/// branch. A schema that refers to itself before any JSON is written is refused as infinite recursion.
/// </summary>
internal sealed class SchemaNormalizer(SchemaReferences references, SchemaOptions options, ICollection<string> leftOut)
{
    // Far beyond real schemas: more would take gigabytes or minutes.
    private const int MostCases = 1000;
    private const int MostSteps = 200_000;
    private const int DeepestChoice = 50;

    private int _steps;

    /// <summary>The cases of the conjunction; none where no value satisfies it.</summary>
    public List<SchemaCase> Of(IReadOnlyList<SchemaNode> together, int depth = 0)
    {
        var found = new List<SchemaCase>();
        var todo = Todo.Of(together.Select(node => new Item(node, null, null)));
        Walk(todo, null, together[0].Pointer, found, depth);
        return found;
    }

    /// <summary>Refuses a keyword that a grammar cannot express, or leaves it out where the options allow that.</summary>
    public void Refuse(string pointer, string problem)
    {
        if (!options.LeaveOutInexpressible)
            throw new SchemaException(pointer, problem);
        LeaveOut(pointer, problem);
    }

    /// <summary>Leaves out a keyword that a grammar cannot express, which the finished answer is held to.</summary>
    public void LeaveOut(string pointer, string problem) => leftOut.Add($"{(pointer.Length == 0 ? "/" : pointer)}: {problem}");

    // Schemas that are part of the case, and those still to be read, are linked lists that branches share.
    private void Walk(Todo? todo, Held? held, string pointer, List<SchemaCase> found, int depth)
    {
        if (depth > DeepestChoice)
            throw new SchemaException(pointer, $"anyOf and oneOf are nested more than {DeepestChoice} deep");
        while (todo is not null)
        {
            var item = todo.First;
            todo = todo.Rest;
            if (item.Choice is { } choice)
            {
                Branch(choice, item.Path, todo, held, pointer, found, depth);
                return;
            }
            var node = item.Node;
            if (++_steps > MostSteps)
                throw new SchemaException(pointer, "the schema has too many combinations for a grammar");
            if (node.Element.ValueKind == JsonValueKind.False)
                return;
            if (node.Element.ValueKind == JsonValueKind.True)
                continue;
            if (node.Element.ValueKind != JsonValueKind.Object)
                throw new SchemaException(node.Pointer, "a schema must be an object, true or false");
            if (Path.Has(item.Path, node.Pointer))
            {
                throw new SchemaException(node.Pointer,
                    "infinite recursion: the schema refers to itself without a property or an item in between");
            }

            if (Held.Has(held, node.Pointer))
                continue;
            held = new Held(node, held);
            todo = Parts(node, new Path(node.Pointer, item.Path), todo);
        }
        var one = new SchemaCase(pointer);
        foreach (var node in Held.InOrder(held))
        {
            _steps += node.Element.GetPropertyCount();
            SchemaKeywords.Read(node, one);
        }
        if (one.Types == JsonTypes.None || one.Values is { Count: 0 })
            return;
        found.Add(one);
        if (found.Count > MostCases)
            throw new SchemaException(pointer, $"anyOf, oneOf and allOf together make more than {MostCases} combinations");
    }

    private Todo? Parts(SchemaNode node, Path path, Todo? todo)
    {
        foreach (var (keyword, exclusive) in new[] { ("oneOf", true), ("anyOf", false) })
        {
            if (!node.Has(keyword, out var list))
                continue;
            var branches = node.Children(keyword, list);
            if (branches.Count == 0)
                throw node.Fault(keyword, "must have at least one schema");
            todo = new Todo(new Item(node, new Choice(branches, exclusive), path), todo);
        }
        if (node.Has("allOf", out var all))
            todo = Todo.Of(node.Children("allOf", all).Select(part => new Item(part, null, path)), todo);
        if (node.Has("$ref", out var reference))
            todo = new Todo(new Item(references.Resolve(node, node.Text("$ref", reference)), null, path), todo);
        return todo;
    }

    private void Branch(Choice choice, Path? path, Todo? todo, Held? held, string pointer, List<SchemaCase> found, int depth)
    {
        var earlier = new List<(int Branch, SchemaCase Case)>();
        for (var i = 0; i < choice.Branches.Count; i++)
        {
            var cases = new List<SchemaCase>();
            Walk(new Todo(new Item(choice.Branches[i], null, path), todo), held, choice.Branches[i].Pointer, cases, depth + 1);
            if (choice.Exclusive)
            {
                foreach (var (other, before) in earlier)
                {
                    if (cases.Exists(one => !SchemaDisjointness.Excludes(this, one, before, depth + 1)))
                    {
                        Refuse(choice.Branches[i].Pointer[..choice.Branches[i].Pointer.LastIndexOf("/oneOf/", StringComparison.Ordinal)],
                            $"oneOf cannot be expressed by a grammar unless its schemas exclude each other, and {other} and {i} may not; use anyOf, or a property with a const that tells them apart");
                        break;
                    }
                }
                earlier.AddRange(cases.Select(one => (i, one)));
            }
            found.AddRange(cases);
            if (found.Count > MostCases)
                throw new SchemaException(pointer, $"anyOf, oneOf and allOf together make more than {MostCases} combinations");
        }
    }

    private readonly record struct Choice(IReadOnlyList<SchemaNode> Branches, bool Exclusive);

    private readonly record struct Item(SchemaNode Node, Choice? Choice, Path? Path);

    private sealed record Todo(Item First, Todo? Rest)
    {
        public static Todo? Of(IEnumerable<Item> items, Todo? rest = null) =>
            items.Reverse().Aggregate(rest, (list, item) => new Todo(item, list));
    }

    private sealed record Held(SchemaNode Node, Held? Before)
    {
        public static bool Has(Held? held, string pointer)
        {
            for (; held is not null; held = held.Before)
            {
                if (held.Node.Pointer == pointer)
                    return true;
            }
            return false;
        }

        public static Stack<SchemaNode> InOrder(Held? held)
        {
            var nodes = new Stack<SchemaNode>();
            for (; held is not null; held = held.Before)
                nodes.Push(held.Node);
            return nodes;
        }
    }

    private sealed record Path(string Pointer, Path? Before)
    {
        public static bool Has(Path? path, string pointer)
        {
            for (; path is not null; path = path.Before)
            {
                if (path.Pointer == pointer)
                    return true;
            }
            return false;
        }
    }
}
