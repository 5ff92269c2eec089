using System.Buffers.Binary;
using System.Text;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Gguf;

[TestClass]
[TestCategory("Unit")]
public sealed class GgufReaderTests
{
    [TestMethod]
    public void What_was_written_is_read_back()
    {
        var writer = new GgufWriter(alignment: 64)
            .Add("general.architecture", "llama")
            .Add("a.text", "naïve ☃")
            .Add("a.count", 4_000_000_000u)
            .Add("a.ratio", 0.25f)
            .Add("a.flag", true)
            .Add("a.small", GgufValue.OfInteger(GgufType.Int8, -3))
            .Add("a.big", GgufValue.OfInteger(GgufType.Int64, long.MinValue))
            .Add("a.double", GgufValue.OfNumber(GgufType.Float64, Math.PI))
            .Add("a.numbers", [3, -1, 2])
            .Add("a.texts", ["x", "", "yz"])
            .AddTensor("one", GgmlType.F32, [3], output => TensorData.Write(output, GgmlType.F32, [1, 2, 3]))
            .AddTensor("two", GgmlType.Q8_0, [32, 2], output => TensorData.Write(output, GgmlType.Q8_0, new float[64]));
        var file = new MemoryStream();
        writer.Write(file);

        var header = GgufReader.Read(file.Rewound());

        Assert.AreEqual(3, header.Version);
        Assert.AreEqual(64, header.Alignment);
        Assert.AreEqual("llama", header.Architecture);
        Assert.AreEqual("naïve ☃", header.Text("a.text"));
        Assert.AreEqual(4_000_000_000L, header.Integer("a.count"));
        Assert.AreEqual(0.25, header.Number("a.ratio"));
        Assert.IsTrue(header.Flag("a.flag"));
        Assert.AreEqual(-3L, header.Integer("a.small"));
        Assert.AreEqual(long.MinValue, header.Integer("a.big"));
        Assert.AreEqual(Math.PI, header.Number("a.double"));
        Assert.AreEqual("3 -1 2", string.Join(' ', header.Array("a.numbers")!.Items!));
        Assert.AreEqual("x||yz", string.Join('|', header.Array("a.texts")!.Items!));
        Assert.IsNull(header.Text("a.count"));
        Assert.IsNull(header.Integer("absent"));
        Assert.AreEqual(67, header.ParameterCount);
        Assert.AreEqual(0, header.DataOffset % 64);
        Assert.AreEqual(header.DataOffset, header.Tensors[0].Offset);
        Assert.AreEqual(header.DataOffset + 64, header.Tensors[1].Offset);
        Assert.AreEqual(68, header.Tensors[1].SizeBytes);
        Assert.AreEqual("32 2", string.Join(' ', header.Tensors[1].Dimensions));
    }

    [TestMethod]
    public void A_large_array_is_stepped_over_unless_it_is_asked_for()
    {
        var file = RandomModel.Bytes(new RandomModelShape { Vocabulary = 2000 });

        var skipped = GgufReader.Read(new MemoryStream(file)).Array("tokenizer.ggml.tokens")!;
        var wanted = GgufReader.Read(new MemoryStream(file), new GgufLimits { WantsArray = key => key == "tokenizer.ggml.tokens" })
            .Array("tokenizer.ggml.tokens")!;

        Assert.AreEqual(2000, skipped.Count);
        Assert.IsNull(skipped.Items);
        Assert.AreEqual("<|im_end|>", wanted.Items![RandomModel.ImEnd].Text);
    }

    [TestMethod]
    public void Texts_and_arrays_longer_than_the_buffer_are_read_and_stepped_over()
    {
        string text = new('x', 100_000);
        var writer = new GgufWriter()
            .Add("long", text)
            .Add("many", Enumerable.Repeat(text, 1_100).Take(60))
            .Add("texts", Enumerable.Repeat(new string('y', 40_000), 1_100))
            .Add("last", 7u);
        var file = new MemoryStream();
        writer.Write(file);

        var header = GgufReader.Read(file.Rewound(), new GgufLimits { Memory = 32 << 20 });

        Assert.AreEqual(text, header.Text("long"));
        Assert.AreEqual(1_100, header.Array("texts")!.Count);
        Assert.AreEqual(7, header.Integer("last"));
    }

    [TestMethod]
    public void A_truncated_file_is_noticed_by_its_tensors()
    {
        var file = RandomModel.Bytes();
        var header = GgufReader.Read(new MemoryStream(file));
        var last = header.Tensors[^1];

        var message = Failure(file[..(file.Length / 2)]);

        StringAssert.StartsWith(message, "file is truncated: tensor '");
        StringAssert.EndsWith(message, $"but the file has {file.Length / 2} bytes");
        Assert.AreEqual(file.Length, last.Offset + last.SizeBytes);
        StringAssert.Contains(
            Failure(file[..^1]), $"tensor '{last.Name}' ends at {file.Length} but the file has {file.Length - 1} bytes");
    }

