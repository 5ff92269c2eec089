using System.Buffers.Binary;
using System.Diagnostics;
using Shimmy.Gguf;

namespace Shimmy.Tests.Gguf;

/// <summary>Hostile headers: each is refused with the reader's own exception, or read, in bounded time and memory.</summary>
[TestClass]
[TestCategory("Unit")]
[DoNotParallelize]
public sealed class GgufFuzzTests
{
    private const long MostMemory = 16 << 20;

    [TestMethod]
    public void A_hundred_thousand_mutated_headers_neither_crash_nor_hang_nor_allocate()
    {
        byte[][] seeds =
        [
            Header(new GgufWriter().Add("general.architecture", "llama").Add("a", [1, 2, 3])
                .Add("b", ["x", "yy"]).Add("c", 1.5f).Add("d", true)
                .AddTensor("t", GgmlType.Q8_0, [32, 2], output => output.Write(new byte[68]))
                .AddTensor("u", GgmlType.F32, [4], output => output.Write(new byte[16]))),
            Header(new GgufWriter(alignment: 128).Add("n", GgufValue.OfInteger(GgufType.UInt64, -1))
                .Add("many", Enumerable.Range(0, 1100))),
            Header(new GgufWriter().Add("texts", Enumerable.Repeat("text", 1100)).Add("after", "end")),
        ];
        var random = new Random(20250101);
        (var read, var refused, long worst) = (0, 0, 0);
        var slowest = TimeSpan.Zero;
        for (var i = 0; i < 100_000; i++)
        {
            var file = Mutated(seeds[i % seeds.Length], random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var started = Stopwatch.GetTimestamp();
            try
            {
                GgufReader.Read(new MemoryStream(file));
                read++;
            }
            catch (GgufException)
            {
                refused++;
            }

            slowest = Max(slowest, Stopwatch.GetElapsedTime(started));
            worst = Math.Max(worst, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.IsGreaterThan(5_000, read, "mutations are too rough to reach the end of the reader");
        Assert.IsGreaterThan(30_000, refused, "mutations are too mild");
        Assert.IsLessThan(MostMemory, worst);
        Assert.IsLessThan(TimeSpan.FromSeconds(2), slowest);
    }

    [TestMethod]
    [DataRow("entries")]
    [DataRow("tensors")]
    [DataRow("texts")]
    [DataRow("wanted texts")]
    [DataRow("long texts")]
    [DataRow("empty texts")]
    public void A_large_file_made_to_exhaust_is_refused_in_time_and_memory(string kind)
    {
        using var file = new HostileStream(kind);
        var limits = new GgufLimits { WantsArray = key => kind == "wanted texts" };
        var before = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();

        var failure = Assert.ThrowsExactly<GgufException>(() => GgufReader.Read(file, limits));

        Assert.IsLessThan(MostMemory, GC.GetAllocatedBytesForCurrentThread() - before, failure.Message);
        Assert.IsLessThan(TimeSpan.FromSeconds(15), Stopwatch.GetElapsedTime(started), failure.Message);
    }

    private static byte[] Header(GgufWriter writer)
    {
        var stream = new MemoryStream();
        writer.Write(stream);
        return stream.ToArray();
    }

    private static byte[] Mutated(byte[] seed, Random random)
    {
        var file = (byte[])seed.Clone();
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            // The front holds counts, lengths and types: most of what can be forged.
            var at = random.Next(0, random.Next(2) == 0 ? Math.Min(200, file.Length - 8) : file.Length - 8);
            switch (random.Next(5))
            {
                case 0:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    file[at] = (byte)random.Next(256);
                    break;
                case 2:
                    BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), (uint)random.NextInt64(1L << random.Next(1, 33)));
                    break;
                case 3:
                    BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(at), random.NextInt64() >> random.Next(64));
                    break;
                default:
                    file = file[..random.Next(Math.Max(1, file.Length - 64), file.Length)];
                    return file;
            }
        }

        return file;
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    /// <summary>A file of 4 GiB that is made while it is read: a valid header so far, and then the same thing for ever.</summary>
    private sealed class HostileStream : Stream
    {
        private readonly byte[] _head;
        private readonly Action<byte[], long> _number;
        private readonly byte[] _unit;

        public HostileStream(string kind)
        {
            var head = new MemoryStream();
            new GgufWriter().Write(head);
            _head = head.ToArray()[..24];
            _number = static (_, _) => { };
            var unit = new GgufWriter();
            switch (kind)
            {
                case "entries":
                    BinaryPrimitives.WriteUInt64LittleEndian(_head.AsSpan(16), 16_000);
                    _unit = Header(unit.Add("00000000" + new string('k', 600), "v"))[24..^0];
                    _unit = _unit[..(8 + 608 + 4 + 8 + 1)];
                    _number = WriteNumber;
                    break;
                case "tensors":
                    BinaryPrimitives.WriteUInt64LittleEndian(_head.AsSpan(8), 32_000);
                    _unit = Header(
                        unit.AddTensor("00000000" + new string('t', 50), GgmlType.F32, [1, 1, 1, 0],
                            _ => { }))[24..(24 + 8 + 58 + 4 + 32 + 4 + 8)];
                    _number = WriteNumber;
                    break;
                default:
                    var length = kind switch { "long texts" => 1 << 20, "empty texts" => 0, _ => 20 };
                    BinaryPrimitives.WriteUInt64LittleEndian(_head.AsSpan(16), 1);
                    var count = (ulong)(Length - 100) / (ulong)(8 + length);
                    var array = new MemoryStream();
                    array.Write(_head);
                    array.Write(Header(unit.Add("texts", ["x"])).AsSpan(24, 8 + 5 + 4 + 4));
                    array.Write(BitConverter.GetBytes(count));
                    _head = array.ToArray();
                    _unit = new byte[8 + length];
                    BitConverter.TryWriteBytes(_unit, (long)length);
                    break;
            }
        }

        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => 4L << 30;

        public override long Position { get; set; }

        public override int Read(byte[] buffer, int offset, int count)
        {
            var done = 0;
            while (done < count && Position < Length)
            {
                var from = _head;
                var at = Position;
                if (at >= _head.Length)
                {
                    var number = (at - _head.Length) / _unit.Length;
                    at = (at - _head.Length) % _unit.Length;
                    from = _unit;
                    _number(_unit, number);
                }

                var part = (int)Math.Min(count - done, from.Length - at);
                Array.Copy(from, at, buffer, offset + done, part);
                done += part;
                Position += part;
            }

            return done;
        }

        // Allocates nothing: what the reader allocates is being counted.
        private static void WriteNumber(byte[] unit, long number) => number.TryFormat(unit.AsSpan(8), out _, "D8");

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
