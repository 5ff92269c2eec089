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

    /// <summary>Writes what there is into a vocabulary.</summary>
    public static void Write(Vocabulary vocabulary, TokenizerFiles files, ModelFolder folder)
    {
        var own = files.Config["chat_template"];
        if (own.AsText is { } one)
        {
            vocabulary.Keys.Add((Key, GgufValue.OfText(one)));
            return;
        }

        if (own.IsArray)
        {
            WriteNamed(vocabulary, own);
            return;
        }

        var text = folder.Bytes("chat_template.jinja") is { } bytes ? Encoding.UTF8.GetString(bytes)
            : folder.TokenizerFile("chat_template.json")?["chat_template"].AsText;
        if (text is not null)
            vocabulary.Keys.Add((Key, GgufValue.OfText(text)));
    }

    private static void WriteNamed(Vocabulary vocabulary, PlainJson list)
    {
        var names = new List<string>();
        foreach (var entry in list.Items)
        {
            if (entry["name"].AsText is not { } name || entry["template"].AsText is not { } template)
                throw new SafeTensorsException("tokenizer_config.json: each chat_template of a list needs a name and a template");

            if (name == "default")
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
