using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Cli.Options;

/// <summary>
/// The sampling options of a command. They are read as the fields of a request are, under the same names (<c>--top-k</c> is <c>top_k</c>),
/// so that both know the same ranges and defaults.
/// </summary>
internal static class SamplingArguments
{
    private static readonly string[] Texts = ["--stop"];
    private static readonly string[] Flags = ["--ignore-eos"];

    /// <summary>
    /// Fills the options from what was given or is set in the environment. Throws <see cref="UsageException"/> naming the option or variable
    /// that is wrong.
    /// </summary>
    public static GenerationOptions Read(OptionReader reader, GenerationOptions defaults, params ReadOnlySpan<(string Option, string? Given)> options)
    {
        var found = new Dictionary<string, OptionValue>();
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            foreach (var (option, given) in options)
            {
                if (reader.Find(option, given) is not { } value)
                    continue;
                var name = option.TrimStart('-').Replace('-', '_');
                found.Add(name, value);
                writer.WritePropertyName(name);
                Write(writer, option, value);
            }
            writer.WriteEndObject();
        }
        var (document, fields) = RequestFields.Parse(json.WrittenMemory);
        using (document)
        {
            try
            {
                return SamplingFields.Read(fields).Over(defaults);
            }
            catch (ApiException e) when (e.Field is { } field && found.TryGetValue(field.Split('[')[0], out var value))
            {
                var message = e.Message[(e.Message.IndexOf(':', StringComparison.Ordinal) + 2)..];
                throw new UsageException($"{value.Source}: {message.Replace("not a string", $"not '{value.Value}'", StringComparison.Ordinal)}");
            }
        }
    }

    // What is no number is passed on as text, which the field's reader refuses with what is allowed.
    private static void Write(Utf8JsonWriter writer, string option, OptionValue value)
    {
        const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        if (Texts.Contains(option))
        {
            writer.WriteStartArray();
            foreach (var text in value.Value.Split(CommandLine.Separator))
                writer.WriteStringValue(text);
            writer.WriteEndArray();
        }
        else if (Flags.Contains(option))
        {
            writer.WriteBooleanValue(value.ToFlag());
        }
        else if (long.TryParse(value.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
        {
            writer.WriteNumberValue(whole);
        }
        else if (double.TryParse(value.Value, style, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number))
        {
            writer.WriteNumberValue(number);
        }
        else
        {
            writer.WriteStringValue(value.Value);
        }
    }
}
