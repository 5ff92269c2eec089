using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Shimmy.Worker.Native;

/// <summary>
/// llama.cpp's log, line by line, for a listener. llama.cpp gives the reason of a failed load or grammar in its log only, so the last
/// errors are kept for error messages.
/// </summary>
internal static unsafe class NativeLog
{
    private const int KeptErrors = 8;

    private static readonly Lock Gate = new();
    private static readonly StringBuilder Line = new();
    private static readonly Queue<string> Errors = new();
    private static NativeLogLevel _lineLevel = NativeLogLevel.Info;

    /// <summary>Gets each whole line; may be called on any native thread.</summary>
    public static Action<NativeLogLevel, string>? Listener { get; set; }

    /// <summary>Gets each whole line beside the listener, while a model loads.</summary>
    public static Action<string>? LoadObserver { get; set; }

    /// <summary>Takes over the log of libllama and ggml.</summary>
    public static void Attach() => LlamaApi.llama_log_set(&OnText, null);

    /// <summary>Takes over the log of libmtmd, once that is loaded.</summary>
    public static void AttachMedia() => MtmdApi.mtmd_helper_log_set(&OnText, null);

    /// <summary>The error lines since the last call, joined; empty where there are none.</summary>
    public static string TakeErrors()
    {
        lock (Gate)
        {
            var text = string.Join("; ", Errors);
            Errors.Clear();
            return text;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnText(int level, byte* text, void* userData)
    {
        // An exception must not unwind into native frames: that would end the process.
        try
        {
            Append((NativeLogLevel)level, Marshal.PtrToStringUTF8((nint)text) ?? "");
        }
        catch (Exception)
        {
            // A line of log is not worth the process.
        }
    }

    private static void Append(NativeLogLevel level, string text)
    {
        lock (Gate)
        {
            if (level != NativeLogLevel.Continue)
                _lineLevel = level;
            foreach (var character in text)
            {
                if (character != '\n')
                {
                    Line.Append(character);
                    continue;
                }
                var line = Line.ToString().TrimEnd();
                Line.Clear();
                if (line.Length == 0 || line.All(c => c == '.'))
                    continue;
                if (_lineLevel == NativeLogLevel.Error)
                {
                    Errors.Enqueue(line);
                    if (Errors.Count > KeptErrors)
                        Errors.Dequeue();
                }
                LoadObserver?.Invoke(line);
                Listener?.Invoke(_lineLevel, line);
            }
        }
    }
}

/// <summary><c>enum ggml_log_level</c>.</summary>
internal enum NativeLogLevel
{
    None = 0,
    Debug = 1,
    Info = 2,
    Warning = 3,
    Error = 4,

    /// <summary>Goes on with the line of the message before.</summary>
    Continue = 5,

    /// <summary>A warning of ours, for the owner of the server; those of llama.cpp are for its developers.</summary>
    Ours = Engine.Protocol.Frame.LevelOfOwnWarning,
}
