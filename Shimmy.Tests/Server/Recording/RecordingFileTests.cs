using System.Text;
using Shimmy.Server.Recording;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Server.Recording;

/// <summary>The file of a recording, on good days and bad ones.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RecordingFileTests : IDisposable
{
    private readonly CapturedLog _log = new();

    [TestMethod]
    public void Lines_are_appended_to_what_is_there()
    {
        using var folder = new TemporaryFolder();
        foreach (var model in new[] { "a", "b" })
        {
            using var file = Open(folder["r.jsonl"]);
            file.Append(Line(model));
            file.Append(Line(model + model));
        }

        var recordingIndex = Shimmy.Server.Recording.RecordingIndex.Read(folder["r.jsonl"], [], _log.CreateLogger("shimmy"));
        CollectionAssert.AreEqual(new[] { "a", "aa", "b", "bb" }, recordingIndex.Models.ToArray());
        Assert.AreEqual(4, recordingIndex.Count);
        Assert.HasCount(5, File.ReadAllLines(folder["r.jsonl"]));
        Assert.IsEmpty(_log.Lines);
    }

    [TestMethod]
    public void A_line_that_a_crash_broke_is_passed_by_and_named_and_the_next_is_whole()
    {
        using var folder = new TemporaryFolder();
        using (var file = Open(folder["r.jsonl"]))
        {
            file.Append(Line("a"));
            file.Append(Line("b"));
        }
        var bytes = File.ReadAllBytes(folder["r.jsonl"]);
        File.WriteAllBytes(folder["r.jsonl"], bytes[..^7]);

        Assert.AreEqual(1, Shimmy.Server.Recording.RecordingIndex.Read(folder["r.jsonl"], [], _log.CreateLogger("shimmy")).Count);
        Assert.Contains("r.jsonl, line 3 is skipped: it is not JSON", _log.Lines.Single());
        using (var file = Open(folder["r.jsonl"]))
            file.Append(Line("c"));
        CollectionAssert.AreEqual(new[] { "a", "c" },
            Shimmy.Server.Recording.RecordingIndex.Read(folder["r.jsonl"], [], _log.CreateLogger("shimmy")).Models.ToArray());
    }

    [TestMethod]
    public void A_full_disk_is_said_once_and_throws_nothing()
    {
        if (!File.Exists("/dev/full"))
            Assert.Inconclusive("there is no /dev/full here");
        using var file = Open("/dev/full");
        for (var i = 0; i < 5; i++)
            file.Append(Line("a"));

        Assert.AreEqual(5, file.Lost);
        Assert.Contains("recording to /dev/full failed", _log.Lines.Single());
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void A_disk_that_has_free_space_again_is_recorded_to_and_no_line_is_half(bool canBeCutBack)
    {
        using var folder = new TemporaryFolder();
        using var disk = new SmallDisk { CanBeCutBack = canBeCutBack };
        using (var file = new RecordingFile(disk, "r.jsonl", _log.CreateLogger("shimmy")))
        {
            file.Append(Line("a"));
            disk.Room = disk.Length + 20;
            file.Append(Line("b"));
            file.Append(Line("c"));
            Assert.AreEqual(2, file.Lost);
            disk.Room = long.MaxValue;
            file.Append(Line("d"));
            Assert.AreEqual(0, file.Lost);
            File.WriteAllBytes(folder["r.jsonl"], disk.ToArray());
        }

        Assert.AreEqual("Error Warning", string.Join(' ', _log.Lines.Select(line => line.Split(' ')[0])));
        Assert.Contains("recording to r.jsonl goes on; 2 exchanges are missing there", _log.Lines.Last());
        CollectionAssert.AreEqual(new[] { "a", "d" },
            Shimmy.Server.Recording.RecordingIndex.Read(folder["r.jsonl"], [], _log.CreateLogger("shimmy")).Models.ToArray());
        Assert.HasCount(canBeCutBack ? 2 : 3, _log.Lines);
    }

    [TestMethod]
    public void Lines_of_many_threads_are_whole()
    {
        using var folder = new TemporaryFolder();
        using (var file = Open(folder["r.jsonl"]))
            Parallel.For(0, 200, i => file.Append(Line($"m{i}-{new string('x', i * 50)}")));

        Assert.AreEqual(200, Shimmy.Server.Recording.RecordingIndex.Read(folder["r.jsonl"], [], _log.CreateLogger("shimmy")).Count);
        Assert.IsEmpty(_log.Lines);
    }

    [TestMethod]
    [DataRow("hello\n")]
    [DataRow("{\"shimmy\":\"recording\",\"format\":2}\n")]
    public void A_file_that_is_no_recording_is_refused(string content)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["r.jsonl"], content);

        Assert.Contains("not a recording that this version can read",
            Assert.ThrowsExactly<IOException>(
                () => Shimmy.Server.Recording.RecordingIndex.Read(folder["r.jsonl"], [], _log.CreateLogger("shimmy"))).Message);
    }

    [TestMethod]
    [DataRow("notes\n")]
    [DataRow("{\"shimmy\":\"recording\",\"format\":2}\n")]
    [DataRow("{\"shimmy\":\"recording\",\"format\":1} \n")]
    public void Nothing_is_appended_to_a_file_that_is_no_recording(string content)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["notes.txt"], content);

        var error = Assert.ThrowsExactly<IOException>(() => Open(folder["notes.txt"]).Dispose());
        Assert.StartsWith($"cannot record to '{folder["notes.txt"]}': it is not a recording that this version can read", error.Message);
        Assert.AreEqual(content, File.ReadAllText(folder["notes.txt"]));
    }

    public void Dispose() => _log.Dispose();

    private RecordingFile Open(string path) => new(path, _log.CreateLogger("shimmy"));

    // Takes what it has room for, and fails with the rest.
    private sealed class SmallDisk : MemoryStream
    {
        public long Room { get; set; } = long.MaxValue;

        public bool CanBeCutBack { get; init; }

        // All writes of a class derived from a memory stream end here.
        public override void Write(byte[] buffer, int offset, int count)
        {
            base.Write(buffer, offset, (int)Math.Min(count, Math.Max(0, Room - Position)));
            if (Position == Room)
                throw new IOException("No space left on device");
        }

        public override void SetLength(long value)
        {
            if (!CanBeCutBack)
                throw new IOException("not today");
            base.SetLength(value);
        }
    }

    private static byte[] Line(string model) => ExchangeLine.Write(
        new Exchange(CanonicalRequest.Of("POST /v1/completions", Encoding.UTF8.GetBytes($$"""{"model":"{{model}}"}"""), []),
            200)
        { Answer = "{}"u8.ToArray() });
}
