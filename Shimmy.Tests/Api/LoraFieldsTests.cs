using System.Text;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Tests.Api;

[TestClass]
[TestCategory("Unit")]
public sealed class LoraFieldsTests
{
    [TestMethod]
    public void Adapters_are_named_or_numbered_and_act_at_full_strength_where_nothing_is_said()
    {
        CollectionAssert.AreEqual(new LoraChoice[] { new(null, "style", 1), new(1, null, -0.5f) },
            Read("""[{"name":"style"},{"id":1,"scale":-0.5}]""")!.ToArray());
        Assert.IsNull(Read("null"));
        Assert.IsEmpty(Read("[]")!);
    }

    [TestMethod]
    [DataRow("""[{"id":0,"scal":0.1}]""", "lora[0].scal", "is not a known field; id, name and scale are")]
    [DataRow("""[{"id":0},{"path":"a.gguf"}]""", "lora[1].path", "is not a known field; id, name and scale are")]
    [DataRow("""[{"scale":1}]""", "lora[0].id", "is missing; id or name is required")]
    [DataRow("""[{"id":0,"name":"style"}]""", "lora[0].id", "was given beside name; give one of them")]
    [DataRow("""[{"id":0,"scale":101}]""", "lora[0].scale", "must be a number from -100 to 100, not 101")]
    public void What_is_no_choice_is_refused_by_its_field(string json, string field, string message)
    {
        var refused = Assert.ThrowsExactly<ApiException>(() => Read(json));
        StringAssert.Contains(refused.Message, message);
        StringAssert.Contains(refused.Message, field);
    }

    private static IReadOnlyList<LoraChoice>? Read(string json)
    {
        var (document, fields) = RequestFields.Parse(Encoding.UTF8.GetBytes($$"""{"lora":{{json}}}"""));
        using (document)
            return LoraFields.Read(fields);
    }
}
