using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// A piece of a conversation as <c>/v1/responses</c> has it: what a client sends in <c>input</c>, and what an answer holds in
/// <c>output</c>, which comes back as input of a later turn.
/// </summary>
/// <param name="Id">The item's id, given or made.</param>
internal abstract record ResponseItem(string Id)
{
    /// <summary>About how much memory it takes, in bytes.</summary>
    public virtual int Size => 256 + (2 * Id.Length);

    /// <summary>Writes it as an object.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", Id);
        WriteFields(json);
        json.WriteEndObject();
    }

    protected abstract void WriteFields(Utf8JsonWriter json);
}

/// <summary>A message.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Role"><c>system</c>, <c>developer</c>, <c>user</c> or <c>assistant</c>.</param>
/// <param name="Parts">Its content in order.</param>
/// <param name="Status"><c>in_progress</c>, <c>completed</c> or <c>incomplete</c>.</param>
internal sealed record MessageItem(string Id, string Role, IReadOnlyList<ItemPart> Parts, string Status = "completed") : ResponseItem(Id)
{
    public override int Size => base.Size + Parts.Sum(part => part.Size);

    protected override void WriteFields(Utf8JsonWriter json)
    {
        json.WriteString("type"u8, "message"u8);
        json.WriteString("status", Status);
        json.WriteString("role", Role);
        json.WriteStartArray("content");
        foreach (var part in Parts)
            part.Write(json);
        json.WriteEndArray();
    }
}

/// <summary>A part of a message or of what a model thought.</summary>
/// <param name="Type">
/// <c>input_text</c>, <c>input_image</c>, <c>input_audio</c>, <c>output_text</c>, <c>refusal</c>,
/// <c>reasoning_text</c> or <c>summary_text</c>.
/// </param>
/// <param name="Text">Its text; empty where it is a picture or sound.</param>
internal sealed record ItemPart(string Type, string Text)
{
    /// <summary>The picture or sound; null where it is text. One that cannot be read is written as its text.</summary>
    public ContentPart? Medium { get; init; }

    /// <summary>The part as messages of a conversation have it.</summary>
    public ContentPart Content => Medium ?? new ContentPart(Text);

    /// <summary>About how much memory it takes, in bytes.</summary>
    public int Size => 64 + (2 * Text.Length) + (Medium?.Source?.File.Length ?? 0);

    /// <summary>Its tokens with their probabilities; empty where they were not asked for.</summary>
    public IReadOnlyList<GeneratedToken> Tokens { get; init; } = [];

    /// <summary>Writes it as an object.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("type", Type);
        if (Medium?.Source is { Kind: MediumKind.Sound, Unreadable: null } sound)
        {
            MediaFields.WriteInputAudio(json, sound);
            json.WriteEndObject();
            return;
        }
        if (Medium?.Source is { Unreadable: null } source)
        {
            json.WriteString("detail"u8, "auto"u8);
            json.WriteString("image_url", MediaFields.UrlOf(source));
            json.WriteEndObject();
            return;
        }
        if (Type == "output_text")
        {
            json.WriteStartArray("annotations");
            json.WriteEndArray();
            json.WriteStartArray("logprobs");
            TokenProbabilities.Write(json, Tokens);
            json.WriteEndArray();
        }
        json.WriteString(Type == "refusal" ? "refusal" : "text", Text);
        json.WriteEndObject();
    }
}

/// <summary>A call of a function.</summary>
/// <param name="Id">The item's id.</param>
/// <param name="CallId">The call's id, which its result names.</param>
/// <param name="Name">The function's name.</param>
/// <param name="Arguments">The arguments as JSON text.</param>
/// <param name="Status"><c>in_progress</c>, <c>completed</c> or <c>incomplete</c>.</param>
internal sealed record FunctionCallItem(string Id, string CallId, string Name, string Arguments, string Status = "completed")
    : ResponseItem(Id)
{
    public override int Size => base.Size + (2 * (CallId.Length + Name.Length + Arguments.Length));

    protected override void WriteFields(Utf8JsonWriter json)
    {
        json.WriteString("type"u8, "function_call"u8);
        json.WriteString("status", Status);
        json.WriteString("arguments", Arguments);
        json.WriteString("call_id", CallId);
        json.WriteString("name", Name);
    }
}

/// <summary>An item of a kind that is not known here, which is repeated as it came.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Raw">The item.</param>
/// <param name="Meaning">What a model reads of it: a call, a result, or words.</param>
internal sealed record ForeignItem(string Id, JsonElement Raw, ResponseItem Meaning) : ResponseItem(Id)
{
    public override int Size => base.Size + (4 * Raw.GetRawText().Length) + Meaning.Size;

    protected override void WriteFields(Utf8JsonWriter json)
    {
        foreach (var field in Raw.EnumerateObject().Where(field => field.Name != "id"))
            field.WriteTo(json);
    }
}

/// <summary>The result of a call.</summary>
/// <param name="Id">The item's id.</param>
/// <param name="CallId">The call that it answers.</param>
/// <param name="Parts">The result, in one text or several parts.</param>
internal sealed record FunctionOutputItem(string Id, string CallId, IReadOnlyList<ItemPart> Parts) : ResponseItem(Id)
{
    /// <summary>Whether the client gave an array of parts rather than one text.</summary>
    public bool InParts { get; init; }

    public override int Size => base.Size + Parts.Sum(part => part.Size);

    protected override void WriteFields(Utf8JsonWriter json)
    {
        json.WriteString("type"u8, "function_call_output"u8);
        json.WriteString("status"u8, "completed"u8);
        json.WriteString("call_id", CallId);
        if (!InParts)
        {
            json.WriteString("output", Parts[0].Text);
            return;
        }
        json.WriteStartArray("output");
        foreach (var part in Parts)
            part.Write(json);
        json.WriteEndArray();
    }
}
