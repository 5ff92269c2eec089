using Shimmy.Engine;

namespace Shimmy.Tests.Engine;

[TestClass]
[TestCategory("Unit")]
public sealed class PromptTests
{
    [TestMethod]
    public void A_prompt_of_tokens_adds_no_bos() => Assert.IsFalse(Prompt.FromTokens([1, 2]).AddBos);
}
