using System.Runtime.InteropServices;
using Shimmy.Gguf;

namespace Shimmy.Tests.Gguf;

[TestClass]
[TestCategory("Unit")]
public sealed class TensorDataTests
{
    [TestMethod]
    public void Q8_0_keeps_every_value_within_half_a_step_of_its_block()
    {
        var random = new Random(7);
        float[] values = [.. Enumerable.Range(0, 320).Select(_ => (float)(random.NextDouble() - 0.5) * 8)];
        var bytes = new byte[340];

        Assert.AreEqual(340, TensorData.Encode(GgmlType.Q8_0, values, bytes));
        var decoded = new float[320];
        for (var i = 0; i < decoded.Length; i++)
        {
            var block = bytes.AsSpan(i / 32 * 34, 34);
            decoded[i] = (float)MemoryMarshal.Read<Half>(block) * (sbyte)block[2 + (i % 32)];
        }

        for (var i = 0; i < values.Length; i++)
        {
            var largest = values.AsSpan(i / 32 * 32, 32).ToArray().Max(Math.Abs);
            // Half a step, and what the scale loses as a half-precision number (2^-11 of the value).
            Assert.AreEqual(values[i], decoded[i], (largest / 254 * 1.001f) + (largest / 2048));
        }
    }

    [TestMethod]
    public void A_block_of_zeros_stays_zero()
    {
        var bytes = new byte[34];
        bytes.AsSpan().Fill(0xFF);
        TensorData.Encode(GgmlType.Q8_0, new float[32], bytes);
        Assert.IsTrue(bytes.All(value => value == 0));
    }

    [TestMethod]
    public void Halves_are_rounded_to_nearest()
    {
        var bytes = new byte[8];
        TensorData.Encode(GgmlType.F16, [1.0f, -2.5f, 65504f, 1.0009765f], bytes);
        CollectionAssert.AreEqual(
            new[] { (Half)1, (Half)(-2.5), Half.MaxValue, (Half)1.0009765f }, MemoryMarshal.Cast<byte, Half>(bytes).ToArray());
        TensorData.Encode(GgmlType.BF16, [1.0f, 1.00390625f, 1.01171875f, float.NaN], bytes);
        var short16 = MemoryMarshal.Cast<byte, ushort>(bytes);
        Assert.AreEqual(0x3F80, short16[0]);
        Assert.AreEqual(0x3F80, short16[1], "a tie goes to the even mantissa");
        Assert.AreEqual(0x3F82, short16[2], "a tie goes to the even mantissa");
        Assert.IsTrue(float.IsNaN(BitConverter.UInt32BitsToSingle((uint)short16[3] << 16)));
    }

    [TestMethod]
    public void Tensors_of_other_types_are_refused() =>
        Assert.ThrowsExactly<NotSupportedException>(() => TensorData.Encode(GgmlType.Q4_K, new float[256], new byte[256]));
}
