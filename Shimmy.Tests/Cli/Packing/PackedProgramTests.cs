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
    public async Task A_write_that_fails_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["shimmy"], "the program");

        await Assert.ThrowsExactlyAsync<FileNotFoundException>(() => PackedProgram.WriteAsync(
            folder["packed"], folder["shimmy"], [("models/model.gguf", folder["none.gguf"])], (_, _) => { }, CancellationToken.None));

        Assert.IsEmpty(Directory.GetFiles(folder.Path, "packed*"));
    }
}
