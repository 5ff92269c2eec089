using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>A valid request that damaged ones are made from.</summary>
/// <param name="Method">HTTP's method.</param>
/// <param name="Path">HTTP's path.</param>
/// <param name="Body">The body.</param>
internal sealed record FuzzSeed(string Method, string Path, string Body)
{
    private const string Transcriptions = "/v1/audio/transcriptions";
    private const string Boundary = "shimmy-fuzz";

    private static readonly string Tone = Convert.ToBase64String(Sounds.Wav(8_000, 1, Sounds.Sine(80, 8_000, 440)));

    /// <summary>Whether its bodies are forms.</summary>
    public bool TakesForm => Path == Transcriptions;

    /// <summary>The header's line that says what its bodies are.</summary>
    public string ContentType => TakesForm
        ? $"Content-Type: multipart/form-data; boundary={Boundary}\r\n"
        : "Content-Type: application/json\r\n";

    /// <summary>
    /// The body of damaged JSON. Of a route that takes a form, each member is a part: a text as it is, other values as JSON; the file is
    /// what its Base64 says, where it is such.
    /// </summary>
    public byte[] Encoded(byte[] json)
    {
        if (!TakesForm)
            return json;
        using var form = new MemoryStream();
        try
        {
            using var document = JsonDocument.Parse(json);
            foreach (var member in document.RootElement.EnumerateObject())
            {
                var text = member.Value.ValueKind == JsonValueKind.String ? member.Value.GetString()! : member.Value.GetRawText();
                var file = new byte[text.Length];
                var isFile = member.Name == "file" && Convert.TryFromBase64String(text, file, out _);
                form.Write(Encoding.UTF8.GetBytes($"--{Boundary}\r\nContent-Disposition: form-data; name=\"{member.Name}\""
                    + $"{(member.Name == "file" ? "; filename=\"a.wav\"" : "")}\r\n\r\n"));
                form.Write(isFile ? Convert.FromBase64String(text) : Encoding.UTF8.GetBytes(text));
                form.Write("\r\n"u8);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            form.Write(json);
        }
        form.Write(Encoding.UTF8.GetBytes($"--{Boundary}--\r\n"));
        return form.ToArray();
    }

    private const string Tools =
        """[{"type":"function","function":{"name":"weather","description":"tells it","parameters":{"type":"object","properties":{"city":{"type":"string","minLength":1},"days":{"type":"integer","minimum":1,"maximum":9}},"required":["city"]}}}]""";

    /// <summary>The seeds of each dialect; answers are kept to a token, so that what stays valid is answered soon.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyList<FuzzSeed>> PerDialect { get; } = new Dictionary<string, IReadOnlyList<FuzzSeed>>
    {
        ["openai"] =
        [
            Post("/v1/chat/completions",
                """ "messages":[{"role":"system","content":"be short"},{"role":"user","content":"hi"}],"max_tokens":1,"temperature":0.5,"top_p":0.9,"seed":7,"n":1,"stop":["x","yz"],"logit_bias":{"7":-1},"user":"u" """),
            Post("/v1/chat/completions",
                """ "messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":1,"stream":true,"stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":2 """),
            Post("/v1/chat/completions",
                """ "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]},{"role":"tool","tool_call_id":"c1","content":"rain"}],"max_tokens":1,"tool_choice":"auto","tools": """ + Tools),
            Post("/v1/chat/completions",
                """ "messages":[{"role":"user","content":"hi"}],"max_tokens":1,"response_format":{"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string","pattern":"^[a-z]{1,3}$"},"b":{"enum":[1,"two",null]},"c":{"type":"array","items":{"type":"number"},"maxItems":3}},"required":["a","b","c"],"additionalProperties":false}}} """),
            Post("/v1/completions",
                """ "prompt":"hi","max_tokens":1,"echo":false,"logprobs":1,"presence_penalty":0.1,"frequency_penalty":0.1,"min_p":0.1,"top_k":5,"repeat_penalty":1.1,"stop":"q" """),
            Post("/v1/completions",
                """ "prompt":["a","b"],"max_tokens":1,"stream":true,"n":1,"grammar":"root ::= [a-z]{1,5} | \"x\" root" """),
            Post("/v1/embeddings", """ "input":["hi","you"],"encoding_format":"base64" """),
            Post("/v1/embeddings", """ "input":[1,2,3] """),
            Post("/v1/chat/completions", $$$"""
                "messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"{{{Tone}}}","format":"wav"}}]},{"role":"assistant","content":"a tone"},{"role":"user","content":[{"type":"text","text":"and now?"},{"type":"audio_url","audio_url":{"url":"data:audio/wav;base64,{{{Tone}}}"}}]}],"max_tokens":1
                """),
            Post(Transcriptions,
                $$""" "file":"{{Tone}}","language":"en","prompt":"hm","response_format":"verbose_json","temperature":0.5,"stream":false,"chunking_strategy":"auto" """),
        ],
        ["responses"] =
        [
            Post("/v1/responses",
                """ "input":"hi","max_output_tokens":1,"store":false,"instructions":"be short","temperature":0.5,"metadata":{"a":"b"},"text":{"verbosity":"low"},"reasoning":{"effort":"low","summary":"auto"},"truncation":"disabled" """),
            Post("/v1/responses",
                """ "input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"ok"}],"max_output_tokens":1,"store":false,"stream":true,"include":["reasoning.encrypted_content"],"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}] """),
            Post("/v1/responses",
                """ "input":"hi","max_output_tokens":1,"store":false,"text":{"format":{"type":"json_schema","name":"s","schema":{"type":"object","properties":{"a":{"type":"integer"}}}}},"top_logprobs":2 """),
            Post("/v1/responses/input_tokens", """ "input":"hi" """),
            new("GET", "/v1/responses/resp_1", ""),
            new("DELETE", "/v1/responses/resp_1", ""),
        ],
        ["anthropic"] =
        [
            Post("/v1/messages",
                """ "messages":[{"role":"user","content":"hi"}],"max_tokens":1,"system":"be short","temperature":0.5,"top_k":3,"top_p":0.9,"stop_sequences":["zz"],"metadata":{"user_id":"u"} """),
            Post("/v1/messages",
                """ "messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}],"max_tokens":1,"stream":true,"system":[{"type":"text","text":"be short"}],"thinking":{"type":"disabled"} """),
            Post("/v1/messages",
                """ "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"ok"}],"is_error":false}]}],"max_tokens":1,"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true} """),
            Post("/v1/messages",
                """ "messages":[{"role":"user","content":"hi"}],"max_tokens":1100,"stream":true,"thinking":{"type":"enabled","budget_tokens":1024},"stop_sequences":["e","a","."," "] """),
            Post("/v1/messages/count_tokens",
                """ "messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}}] """),
        ],
        ["native"] =
        [
            Post("/api/generate",
                """ "prompt":"hi","max_tokens":1,"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"repeat_penalty":1.1,"seed":1,"stop":["a"],"stream":false,"system":"be short" """),
            Post("/api/generate",
                """ "messages":[{"role":"user","content":"hi"}],"max_tokens":1,"stream":true,"mirostat":2,"dry_multiplier":0.8,"dry_sequence_breakers":["\n"],"xtc_probability":0.1,"typical_p":0.9,"top_n_sigma":1,"dynatemp_range":0.1 """),
            Post("/api/generate",
                """ "prompt":"hi","max_tokens":1,"json_schema":{"type":"array","items":{"anyOf":[{"type":"string","format":"date"},{"$ref":"#/$defs/n"}]},"$defs":{"n":{"type":"number","minimum":0.5}}} """),
            Post("/tokenize", """ "content":"hi you","add_special":true,"parse_special":false,"with_pieces":true """),
            Post("/tokenize",
                """ "messages":[{"role":"user","content":"hi"}],"add_generation_prompt":true,"enable_thinking":false,"chat_template_kwargs":{"a":1} """),
            Post("/detokenize", """ "tokens":[1,2,300] """),
            Post("/apply-template",
                """ "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}],"continue_final_message":true,"tools":[] """),
            Post("/v1/rerank", """ "query":"hi","documents":["a","b"],"top_n":1 """),
            new("POST", $"/api/models/{Exchange.Model}/load", ""),
            new("GET", $"/api/models/{Exchange.Model}/status", ""),
            new("GET", "/api/models", ""),
        ],
        ["llama-server"] =
        [
            Post("/completion",
                """ "prompt":["hi",[1,2,"you"],{"prompt_string":"a","multimodal_data":[]}],"n_predict":1,"n_probs":2,"samplers":["top_k","temperature"],"logit_bias":[[5,1.5],["a",false]],"response_fields":["content","timings/predicted_n"],"lora":[],"id_slot":-1,"return_tokens":true,"min_keep":1 """),
            Post("/completion",
                """ "prompt":"hi","n_predict":1,"stream":true,"timings_per_token":true,"return_progress":true,"t_max_predict_ms":500,"cache_prompt":true,"sse_ping_interval":5,"json_schema":{"type":"object"},"n_keep":1,"n_discard":0 """),
            Post("/infill", """ "input_prefix":"a","input_suffix":"b","input_extra":[{"filename":"f","text":"t"}],"prompt":"c","n_predict":1 """),
            Post("/embedding", """ "content":["hi",{"content":[{"type":"text","text":"you"}]}],"embd_normalize":2,"encoding_format":"float" """),
            Post("/v1/chat/completions/input_tokens", """ "messages":[{"role":"user","content":"hi"}],"reasoning_format":"none" """),
            Post("/v1/chat/completions/control", """ "id":"chatcmpl-1","action":"reasoning_end" """),
            Post("/v1/streams/lookup", """ "conversation_ids":["a","b"] """),
        ],
        ["ollama"] =
        [
            Post("/api/chat",
                """ "messages":[{"role":"system","content":"be short"},{"role":"user","content":"hi","images":[]},{"role":"assistant","content":"","thinking":"t","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","tool_name":"f","content":"ok"}],"stream":false,"think":false,"format":{"type":"object","properties":{"a":{"type":"integer"}}},"options":{"num_predict":1,"temperature":0.5,"stop":["a"],"seed":1,"num_ctx":64},"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}}}}],"logprobs":true,"top_logprobs":1 """),
            Post("/api/chat", """ "messages":[{"role":"user","content":"hi"}],"stream":true,"options":{"num_predict":1,"top_k":5,"num_gpu":0} """),
            Post("/api/generate",
                """ "prompt":"hi","suffix":"","system":"s","template":"{{ .Prompt }}","context":[1,2],"raw":false,"stream":false,"options":{"num_predict":1},"format":"json","think":null,"images":[] """),
            Post("/api/embed", """ "input":["hi","you"],"truncate":true,"dimensions":8,"options":{"num_thread":1} """),
            Post("/api/embeddings", """ "prompt":"hi","options":{} """),
            Post("/api/show", """ "verbose":false,"name":"x" """),
            Post("/api/copy", """ "source":"nobody","destination":"nobody-2" """),
            new("DELETE", "/api/delete", """{"model":"nobody"}"""),
        ],
        ["websocket"] =
        [
            Post("/ws/generate", """ "prompt":"hi","max_tokens":1,"temperature":0.5,"stop":["a"],"seed":3 """),
            Post("/ws/generate", """ "messages":[{"role":"user","content":"hi"}],"max_tokens":2,"system":"be short","top_k":5 """),
            Post("/ws/generate", """ "prompt":"hi","max_tokens":1,"grammar":"root ::= \"a\" | \"b\"","json_schema":null """),
            new("GET", "/ws/generate", """{"cancel":true}"""),
        ],
    };

    private static FuzzSeed Post(string path, string fields) => new("POST", path, $$"""{"model":"{{Exchange.Model}}",{{fields.Trim()}}}""");
}
