using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;
using Shimmy.Models.Residency;

namespace Shimmy.Chat.Templates;

/// <summary>Cache of chat templates, by loaded model: each template is compiled and probed once, at the model's first chat.</summary>
internal static partial class TemplateCache
{
    private const int LongestOfRequest = 256 << 10;

    /// <summary>
    /// The chat template of a model: the one that the user set, else the model's own, else that of the most likely family, which is logged.
    /// </summary>
    /// <exception cref="EngineException">
    /// <see cref="EngineFailure.GenerationFailed"/>: the template is not valid, or the one that the user set cannot be read.
    /// </exception>
    public static async Task<ChatTemplate> OfAsync(ModelLease lease, ILogger? logger, CancellationToken cancellation)
    {
        if (lease.Load.Template is ChatTemplate known)
            return known;
        var model = lease.Model;
        // Two requests may race here; both make the same template, and the second one is kept.
        var template = Make(model, await ChooseAsync(model, logger, cancellation).ConfigureAwait(false));
        lease.Load.Template = template;
        if (logger is not null)
            LogChosen(logger, model.Spec.Name, template.Origin);
        return template;
    }

    /// <summary>
    /// A template of a request's own, in Go's template language as Ollama has it, in place of the model's. Throws
    /// <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) naming the field where it cannot be read.
    /// </summary>
    public static ChatTemplate OfRequest(ILoadedModel model, string text, string field)
    {
        if (text.Length > LongestOfRequest)
            throw ChatTemplate.Refusal(field, $"has {text.Length} characters; at most {LongestOfRequest} are allowed");
        try
        {
            return Make(model, TemplateSource.OfOllama(text));
        }
        catch (Exception failure) when (failure is TemplateException or FormatException)
        {
            throw ChatTemplate.Refusal(field, $"cannot be used: {failure.Message}");
        }
    }

    private static ChatTemplate Make(ILoadedModel model, TemplateSource source) => new(source, model.Facts, TimeProvider.System)
    {
        DefaultSystem = model.Spec.Defaults.System,
        FirstTurns = [.. model.Spec.Defaults.Messages.Select(turn =>
            new ChatMessage { Role = turn.Role, Content = [new ContentPart(turn.Content)] })],
    };

    private static async Task<TemplateSource> ChooseAsync(ILoadedModel model, ILogger? logger, CancellationToken cancellation)
    {
        try
        {
            if (model.Spec.Template is { } named)
                return TemplateSource.Named(named);
            if (TemplateSource.Of(model.Facts.ChatTemplates) is { } own)
            {
                // One that refuses everything in its own words is meant so.
                if (((string[])["messages", "raise_exception"]).Any(word => own.Text.Contains(word, StringComparison.Ordinal)))
                    return own;
                // Some put the name of a family where its template belongs.
                var meant = TemplateFamilies.Find(own.Text.Trim().ToLowerInvariant())
                    ?? (await TemplateDetection.OfAsync(model, cancellation).ConfigureAwait(false)).Family;
                if (logger is not null)
                    LogUseless(logger, model.Spec.Name, meant.Name);
                return TemplateSource.Of(meant);
            }
        }
        catch (Exception failure) when (failure is TemplateException or FormatException)
        {
            throw new EngineException(EngineFailure.GenerationFailed,
                $"the chat template of the model '{model.Spec.Name}' cannot be used: {failure.Message} (--template sets another)", failure)
            {
                IsLasting = true,
            };
        }

        if (model.Spec.Defaults.Template is { } layer)
        {
            try
            {
                return TemplateSource.OfOllama(layer);
            }
            catch (Exception failure) when (failure is TemplateException or FormatException)
            {
                var likely = TemplateDetection.OfTemplate(layer);
                if (logger is not null)
                    LogUnread(logger, model.Spec.Name, failure.Message, likely?.Name ?? "a guess");
                if (likely is not null)
                    return TemplateSource.Of(likely);
            }
        }

        if (model.Spec.Defaults.TemplateFamily is { } name && TemplateFamilies.Find(name) is { } usual)
            return TemplateSource.Of(usual);
        var (family, reason) = await TemplateDetection.OfAsync(model, cancellation).ConfigureAwait(false);
        if (logger is not null)
            LogGuessed(logger, model.Spec.Name, family.Name, reason);
        return TemplateSource.Of(family);
    }

    [LoggerMessage(LogLevel.Information, "the model {Model} has no chat template; guessed the family {Family}, because {Reason}. " +
        "--template sets another")]
    private static partial void LogGuessed(ILogger logger, string model, string family, string reason);

    [LoggerMessage(LogLevel.Warning, "Ollama's template of the model {Model} cannot be read ({Reason}); the family that its tokens show "
        + "takes its place: {Family}. --template sets another")]
    private static partial void LogUnread(ILogger logger, string model, string reason, string family);

    [LoggerMessage(LogLevel.Warning, "the chat template in the file of the model {Model} never reads messages; the family {Family} takes "
        + "its place. --template sets another")]
    private static partial void LogUseless(ILogger logger, string model, string family);

    [LoggerMessage(LogLevel.Debug, "the model {Model} uses the chat template of {Origin}")]
    private static partial void LogChosen(ILogger logger, string model, string origin);
}
