using Shimmy.Engine.Memory;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Engine.Memory;

/// <summary>Kind: a container with less memory than its machine. The kernel's files say how much; .NET says three quarters of it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MachineMemoryTests : IDisposable
{
    private const long Gigabyte = 1L << 30;
    private readonly TemporaryFolder _root = new();

    public MachineMemoryTests() => Write("proc/meminfo", "MemTotal:       33554432 kB\nMemFree:         1000 kB\n");

    public void Dispose() => _root.Dispose();

    [TestMethod]
    public void Without_a_limit_it_is_that_of_the_machine()
    {
        Write("proc/self/cgroup", "0::/\n");
        Write("sys/fs/cgroup/memory.max", "max\n");
        Assert.AreEqual(32 * Gigabyte, MachineMemory.OfLinux(_root.Path));
    }

    [TestMethod]
    public void The_limit_of_a_container_counts_whole()
    {
        Write("proc/self/cgroup", "0::/\n");
        Write("sys/fs/cgroup/memory.max", "4294967296\n");
        Assert.AreEqual(4 * Gigabyte, MachineMemory.OfLinux(_root.Path));
    }

    [TestMethod]
    public void The_least_limit_of_all_groups_above_counts()
    {
        Write("proc/self/cgroup", "0::/user.slice/app.scope\n");
        Write("sys/fs/cgroup/user.slice/memory.max", "8589934592\n");
        Write("sys/fs/cgroup/user.slice/app.scope/memory.max", "max\n");
        Assert.AreEqual(8 * Gigabyte, MachineMemory.OfLinux(_root.Path));
    }

    [TestMethod]
    public void Version_1_is_read_too_also_where_the_path_is_the_machines()
    {
        Write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n");
        Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
        Assert.AreEqual(2 * Gigabyte, MachineMemory.OfLinux(_root.Path));
        Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        Assert.AreEqual(32 * Gigabyte, MachineMemory.OfLinux(_root.Path));
    }

    [TestMethod]
    public void Without_the_files_nothing_is_known() => Assert.IsNull(MachineMemory.OfLinux(_root["absent"]));

    private void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_root[path])!);
        File.WriteAllText(_root[path], text);
    }
}
