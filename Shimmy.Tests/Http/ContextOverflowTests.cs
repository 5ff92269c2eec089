using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Api.Anthropic;
using Shimmy.Api.OpenAI;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Tests.Http;

/// <summary>
/// Kind: a prompt that does not fit. Agents compact a conversation where they recognise the error, by its code, its numbers, or words that
/// differ from dialect to dialect.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ContextOverflowTests
{
    private static readonly ApiError Error = ApiError.Of(new EngineException(EngineFailure.PromptTooLong,
        "the maximum context length is 512 tokens, but the prompt has 600 tokens")
    { PromptTokens = 600, ContextLength = 512 },
        new DefaultHttpContext())!;

    [TestMethod]
    public void OpenAIs_error_has_the_code_and_the_numbers()
    {
        using var body = JsonDocument.Parse(OpenAIDialect.Instance.ErrorBody(Error));
        var error = body.RootElement.GetProperty("error");
        Assert.AreEqual("context_length_exceeded", error.GetProperty("code").GetString());
        Assert.AreEqual((600, 512), (error.GetProperty("n_prompt_tokens").GetInt32(), error.GetProperty("n_ctx").GetInt32()));
        Assert.MatchesRegex("maximum context length is [0-9]+ tokens", error.GetProperty("message").GetString()!);
    }

    [TestMethod]
    public void Anthropics_error_has_its_words()
    {
        using var body = JsonDocument.Parse(AnthropicDialect.Instance.ErrorBody(Error, "req_1"));
        Assert.AreEqual("prompt is too long: 600 tokens > 512 maximum",
            body.RootElement.GetProperty("error").GetProperty("message").GetString());
    }

    [TestMethod]
    public void One_input_of_several_is_named()
    {
        var one = ApiError.Of(ApiException.TooLong("input[3]", "too long",
            new EngineException(EngineFailure.PromptTooLong, "too long") { PromptTokens = 600, ContextLength = 512 }), new DefaultHttpContext())!;
        Assert.AreEqual(("input[3]", "context_length_exceeded", 400), (one.Field, one.Code, one.Status));
        Assert.AreEqual(new ContextOverflow(600, 512), one.Overflow);
    }
}
