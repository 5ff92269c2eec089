namespace Shimmy.Tests.Soak;
internal static class IdleRun { public static Task RunAsync(SoakOptions options, Verdict verdict) => Task.CompletedTask; }
