namespace Shimmy.Chat.Templates;

/// <summary>
/// The built-in template families. Each template is written for this project after the format that the family's model cards describe.
/// </summary>
internal static class TemplateFamilies
{
    /// <summary>ChatML, used by Qwen and many others.</summary>
    public static TemplateFamily ChatMl { get; } = new("chatml", """
        {%- for message in messages -%}
        {{ '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
        """, ["<|im_end|>"]);

    /// <summary>Llama 3.</summary>
    public static TemplateFamily Llama3 { get; } = new("llama3", """
        {{- bos_token }}
        {%- for message in messages -%}
        {{ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\n\n' ~ message.content | trim ~ '<|eot_id|>' }}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}
        """, ["<|eot_id|>"]);

    /// <summary>Mistral's instruct models without tools; a system message is prepended to the first user message.</summary>
    public static TemplateFamily Mistral { get; } = new("mistral", """
        {{- bos_token }}
        {%- for message in messages -%}
        {%- if message.role == 'user' %}{{ '[INST] ' ~ message.content ~ ' [/INST]' }}
        {%- elif message.role == 'assistant' %}{{ ' ' ~ message.content | trim ~ eos_token }}
        {%- else %}{{ raise_exception('only user and assistant messages are known to this format') }}{% endif -%}
        {%- endfor %}
        """, ["[INST]"]);

    /// <summary>OpenChat 3.5.</summary>
    public static TemplateFamily OpenChat { get; } = new("openchat", """
        {{- bos_token }}
        {%- for message in messages -%}
        {%- if message.role == 'system' %}{{ message.content ~ '<|end_of_turn|>' }}
        {%- elif message.role == 'user' %}{{ 'GPT4 Correct User: ' ~ message.content ~ '<|end_of_turn|>' }}
        {%- elif message.role == 'assistant' %}{{ 'GPT4 Correct Assistant: ' ~ message.content ~ '<|end_of_turn|>' }}
        {%- else %}{{ raise_exception('only system, user and assistant messages are known to this format') }}{% endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}
        """, ["<|end_of_turn|>", "GPT4 Correct User:"]);

    /// <summary>Gemma; a system message is prepended to the first user message.</summary>
    public static TemplateFamily Gemma { get; } = new("gemma", """
        {{- bos_token }}
        {%- for message in messages -%}
        {%- if message.role == 'user' %}{{ '<start_of_turn>user\n' ~ message.content | trim ~ '<end_of_turn>\n' }}
        {%- elif message.role == 'assistant' %}{{ '<start_of_turn>model\n' ~ message.content | trim ~ '<end_of_turn>\n' }}
        {%- else %}{{ raise_exception('only user and assistant messages are known to this format') }}{% endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}
        """, ["<end_of_turn>"]);

    /// <summary>Phi-3.</summary>
    public static TemplateFamily Phi3 { get; } = new("phi3", """
        {%- for message in messages -%}
        {{ '<|' ~ message.role ~ '|>\n' ~ message.content ~ '<|end|>\n' }}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}
        """, ["<|end|>"]);

    /// <summary>DeepSeek V2.5 and later.</summary>
    public static TemplateFamily DeepSeek { get; } = new("deepseek", """
        {{- bos_token }}
        {%- for message in messages -%}
        {%- if message.role == 'system' %}{{ message.content }}
        {%- elif message.role == 'user' %}{{ '<｜User｜>' ~ message.content }}
        {%- elif message.role == 'assistant' %}{{ '<｜Assistant｜>' ~ message.content ~ '<｜end▁of▁sentence｜>' }}
        {%- else %}{{ raise_exception('only system, user and assistant messages are known to this format') }}{% endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}
        """, ["<｜end▁of▁sentence｜>"]);

    /// <summary>Vicuna 1.1.</summary>
    public static TemplateFamily Vicuna { get; } = new("vicuna", """
        {{- bos_token }}
        {%- if messages[0].role != 'system' %}{{ 'A chat between a curious user and an artificial intelligence assistant. ' ~
            "The assistant gives helpful, detailed, and polite answers to the user's questions. " }}{% endif -%}
        {%- for message in messages -%}
        {%- if message.role == 'system' %}{{ message.content ~ ' ' }}
        {%- elif message.role == 'user' %}{{ 'USER: ' ~ message.content ~ ' ' }}
        {%- elif message.role == 'assistant' %}{{ 'ASSISTANT: ' ~ message.content ~ eos_token }}
        {%- else %}{{ raise_exception('only system, user and assistant messages are known to this format') }}{% endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}
        """, ["USER:"]);

    /// <summary>Alpaca.</summary>
    public static TemplateFamily Alpaca { get; } = new("alpaca", """
        {{- bos_token }}
        {%- if messages[0].role != 'system' %}{{ 'Below is an instruction that describes a task. ' ~
            'Write a response that appropriately completes the request.\n\n' }}{% endif -%}
        {%- for message in messages -%}
        {%- if message.role == 'system' %}{{ message.content ~ '\n\n' }}
        {%- elif message.role == 'user' %}{{ '### Instruction:\n' ~ message.content ~ '\n\n' }}
        {%- elif message.role == 'assistant' %}{{ '### Response:\n' ~ message.content ~ eos_token ~ '\n\n' }}
        {%- else %}{{ raise_exception('only system, user and assistant messages are known to this format') }}{% endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}
        """, ["### Instruction:"]);

    /// <summary>Zephyr.</summary>
    public static TemplateFamily Zephyr { get; } = new("zephyr", """
        {%- for message in messages -%}
        {{ '<|' ~ message.role ~ '|>\n' ~ message.content ~ eos_token ~ '\n' }}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}
        """, ["<|user|>", "</s>"]);

    /// <summary>Command R.</summary>
    public static TemplateFamily CommandR { get; } = new("command-r", """
        {%- for message in messages -%}
        {{ '<|START_OF_TURN_TOKEN|>' }}
        {%- if message.role == 'user' %}{{ '<|USER_TOKEN|>' }}
        {%- elif message.role == 'assistant' %}{{ '<|CHATBOT_TOKEN|>' }}
        {%- else %}{{ '<|SYSTEM_TOKEN|>' }}{% endif -%}
        {{ message.content | trim ~ '<|END_OF_TURN_TOKEN|>' }}
        {%- endfor -%}
        {%- if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}
        """, ["<|END_OF_TURN_TOKEN|>"]);

    /// <summary>All families.</summary>
    public static IReadOnlyList<TemplateFamily> All { get; } =
        [ChatMl, Llama3, Mistral, OpenChat, Gemma, Phi3, DeepSeek, Vicuna, Alpaca, Zephyr, CommandR];

    /// <summary>The family with a name or alias; null where there is none.</summary>
    public static TemplateFamily? Find(string name) => name.ToLowerInvariant() switch
    {
        "qwen" or "chatglm" or "phi" => ChatMl,
        "llama-3" => Llama3,
        "mixtral" => Mistral,
        var known => All.FirstOrDefault(family => family.Name == known),
    };

    /// <summary>The names of all families, for messages.</summary>
    public static string Names { get; } = string.Join(", ", All.Select(family => family.Name));
}

/// <summary>A chat format that many models share, for models without a chat template.</summary>
/// <param name="Name">Its name, as <c>--template</c> takes it.</param>
/// <param name="Template">Its Jinja template.</param>
/// <param name="Stop">Stop sequences, for vocabularies in which they are not end-of-generation tokens.</param>
internal sealed record TemplateFamily(string Name, string Template, IReadOnlyList<string> Stop);
