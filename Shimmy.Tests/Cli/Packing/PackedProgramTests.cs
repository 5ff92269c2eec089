using Shimmy.Cli.Packing;
using Shimmy.Cli.Terminal;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Cli.Packing;

/// <summary>Files that carry a program: what is written can be verified, and what was damaged is refused.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PackedProgramTests
{
    [TestMethod]
    public async Task A_packed_file_is_verified_and_any_damage_to_it_is_found()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["shimmy"], "the program");
        File.WriteAllBytes(folder["model.gguf"], [.. Enumerable.Range(0, 10_000).Select(i => (byte)i)]);
        var told = (Done: 0L, All: 0L);
        await PackedProgram.WriteAsync(folder["packed"], folder["shimmy"], [("models/model.gguf", folder["model.gguf"])],
            (done, all) => told = (done, all), CancellationToken.None);

        Assert.AreEqual((2, 10_011L), PackedProgram.Verify(folder["packed"]));
        Assert.AreEqual((10_011L, 10_011L), told);
        Assert.IsEmpty(Directory.GetFiles(folder.Path, "*.partial"));
        var bytes = File.ReadAllBytes(folder["packed"]);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["model.gguf"]), bytes[PackedProgram.Alignment..][..10_000]);
        Assert.IsNull(PackedProgram.Start([]), "this process carries nothing");

        // In the program, in the model, in the index, in its hash, in where it is; and cut.
        foreach (var at in new[] { 3, PackedProgram.Alignment + 7, bytes.Length - 80, bytes.Length - 10, bytes.Length - 45 })
        {
            var damaged = (byte[])bytes.Clone();
            damaged[at] ^= 1;
            File.WriteAllBytes(folder["damaged"], damaged);
            StringAssert.Contains(Assert.ThrowsExactly<CommandException>(() => PackedProgram.Verify(folder["damaged"])).Message, "copy it again");
        }
        foreach (var length in new[] { 0, 10, bytes.Length - 1, bytes.Length - 64 })
        {
            File.WriteAllBytes(folder["damaged"], bytes[..length]);
            StringAssert.Contains(Assert.ThrowsExactly<CommandException>(() => PackedProgram.Verify(folder["damaged"])).Message, "no packed program");
        }
    }

    [TestMethod]
    public async Task It_is_unpacked_once_whole_or_not_at_all_and_only_where_nobody_else_writes()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        Assert.IsTrue(PackedProgram.IsPacked(folder["packed"]));
        Assert.IsFalse(PackedProgram.IsPacked(folder["model.gguf"]));
        Assert.IsNull(PackedProgram.Unpack(folder["model.gguf"], folder["cache/root"]));
        var bytes = File.ReadAllBytes(folder["packed"]);
        bytes[PackedProgram.Alignment] ^= 1;
        File.WriteAllBytes(folder["damaged"], bytes);

        Assert.ThrowsExactly<CommandException>(() => PackedProgram.Unpack(folder["damaged"], folder["cache/root"]));
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder["cache/root"]));

        var program = PackedProgram.Unpack(folder["packed"], folder["cache/root"])!;
        var home = Path.GetDirectoryName(program)!;
        Assert.AreEqual("the program", File.ReadAllText(program));
        CollectionAssert.AreEquivalent(new[] { program, Path.Join(home, "models") }, Directory.GetFileSystemEntries(home));
        Assert.AreEqual(program, PackedProgram.Unpack(folder["packed"], folder["cache/root"]));

        // Others' unpacking: one that was killed long ago, one that still runs, one that has just begun.
        Directory.Delete(home, recursive: true);
        var partials = Array.ConvertAll(new[] { "killed", "runs", "begun" }, name => $"{home}.{name}.partial");
        foreach (var partial in partials)
        {
            Directory.CreateDirectory(partial);
            File.WriteAllText(Path.Join(partial, ".unpacking"), "");
            Directory.SetLastWriteTimeUtc(partial, DateTime.UtcNow.AddHours(partial == partials[2] ? 0 : -2));
        }
        using (new FileStream(Path.Join(partials[1], ".unpacking"), FileMode.Open, FileAccess.Write, FileShare.None))
            PackedProgram.Unpack(folder["packed"], folder["cache/root"]);
        CollectionAssert.AreEqual(new[] { false, true, true }, Array.ConvertAll(partials, Directory.Exists));

        if (OperatingSystem.IsWindows())
            return;
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute,
            File.GetUnixFileMode(folder["cache/root"]));
        foreach (var open in new[] { home, folder["cache/root"] })
        {
            File.SetUnixFileMode(open, File.GetUnixFileMode(open) | UnixFileMode.GroupWrite);
            StringAssert.Contains(Assert.ThrowsExactly<CommandException>(
                () => PackedProgram.Unpack(folder["packed"], folder["cache/root"])).Message, $"others may write to {open},");
        }
    }

    [TestMethod]
    public async Task What_is_missing_or_cut_where_it_was_unpacked_is_unpacked_again()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        var program = PackedProgram.Unpack(folder["packed"], folder["root"])!;
        var home = Path.GetDirectoryName(program)!;
        var model = Path.Join(home, "models", "model.gguf");

        File.WriteAllText(Path.Join(home, "beside"), "what is not in the index is left alone");
        Assert.AreEqual(program, PackedProgram.Unpack(folder["packed"], folder["root"]));
        Assert.IsTrue(File.Exists(Path.Join(home, "beside")));
        foreach (var damage in new Action[]
        {
            () => File.WriteAllText(model, "the m"), () => File.Delete(model), () => Directory.Delete(Path.Join(home, "models"), recursive: true),
            () => File.Delete(program),
        })
        {
            damage();
            Assert.AreEqual(program, PackedProgram.Unpack(folder["packed"], folder["root"]));
            Assert.AreEqual("the program", File.ReadAllText(program));
            Assert.AreEqual("the model", File.ReadAllText(model));
            CollectionAssert.AreEqual(new[] { home }, Directory.GetFileSystemEntries(folder["root"]));
        }
    }

    [TestMethod]
    public async Task A_write_that_fails_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["shimmy"], "the program");

        await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => PackedProgram.WriteAsync(
            folder["packed"], folder["shimmy"], [("models/model.gguf", folder["none.gguf"])], (_, _) => { }, CancellationToken.None));

        Assert.IsEmpty(Directory.GetFiles(folder.Path, "packed*"));
    }

    private static Task PackAsync(TemporaryFolder folder)
    {
        File.WriteAllText(folder["shimmy"], "the program");
        File.WriteAllText(folder["model.gguf"], "the model");
        return PackedProgram.WriteAsync(folder["packed"], folder["shimmy"], [("models/model.gguf", folder["model.gguf"])], (_, _) => { },
            CancellationToken.None);
    }
}
