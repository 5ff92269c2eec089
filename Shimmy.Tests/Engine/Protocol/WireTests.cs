using System.Collections;
using System.Reflection;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;

namespace Shimmy.Tests.Engine.Protocol;

/// <summary>The records on the worker pipe: every property arrives, and damaged bytes are refused.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class WireTests
{
    private static readonly string[] Local = ["Data", "DataLength", "EqualityContract"];

    [TestMethod]
    public void Every_property_of_every_record_arrives()
    {
        Arrives(WorkerRecords.NoSpec, WorkerRecords.Spec);
        Arrives(WorkerRecords.NoFacts, WorkerRecords.Facts);
        Arrives(WorkerRecords.NoGeneration, WorkerRecords.Generation);
        Arrives(WorkerRecords.NoEmbedding, WorkerRecords.Embedding);
        Arrives(new EngineStatistics(), WorkerRecords.Statistics);
        Arrives(WorkerRecords.NoAction, WorkerRecords.Action);
        Arrives(WorkerRecords.NoResult, WorkerRecords.Result);
        Arrives(WorkerRecords.NoError, WorkerRecords.Error);
        Arrives(WorkerRecords.NoReport, WorkerRecords.Report);
    }

    [TestMethod]
    public void Bytes_that_are_cut_or_too_many_are_refused()
    {
        var whole = Wire.Write(WorkerRecords.NoSpec with { Name = "a model", Loras = [new LoraSetting("a.gguf")] }, WorkerRecords.Spec);

        for (var length = 0; length < whole.Length; length++)
        {
            var cut = whole.AsMemory(0, length);
            Assert.ThrowsExactly<InvalidDataException>(() => Wire.Read(cut, WorkerRecords.NoSpec, WorkerRecords.Spec));
        }
        Assert.ThrowsExactly<InvalidDataException>(() => Wire.Read((byte[])[.. whole, 0], WorkerRecords.NoSpec, WorkerRecords.Spec));
    }

    [TestMethod]
    public void A_length_that_the_frame_does_not_have_is_refused()
    {
        var tooLong = Wire.Write(1L << 30, static (wire, number) => wire.Number(number));

        Assert.ThrowsExactly<InvalidDataException>(() => Wire.Read(tooLong, "", static (wire, text) => wire.Text(text)));
        Assert.ThrowsExactly<InvalidDataException>(
            () => Wire.Read<IReadOnlyList<int>>(tooLong, [], static (wire, list) => wire.Ints(list)));
        Assert.ThrowsExactly<InvalidDataException>(
            () => Wire.Read((byte[])[255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
                0L, static (wire, number) => wire.Number(number)));
    }

    [TestMethod]
    [DataRow(0L)]
    [DataRow(-1L)]
    [DataRow(63L)]
    [DataRow(64L)]
    [DataRow(long.MaxValue)]
    [DataRow(long.MinValue)]
    public void Numbers_of_all_sizes_arrive(long number) =>
        Assert.AreEqual(number, Wire.Read(Wire.Write(number, static (wire, n) => wire.Number(n)), 0L, static (wire, n) => wire.Number(n)));

    // A record whose every property differs from what it has by itself, there and back.
    private static void Arrives<T>(T blank, Func<Wire, T, T> fields)
        where T : class
    {
        var sent = (T)Filled(typeof(T));
        var arrived = Wire.Read(Wire.Write(sent, fields), blank, fields);
        AreSame(sent, arrived, typeof(T).Name);
    }

    private static void AreSame(object? sent, object? arrived, string path)
    {
        if (sent is null || arrived is null || IsPlain(sent.GetType()))
        {
            Assert.AreEqual(sent, arrived, path);
        }
        else if (sent is IEnumerable all)
        {
            var (left, right) = (all.Cast<object>().ToList(), ((IEnumerable)arrived).Cast<object>().ToList());
            Assert.HasCount(left.Count, right, path);
            for (var i = 0; i < left.Count; i++)
                AreSame(left[i], right[i], $"{path}[{i}]");
        }
        else
        {
            foreach (var property in Properties(sent.GetType()))
                AreSame(property.GetValue(sent), property.GetValue(arrived), $"{path}.{property.Name}");
        }
    }

    private static object Filled(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(string))
            return "täxt";
        if (type == typeof(bool))
            return true;
        if (type.IsEnum)
            return Enum.GetValues(type).GetValue(Enum.GetValues(type).Length - 1)!;
        if (type.IsPrimitive)
            return Convert.ChangeType(type == typeof(float) || type == typeof(double) ? 2.25 : 77, type, null);
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>))
        {
            var items = Array.CreateInstance(type.GenericTypeArguments[0], 2);
            items.SetValue(Filled(type.GenericTypeArguments[0]), 0);
            items.SetValue(Filled(type.GenericTypeArguments[0]), 1);
            return items;
        }
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyDictionary<,>))
        {
            var map = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(type.GenericTypeArguments))!;
            map[Filled(type.GenericTypeArguments[0])] = Filled(type.GenericTypeArguments[1]);
            return map;
        }
        var constructor = type.GetConstructors().OrderByDescending(one => one.GetParameters().Length).First();
        var record = constructor.Invoke([.. constructor.GetParameters().Select(parameter => Filled(parameter.ParameterType))]);
        foreach (var property in Properties(type).Where(property => property.CanWrite))
        {
            // A flag that is on by itself is off here.
            var value = property.PropertyType == typeof(bool) ? !(bool)property.GetValue(record)! : Filled(property.PropertyType);
            property.SetValue(record, value);
        }
        return record;
    }

    private static bool IsPlain(Type type) => type.IsPrimitive || type.IsEnum || type == typeof(string);

    private static IEnumerable<PropertyInfo> Properties(Type type) =>
        type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => !Local.Contains(property.Name));
}
