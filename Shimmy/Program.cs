using Shimmy.Cli;

return args is ["worker"] ? WorkerCommand.Run() : 2;
