using Shimmy.Chat.Output.Tools;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>Ways of calling tools that several tests have their models use.</summary>
internal static class ToolTemplates
{
    /// <summary>Qwen's way of calling and thinking, in short.</summary>
    public const string Thinking =
        """
        {%- if tools %}<|im_start|>system
        {% for tool in tools %}{{ tool | tojson }}
        {% endfor %}For each call write <tool_call>
        {"name": <name>, "arguments": <object>}
        </tool_call><|im_end|>
        {% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
        {% if message.role == 'assistant' and message.reasoning_content %}<think>
        {{ message.reasoning_content }}
        </think>

        {% endif %}{{ message.content or '' }}{% for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
        </tool_call>{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    /// <summary>What is read off a template that calls as Hermes does.</summary>
    public static ToolCallSyntax Hermes { get; } = new()
    {
        Style = ToolCallStyle.Json,
        CallBegin = "<tool_call>\n{\"name\": \"",
        AfterName = "\", \"arguments\": ",
        CallEnd = "}\n</tool_call>",
        Separator = "\n",
        NameKey = "name",
        ArgumentsKey = "arguments",
    };

    /// <summary>What is read off a template that calls as Qwen3-Coder does.</summary>
    public static ToolCallSyntax Coder { get; } = new()
    {
        Style = ToolCallStyle.Parameters,
        CallBegin = "<tool_call>\n<function=",
        AfterName = ">\n",
        CallEnd = "</function>\n</tool_call>",
        Separator = "\n",
        ParameterBegin = "<parameter=",
        AfterKey = ">\n",
        AfterKeyOfJson = ">\n",
        ParameterEnd = "\n</parameter>\n",
        ParameterEndOfJson = "\n</parameter>\n",
    };
}
