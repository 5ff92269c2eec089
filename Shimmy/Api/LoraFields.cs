using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>llama.cpp's field <c>lora</c>: the adapters that act on this answer, and no others.</summary>
internal static class LoraFields
{
    private const int Most = 64;
    private const double Strongest = 100;

    /// <summary>Reads it; null where it is absent. Whether the model has such adapters, its worker says.</summary>
    public static IReadOnlyList<LoraChoice>? Read(RequestFields fields)
    {
        if (fields.List("lora") is not { } list)
            return null;
        if (list.Count > Most)
            throw ApiException.BadField(fields.FullName("lora"), $"has {list.Count} adapters; at most {Most} are allowed");
        return [.. list.Select((element, i) => Choice(RequestFields.Of(element, $"{fields.FullName("lora")}[{i}]")))];
    }

    private static LoraChoice Choice(RequestFields fields)
    {
        // A scale that is misspelled would act at full strength.
        if (fields.Names.FirstOrDefault(name => name is not ("id" or "name" or "scale")) is { } unknown)
            throw ApiException.BadField(fields.FullName(unknown), "is not a known field; id, name and scale are");
        var id = fields.Whole("id", 0, int.MaxValue);
        var name = fields.Text("name");
        if (id is null == name is null)
        {
            throw ApiException.BadField(fields.FullName("id"), id is null
                ? "is missing; id or name is required"
                : "was given beside name; give one of them");
        }

        return new LoraChoice(id, name, fields.Number("scale", -Strongest, Strongest) ?? 1);
    }
}
