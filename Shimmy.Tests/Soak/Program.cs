using System.Globalization;
using Shimmy.Tests.Soak;

// Programs that judge a server under load. Each prints what it did and what it found, and ends with 1 where a criterion was missed.
CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var verdict = new Verdict(Console.Out);
try
{
    var options = SoakOptions.Parse([.. args.Skip(1)]);
    switch (args.FirstOrDefault())
    {
        case "soak":
            await SoakRun.RunAsync(options, verdict);
            break;
        case "kill":
            await KillRun.RunAsync(options, verdict);
            break;
        case "fuzz":
            await FuzzRun.RunAsync(options, verdict);
            break;
        case "fields":
            await FieldRun.RunAsync(options, verdict);
            break;
        case "idle":
            await IdleRun.RunAsync(options, verdict);
            break;
        case "folders":
            FolderRun.Run(options, verdict);
            break;
        case "registries":
            await RegistryRun.RunAsync(options, verdict);
            break;
        case "states":
            await StatesRun.RunAsync(options, verdict);
            break;
        case "media":
            await MediaRun.RunAsync(options, verdict);
            break;
        default:
            throw new FormatException($"unknown program {args.FirstOrDefault()}");
    }
}
catch (FormatException e)
{
    Console.Error.WriteLine($"""
        {e.Message}
        usage: dotnet run -c Release --project Shimmy.Tests/Soak -- PROGRAM [OPTION VALUE]… [-- MORE ARGUMENTS OF serve]
          soak   10,000 requests of all dialects, 32 at a time, a third of them left by their clients
          kill   200 workers killed under the same load
          fuzz   100,000 damaged requests in each dialect
          fields 100,000 requests with odd values (null, empty lists and objects, half surrogates …) at every field of every dialect
          folders 100,000 Hugging Face folders with damaged files, read in this process
          media  9,000 damaged pictures and 1,000 damaged projectors, and half as many sounds and projectors for them
          states 10,000 requests of models whose states are kept, each compared with what is computed, then 200 workers killed
          registries 100,000 pulls from registries that lie, in this process
          idle   5,000 idle connections, slow readers, half-closed sockets
        --requests N, --seconds N, --seed N, --clients N, --kills N, --connections N, --dialect NAME
        SHIMMY_EXECUTABLE names the executable that is tried; by default the one built beside this program.
        """);
    return 2;
}
Console.WriteLine(verdict.Missed.Count == 0 ? "all criteria are met" : $"{verdict.Missed.Count} criteria are missed");
return verdict.Missed.Count == 0 ? 0 : 1;
