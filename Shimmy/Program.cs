using Shimmy.Cli;
using Shimmy.Cli.Packing;
using Shimmy.Cli.Terminal;
using Shimmy.Worker;

// The hidden child of serve and of the commands that run a model: before anything else is touched.
if (args is ["worker"])
    return WorkerCommand.Run();
// Before anything is opened: what got the number of a closed stream would get what is printed (the pipe of signals
// would take it for signals).
StandardStreams.Claim();
// The hidden child of exec and launch, between them and the command that they run.
if (args is ["guard", var pipe, _, ..])
    return GuardCommand.Run(pipe, args[2..]);
// One file with a model in it runs what it unpacks.
if (PackedProgram.Start(args) is { } exitCode)
    return exitCode;
// A limit of a file's size (ulimit -f) is an error of the write then, as a full disk is, and not the end of the program.
using var fileSize = OperatingSystem.IsWindows() ? null : FileSizeSignal.Ignore();
return await CommandLine.RunAsync(args);
