using Shimmy.Cli;
using Shimmy.Worker;

// The hidden child of serve and of the commands that run a model: before anything else is touched.
if (args is ["worker"])
    return WorkerCommand.Run();
return await CommandLine.RunAsync(args);
