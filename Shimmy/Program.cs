using Shimmy.Cli;
using Shimmy.Cli.Terminal;
using Shimmy.Worker;

// The hidden child of serve and of the commands that run a model: before anything else is touched.
if (args is ["worker"])
    return WorkerCommand.Run();
// The hidden child of exec and launch, between them and the command that they run.
if (args is ["guard", var pipe, _, ..])
    return GuardCommand.Run(pipe, args[2..]);
// A limit of a file's size (ulimit -f) is an error of the write then, as a full disk is, and not the end of the program.
using var fileSize = OperatingSystem.IsWindows() ? null : FileSizeSignal.Ignore();
return await CommandLine.RunAsync(args);
