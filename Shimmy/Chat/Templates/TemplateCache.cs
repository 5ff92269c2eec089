using Microsoft.Extensions.Logging;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;
using Shimmy.Models.Residency;

namespace Shimmy.Chat.Templates;

/// <summary>The chat templates of loaded models: each is compiled and probed once for a load, when its model first chats.</summary>
internal static partial class TemplateCache
{
    /// <summary>
    /// The model's chat template: the one that the user named, else the model's own, else that of the family that it most likely
    /// belongs to, which the log says.
    /// </summary>
    /// <exception cref="EngineException">
    /// <see cref="EngineFailure.GenerationFailed"/>: the template is not valid, or the one that the user named cannot be read.
    /// </exception>
    public static async Task<ChatTemplate> OfAsync(ModelLease lease, ILogger? logger, CancellationToken cancellation)
    {
        if (lease.Load.Template is ChatTemplate known)
            return known;
        var model = lease.Model;
        // Two requests may both come here first; they find the same, and the second's is kept.
        var template = new ChatTemplate(await ChooseAsync(model, logger, cancellation).ConfigureAwait(false), model.Facts, TimeProvider.System)
        {
            DefaultSystem = model.Spec.Defaults.System,
        };
        lease.Load.Template = template;
        if (logger is not null)
            LogChosen(logger, model.Spec.Name, template.Origin);
        return template;
    }

    private static async Task<TemplateSource> ChooseAsync(ILoadedModel model, ILogger? logger, CancellationToken cancellation)
    {
        try
        {
            if (model.Spec.Template is { } named)
                return TemplateSource.Named(named);
            if (TemplateSource.Of(model.Facts.ChatTemplates) is { } own)
                return own;
        }
        catch (Exception failure) when (failure is TemplateException or FormatException)
        {
            throw new EngineException(EngineFailure.GenerationFailed,
                $"the model '{model.Spec.Name}' cannot chat: {failure.Message} (--template names another)", failure);
        }

        var (family, reason) = await TemplateDetection.OfAsync(model, cancellation).ConfigureAwait(false);
        if (logger is not null)
            LogGuessed(logger, model.Spec.Name, family.Name, reason);
        return TemplateSource.Of(family);
    }

    [LoggerMessage(LogLevel.Information, "the model {Model} carries no chat template; guessed the family {Family}, since {Reason}. " +
        "--template names another")]
    private static partial void LogGuessed(ILogger logger, string model, string family, string reason);

    [LoggerMessage(LogLevel.Debug, "the model {Model} chats with the template of {Origin}")]
    private static partial void LogChosen(ILogger logger, string model, string origin);
}
