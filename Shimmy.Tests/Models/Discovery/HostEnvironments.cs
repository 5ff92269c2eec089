using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Models.Discovery;

/// <summary>Hosts that the tests make up: a home in a folder of the test, or another system altogether.</summary>
internal static class HostEnvironments
{
    public static HostEnvironment In(TemporaryFolder folder, params (string Name, string Value)[] variables) =>
        Host(HostSystem.Linux, folder["home"], folder["work"], folder["app"], variables);

    public static HostEnvironment Windows(params (string Name, string Value)[] variables) =>
        Host(HostSystem.Windows, @"C:\Users\me", @"D:\work", @"C:\Program Files\shimmy", variables);

    public static HostEnvironment MacOS(params (string Name, string Value)[] variables) =>
        Host(HostSystem.MacOS, "/Users/me", "/Users/me/work", "/Applications/shimmy", variables);

    public static HostEnvironment Linux(params (string Name, string Value)[] variables) =>
        Host(HostSystem.Linux, "/home/me", "/home/me/work", "/opt/shimmy", variables);

    private static HostEnvironment Host(HostSystem system, string home, string current, string executable,
        (string Name, string Value)[] variables) => new()
        {
            Variable = name => variables.FirstOrDefault(variable => variable.Name == name).Value,
            Home = home,
            CurrentDirectory = current,
            ExecutableDirectory = executable,
            System = system,
        };
}
