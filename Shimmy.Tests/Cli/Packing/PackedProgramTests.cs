using System.Buffers.Binary;
using System.Diagnostics;
using Shimmy.Cli.Packing;
using Shimmy.Cli.Terminal;
using Shimmy.Gguf;
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
        await PackedProgram.WriteAsync(folder["packed"], folder["shimmy"], [("models/model.gguf", folder["model.gguf"])], null,
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
        Assert.IsNull(UnpackedProgram.Of(folder["model.gguf"], folder["cache/root"]));
        var bytes = File.ReadAllBytes(folder["packed"]);
        bytes[PackedProgram.Alignment] ^= 1;
        File.WriteAllBytes(folder["damaged"], bytes);

        Assert.ThrowsExactly<CommandException>(() => UnpackedProgram.Of(folder["damaged"], folder["cache/root"]));
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder["cache/root"]));

        var program = UnpackedProgram.Of(folder["packed"], folder["cache/root"])!;
        var home = Path.GetDirectoryName(program)!;
        Assert.AreEqual("the program", File.ReadAllText(program));
        CollectionAssert.AreEquivalent(new[] { program, Path.Join(home, "models") }, Directory.GetFileSystemEntries(home));
        Assert.AreEqual(program, UnpackedProgram.Of(folder["packed"], folder["cache/root"]));

        // Others' unpacking: one that was killed long ago, one that still runs, one that has just begun.
        Directory.Delete(home, recursive: true);
        string[] partials =
        [
            $"{home}.killed.partial", folder["cache/root/of-another-that-runs.one.partial"], $"{home}.begun.partial",
            folder["cache/root/of-another.killed.partial"],
        ];
        foreach (var partial in partials)
        {
            Directory.CreateDirectory(partial);
            Directory.SetLastWriteTimeUtc(partial, DateTime.UtcNow.AddHours(partial == partials[2] ? 0 : -2));
        }
        using (new FileStream(folder["cache/root/of-another-that-runs.lock"], FileMode.Create, FileAccess.Write, FileShare.None))
            UnpackedProgram.Of(folder["packed"], folder["cache/root"]);
        CollectionAssert.AreEqual(new[] { false, true, true, false }, Array.ConvertAll(partials, Directory.Exists));

        if (OperatingSystem.IsWindows())
            return;
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute,
            File.GetUnixFileMode(folder["cache/root"]));
        foreach (var open in new[] { home, folder["cache/root"] })
        {
            File.SetUnixFileMode(open, File.GetUnixFileMode(open) | UnixFileMode.GroupWrite);
            StringAssert.Contains(Assert.ThrowsExactly<CommandException>(
                () => UnpackedProgram.Of(folder["packed"], folder["cache/root"])).Message, $"others may write to {open},");
        }
    }

    [TestMethod]
    public async Task What_is_missing_or_cut_where_it_was_unpacked_is_unpacked_again()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        var program = UnpackedProgram.Of(folder["packed"], folder["root"])!;
        var home = Path.GetDirectoryName(program)!;
        var model = Path.Join(home, "models", "model.gguf");

        File.WriteAllText(Path.Join(home, "beside"), "what is not in the index is left alone");
        Assert.AreEqual(program, UnpackedProgram.Of(folder["packed"], folder["root"]));
        Assert.IsTrue(File.Exists(Path.Join(home, "beside")));
        foreach (var damage in new Action[]
        {
            () => File.WriteAllText(model, "the m"), () => File.Delete(model), () => Directory.Delete(Path.Join(home, "models"), recursive: true),
            () => File.Delete(program),
        })
        {
            damage();
            Assert.AreEqual(program, UnpackedProgram.Of(folder["packed"], folder["root"]));
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
            folder["packed"], folder["shimmy"], [("models/model.gguf", folder["none.gguf"])], null, (_, _) => { }, CancellationToken.None));

        Assert.IsEmpty(Directory.GetFiles(folder.Path, "packed*"));
    }

    [TestMethod]
    public async Task What_another_process_is_writing_is_left_to_it()
    {
        using var folder = new TemporaryFolder();
        using (var other = new FileStream(folder["packed.partial"], FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            other.Write("half of it"u8);
            other.Flush();
            await Assert.ThrowsExactlyAsync<IOException>(() => PackAsync(folder));
            Assert.AreEqual(10, new FileInfo(folder["packed.partial"]).Length);
        }
        // One that was killed left it.
        await PackAsync(folder);
        Assert.AreEqual((2, 20L), PackedProgram.Verify(folder["packed"]));
        Assert.IsFalse(File.Exists(folder["packed.partial"]));
    }

    [TestMethod]
    [DataRow("elf")]
    [DataRow("pe")]
    [DataRow("mach-o")]
    public async Task A_file_that_was_cut_is_no_plain_program_with_something_behind_it(string format)
    {
        using var folder = new TemporaryFolder();
        var program = format switch { "elf" => Elf(), "pe" => Pe(), _ => MachO() };
        File.WriteAllText(folder["model.gguf"], "the model");
        File.WriteAllBytes(folder["shimmy"], program);
        await PackedProgram.WriteAsync(folder["packed"], folder["shimmy"], [("models/model.gguf", folder["model.gguf"])], null, (_, _) => { },
            CancellationToken.None);
        var bytes = File.ReadAllBytes(folder["packed"]);

        Assert.IsFalse(PackedProgram.WasCut(folder["packed"]), "it is whole");
        foreach (var length in new[] { program.Length + 16, PackedProgram.Alignment + 3, bytes.Length - 64, bytes.Length - 1 })
        {
            File.WriteAllBytes(folder["cut"], bytes[..length]);
            Assert.IsTrue(PackedProgram.WasCut(folder["cut"]), $"{length}");
            StringAssert.Contains(Assert.ThrowsExactly<CommandException>(() => PackedProgram.Verify(folder["cut"])).Message, "copy it again");
        }
        foreach (var plain in new[] { [], program, [.. program, .. new byte[100]], [.. program, .. "a signature, and what else there is"u8] })
        {
            File.WriteAllBytes(folder["plain"], plain);
            Assert.IsFalse(PackedProgram.WasCut(folder["plain"]), $"{plain.Length}");
        }
        // Headers that lead nowhere.
        for (var at = 0; at < 256; at++)
        {
            var damaged = (byte[])program.Clone();
            damaged[at] ^= 0xFF;
            File.WriteAllBytes(folder["damaged"], damaged);
            Assert.IsFalse(PackedProgram.WasCut(folder["damaged"]), $"{at}");
        }
    }

    // Of 600 bytes each, no more of the format than says so: a table of sections; a section, and a signature behind it; two segments.
    private static byte[] Elf() => Image((0, 0x464C457F), (0x28, 600 - (2 * 64)), (0x3A, 64), (0x3C, 2));

    private static byte[] Pe() => Image((0, 0x5A4D), (0x3C, 64), (64, 0x4550), (64 + 6, 1), (64 + 20, 240), (64 + 168, 500), (64 + 172, 100),
        (64 + 24 + 240 + 16, 100), (64 + 24 + 240 + 20, 400));

    private static byte[] MachO() => Image((0, unchecked((int)0xFEEDFACF)), (16, 3), (32, 0x19), (36, 72), (32 + 40, 0), (32 + 48, 400),
        (104, 2), (108, 24), (128, 0x19), (132, 72), (128 + 40, 400), (128 + 48, 200));

    private static byte[] Image(params (int At, int Number)[] fields)
    {
        var image = new byte[600];
        foreach (var (at, number) in fields)
        {
            if (number >> 16 != 0)
                BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(at), number);
            else
                BinaryPrimitives.WriteInt16LittleEndian(image.AsSpan(at), (short)number);
        }
        return image;
    }

    [TestMethod]
    public async Task A_model_of_one_file_stays_where_it_is_and_is_found_again_where_that_was_moved()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Elsewhere a model is unpacked.");
        using var folder = new TemporaryFolder();
        await PackAsync(folder, "models/model.gguf");
        var root = folder["cache/shimmy/packed"];
        var home = Path.GetDirectoryName(UnpackedProgram.Of(folder["packed"], root))!;
        var model = Path.Join(home, "models", "model.gguf");

        Assert.AreEqual(new GgufPlace(folder["packed"], PackedProgram.Alignment, "the model".Length), GgufPlace.Of(model));
        Assert.AreEqual(home, UnpackedProgram.Verify(folder["packed"], root));

        // A server may run from the first: a start from a copy leaves its place.
        File.Copy(folder["packed"], folder["copy"]);
        Assert.AreEqual(Path.Join(home, "shimmy"), UnpackedProgram.Of(folder["copy"], root));
        Assert.AreEqual(folder["packed"], GgufPlace.Of(model).Path);

        Directory.CreateDirectory(folder["else where"]);
        File.Move(folder["packed"], folder["else where/packed"]);
        Assert.AreEqual(home, UnpackedProgram.Verify(folder["else where/packed"], root));
        UnpackedProgram.Of(folder["else where/packed"], root);
        Assert.AreEqual(folder["else where/packed"], GgufPlace.Of(model).Path);
        CollectionAssert.AreEqual(new[] { home }, Directory.GetFileSystemEntries(root));
        CollectionAssert.AreEqual(new[] { model }, Directory.GetFileSystemEntries(Path.GetDirectoryName(model)!));

        // It is packed again from there.
        File.WriteAllText(folder["program/shimmy"], "the program");
        await PackedProgram.WriteAsync(folder["again"], folder["program/shimmy"], [("models/model.gguf", model)], null, (_, _) => { },
            CancellationToken.None);
        Assert.AreEqual((2, 20L), PackedProgram.Verify(folder["again"]));

        // What was damaged on its way is found at the first start, although it is not written.
        var bytes = File.ReadAllBytes(folder["else where/packed"]);
        bytes[PackedProgram.Alignment] ^= 1;
        File.WriteAllBytes(folder["damaged"], bytes);
        Assert.ThrowsExactly<CommandException>(() => UnpackedProgram.Of(folder["damaged"], folder["other root"]));
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder["other root"]));
    }

    [TestMethod]
    public async Task Starts_at_once_give_one_folder_and_leave_nothing_beside_it()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        var starts = await Task.WhenAll(
            Enumerable.Range(0, 8).Select(_ => Task.Run(() => UnpackedProgram.Of(folder["packed"], folder["root"]))));
        var home = Path.GetDirectoryName(starts.Distinct().Single())!;
        Assert.AreEqual(home, UnpackedProgram.Verify(folder["packed"], folder["root"]));
        CollectionAssert.AreEqual(new[] { home }, Directory.GetFileSystemEntries(folder["root"]));
    }

    [TestMethod]
    public async Task A_folder_above_that_others_may_rename_is_refused_and_Shimmys_own_is_closed()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Inconclusive("Windows has other rights.");
            return;
        }
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        var above = Directory.CreateDirectory(folder["cache"]).FullName;
        File.SetUnixFileMode(above, (UnixFileMode)0b111_111_111);
        StringAssert.Contains(Assert.ThrowsExactly<CommandException>(
            () => UnpackedProgram.Of(folder["packed"], folder["cache/shimmy/packed"])).Message, $"others may write to {above},");

        foreach (var mode in new[] { UnixFileMode.StickyBit | (UnixFileMode)0b111_111_111, (UnixFileMode)0b111_111_101 })
        {
            File.SetUnixFileMode(above, mode);
            File.SetUnixFileMode(Directory.CreateDirectory(folder["cache/shimmy"]).FullName, (UnixFileMode)0b111_111_111);
            Assert.IsNotNull(UnpackedProgram.Of(folder["packed"], folder["cache/shimmy/packed"]));
            Assert.AreEqual((UnixFileMode)0b111_101_101, File.GetUnixFileMode(folder["cache/shimmy"]));
        }
    }

    [TestMethod]
    public async Task What_it_was_unpacked_into_can_be_verified_too()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        Assert.IsNull(UnpackedProgram.Verify(folder["packed"], folder["root"]), "not unpacked yet");
        var home = Path.GetDirectoryName(UnpackedProgram.Of(folder["packed"], folder["root"]))!;
        Assert.AreEqual(home, UnpackedProgram.Verify(folder["packed"], folder["root"]));

        // In its length, so that a start does not see it; then without it.
        var model = Path.Join(home, "models", "model.gguf");
        File.WriteAllText(model, "THE model");
        for (var i = 0; i < 2; i++)
        {
            var refused = Assert.ThrowsExactly<CommandException>(() => UnpackedProgram.Verify(folder["packed"], folder["root"]));
            Assert.AreEqual($"{model} is not what was packed; remove {home}, and the next start unpacks it again", refused.Message);
            File.Delete(model);
        }
    }

    [TestMethod]
    public async Task A_folder_of_another_user_is_refused_also_by_root()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
            Assert.Inconclusive("Only root gives folders away.");
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        var home = Path.GetDirectoryName(UnpackedProgram.Of(folder["packed"], folder["root"]))!;
        foreach (var given in new[] { home, folder["root"] })
        {
            await ChangeOwnerAsync("4000", given);
            StringAssert.Contains(Assert.ThrowsExactly<CommandException>(() => UnpackedProgram.Of(folder["packed"], folder["root"])).Message,
                $"{given} is another user's, so nothing in it is run");
            await ChangeOwnerAsync("0", given);
        }
        Assert.IsNotNull(UnpackedProgram.Of(folder["packed"], folder["root"]));

        static async Task ChangeOwnerAsync(string user, string path)
        {
            using var chown = Process.Start("chown", [user, path]);
            await chown.WaitForExitAsync();
            Assert.AreEqual(0, chown.ExitCode);
        }
    }

    [TestMethod]
    public async Task An_output_takes_the_place_of_an_earlier_one_and_of_nothing_else()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        PackCommand.RefuseToReplace(folder["packed"]);
        PackCommand.RefuseToReplace(folder["new"]);
        File.CreateSymbolicLink(folder["link"], folder["model.gguf"]);
        foreach (var (name, why) in new[]
        {
            ("model.gguf", "is no packed program"), ("shimmy", "is no packed program"), ("link", "is no packed program"), ("", "is a folder"),
        })
        {
            StringAssert.Contains(Assert.ThrowsExactly<UsageException>(() => PackCommand.RefuseToReplace(folder[name])).Message, why);
        }
    }

    [TestMethod]
    public async Task What_an_archive_has_beside_the_executable_is_packed_and_nothing_else_that_lies_there()
    {
        using var folder = new TemporaryFolder();
        await PackAsync(folder);
        foreach (var file in new[] { "runtimes/a/lib.so", "LICENSE", "models/demo.gguf", "share/man/man1/shimmy.1", "keys.txt", "logs/LICENSE" })
            File.WriteAllText(folder[file], file);
        File.Delete(folder["model.gguf"]);

        CollectionAssert.AreEquivalent(new[] { ("LICENSE", folder["LICENSE"]), ("runtimes/a/lib.so", folder["runtimes/a/lib.so"]) },
            PackCommand.Beside(folder["shimmy"]));
    }

    private static Task PackAsync(TemporaryFolder folder, string? model = null)
    {
        File.WriteAllText(folder["shimmy"], "the program");
        File.WriteAllText(folder["model.gguf"], "the model");
        return PackedProgram.WriteAsync(folder["packed"], folder["shimmy"], [("models/model.gguf", folder["model.gguf"])], model, (_, _) => { },
            CancellationToken.None);
    }
}
