using System.Text;
using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>
/// The chat template of a folder: in tokenizer_config.json, chat_template.jinja or chat_template.json, alone or several with names.
/// </summary>
internal static class ChatTemplates
{
    private const string Key = "tokenizer.chat_template";
    private const string Default = "default";

    /// <summary>Writes what there is into a vocabulary.</summary>
    public static void Write(Vocabulary vocabulary, TokenizerFiles files, ModelFolder folder)
    {
        var given = files.Config["chat_template"];
        var text = given.IsArray || given.IsObject ? null
            : given.AsText ?? (folder.Bytes("chat_template.jinja") is { } bytes ? Encoding.UTF8.GetString(bytes) : null);
        if (text is null && !given.IsArray && !given.IsObject)
        {
            given = folder.TokenizerFile("chat_template.json") is { } own ? own["chat_template"] : given;
            text = given.AsText;
        }

        var named = new List<(string Name, string Text)>();
        if (text is not null)
        {
            named.Add((Default, text));
        }
        else if (given.IsObject)
        {
            named.AddRange(given.Members.Select(member => (member.Name, member.Value.AsText ?? throw Unnamed())));
        }
        else
        {
            named.AddRange(
                given.Items.Select(entry => (entry["name"].AsText ?? throw Unnamed(), entry["template"].AsText ?? throw Unnamed())));
        }

        foreach (var (name, more) in folder.AdditionalTemplates())
        {
            if (!named.Exists(one => one.Name == name))
                named.Add((name, Encoding.UTF8.GetString(more)));
        }

        WriteNamed(vocabulary, named);
    }

    private static SafeTensorsException Unnamed() => new("tokenizer_config.json: each chat_template of a list needs a name and a template");

    private static void WriteNamed(Vocabulary vocabulary, List<(string Name, string Text)> list)
    {
        var names = new List<string>();
        foreach (var (name, template) in list)
        {
            if (name == Default)
            {
                vocabulary.Keys.Insert(0, (Key, GgufValue.OfText(template)));
                continue;
            }

            // Keys of GGUF are plain: what is no letter or digit becomes a line.
            var plain = string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' ? letter : '_'));
            if (plain.Length is > 0 and < 64 && !names.Contains(plain))
            {
                names.Add(plain);
                vocabulary.Keys.Add(($"{Key}.{plain}", GgufValue.OfText(template)));
            }
        }

        if (names.Count > 0)
        {
            vocabulary.Keys.Add(
                ("tokenizer.chat_templates",
                    GgufValue.OfArray(new GgufArray(GgufType.Text, names.Count, [.. names.Select(GgufValue.OfText)]))));
        }
    }
}