    [TestMethod]
    public void Every_truncation_of_a_header_is_refused()
    {
        var file = RandomModel.Bytes(new RandomModelShape { Vocabulary = 384, Layers = 1 });
        var dataOffset = (int)GgufReader.Read(new MemoryStream(file)).DataOffset;
        for (var length = 0; length < dataOffset; length += 7)
            Assert.IsNotNull(Failure(file[..length]));
    }

    [TestMethod]
    [DataRow("", "not a GGUF file")]
    [DataRow("GGU", "not a GGUF file")]
    [DataRow("PK\u0003\u0004 something else altogether", "not a GGUF file")]
    public void Another_kind_of_file_is_named_as_such(string content, string expected) =>
        StringAssert.Contains(Failure(Encoding.Latin1.GetBytes(content)), expected);

    [TestMethod]
    [DataRow(1u, "GGUF version 1 is not supported")]
    [DataRow(4u, "GGUF version 4 is not supported")]
    [DataRow(0x03000000u, "big-endian")]
    public void Another_version_is_named(uint version, string expected)
    {
        var file = RandomModel.Bytes();
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(4), version);
        StringAssert.Contains(Failure(file), expected);
    }

    [TestMethod]
    [DataRow(8, "tensors")]
    [DataRow(16, "metadata entries")]
    public void A_forged_count_is_refused_before_anything_is_allocated(int offset, string what)
    {
        var file = RandomModel.Bytes();
        foreach (var count in new[] { ulong.MaxValue, 1ul << 40, (ulong)file.Length })
        {
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(offset), count);
            StringAssert.StartsWith(Failure(file), $"the file claims {count} {what} but its remaining bytes hold at most ");
        }
    }

    [TestMethod]
    public void A_forged_text_length_is_refused()
    {
        var file = RandomModel.Bytes();
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(24), 1ul << 60);
        StringAssert.Contains(Failure(file), "a metadata key claims 1152921504606846976 bytes");
    }

    [TestMethod]
    public void Arrays_of_arrays_are_refused()
    {
        var file = new MemoryStream();
        new GgufWriter().Add("nested", GgufValue.OfArray(new GgufArray(GgufType.Array, 0, []))).Write(file);
        StringAssert.Contains(Failure(file.ToArray()), "'nested' is an array of arrays");
    }

    [TestMethod]
    public void A_key_or_tensor_that_occurs_twice_is_refused()
    {
        var keys = Encoded(new GgufWriter().Add("key.a", 1u).Add("key.b", 2u));
        keys[keys.AsSpan().IndexOf("key.b"u8) + 4] = (byte)'a';
        var tensors = Encoded(new GgufWriter()
            .AddTensor("tensor.a", GgmlType.F32, [1], Zero).AddTensor("tensor.b", GgmlType.F32, [1], Zero));
        tensors[tensors.AsSpan().IndexOf("tensor.b"u8) + 7] = (byte)'a';

        StringAssert.Contains(Failure(keys), "metadata key 'key.a' occurs twice");
        StringAssert.Contains(Failure(tensors), "tensor 'tensor.a' occurs twice");

        static void Zero(Stream output) => output.Write(new byte[4]);
    }

    [TestMethod]
    [DataRow(0, 5u, "has 5 dimensions")]
    [DataRow(0, 0u, "has 0 dimensions")]
    [DataRow(12, 4u, "unknown or withdrawn type 4")]
    [DataRow(12, 99u, "unknown or withdrawn type 99")]
    [DataRow(12, 8u, "not a multiple of Q8_0's block of 32")]
    [DataRow(16, 3u, "not a multiple of the alignment 32")]
    [DataRow(8, 0x80000000u, "more elements than there can be")]
    [DataRow(8, 0x7fffffffu, "file is truncated: tensor 't' ends at ")]
    public void A_forged_tensor_is_refused(int offset, uint value, string expected)
    {
        var file = Encoded(new GgufWriter().AddTensor("t", GgmlType.F32, [1], output => output.Write(new byte[4])));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(24 + 8 + 1 + offset), value);
        StringAssert.Contains(Failure(file), expected);
    }

    [TestMethod]
    public void Names_from_the_file_bring_no_control_characters_into_messages()
    {
        var file = Encoded(new GgufWriter().Add("\e[31mred", GgufValue.OfArray(new GgufArray(GgufType.Array, 0, []))));
        StringAssert.Contains(Failure(file), "'?[31mred'");
    }

    private static byte[] Encoded(GgufWriter writer)
    {
        var stream = new MemoryStream();
        writer.Write(stream);
        return stream.ToArray();
    }

    private static string Failure(byte[] file) =>
        Assert.ThrowsExactly<GgufException>(() => GgufReader.Read(new MemoryStream(file))).Message;
}
