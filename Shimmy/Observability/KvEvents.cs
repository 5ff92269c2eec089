using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Shimmy.Engine;
using Shimmy.Models.Registry;

namespace Shimmy.Observability;

/// <summary>
/// Publishes what is in the KV caches in the form that vLLM began and llm-d reads: three frames, the topic <c>kv@POD@MODEL</c>, the number
/// of the message among all that are published, and in MessagePack <c>[time, [events], rank]</c>. Blocks in KV cells have the medium GPU,
/// as everybody calls the place where prompts are computed; states in the host's memory, CPU.
/// </summary>
/// <param name="publisher">Sends them.</param>
/// <param name="pod">Name of this server.</param>
/// <param name="time">The clock.</param>
/// <param name="nameOf">What requests call the adapter (second) of a model (first).</param>
internal sealed class KvEvents(ZmtpPublisher publisher, string pod, TimeProvider time, Func<string, string, string> nameOf)
    : ICellListener, IDisposable
{
    private const string Cells = "GPU";
    private const string Memory = "CPU";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Topic> _topics = new(StringComparer.Ordinal);
    private long _sent;

    /// <inheritdoc/>
    public void Changed(string model, ReadOnlyMemory<byte> changes)
    {
        lock (_lock)
        {
            var topic = TopicOf(model);
            var events = CellBlocks.Read(changes);
            var pack = Begin(events.Count);
            foreach (var change in events)
            {
                var held = change.InMemory ? topic.InMemory : topic.InCells;
                if (change.Tokens is null)
                {
                    held.ExceptWith(change.Hashes);
                    Removed(pack, change.Hashes, change.InMemory);
                }
                else
                {
                    held.UnionWith(change.Hashes);
                    Stored(pack, change, AdapterOf(model, change));
                }
            }
            Send(topic, pack);
        }
    }

    /// <inheritdoc/>
    public void Gone(string model)
    {
        lock (_lock)
        {
            var topic = TopicOf(model);
            if (topic.InCells.Count + topic.InMemory.Count == 0)
                return;
            // A router takes this for all that the server holds.
            if (!_topics.Values.Any(other => other != topic && other.InCells.Count + other.InMemory.Count > 0))
            {
                var all = Begin(1);
                all.Array(1);
                all.Text("AllBlocksCleared");
                Send(topic, all);
            }
            else
            {
                var pack = Begin((topic.InCells.Count > 0 ? 1 : 0) + (topic.InMemory.Count > 0 ? 1 : 0));
                if (topic.InCells.Count > 0)
                    Removed(pack, topic.InCells, inMemory: false);
                if (topic.InMemory.Count > 0)
                    Removed(pack, topic.InMemory, inMemory: true);
                Send(topic, pack);
            }
            topic.InCells.Clear();
            topic.InMemory.Clear();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => publisher.Dispose();

    private Topic TopicOf(string model)
    {
        if (!_topics.TryGetValue(model, out var topic))
            _topics.Add(model, topic = new Topic(Encoding.UTF8.GetBytes($"kv@{pod}@{model}")));
        return topic;
    }

    private MessagePack Begin(int events)
    {
        var pack = new MessagePack();
        pack.Array(3);
        pack.Number(time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        pack.Array(events);
        return pack;
    }

    private void Send(Topic topic, MessagePack pack)
    {
        // The rank among replicas that share a batch, which there are none of.
        pack.Whole(0);
        var number = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64BigEndian(number, _sent++);
        publisher.Send(topic.Name, number, pack.ToArray());
    }

    private string? AdapterOf(string model, CellChange change) => change.Adapter is null ? null
        : AdapterModel.Joined(change.Adapter.Split(CellBlocks.BetweenNames).Select(adapter => nameOf(model, adapter)));

    private static void Stored(MessagePack pack, CellChange change, string? adapter)
    {
        pack.Array(8);
        pack.Text("BlockStored");
        Hashes(pack, change.Hashes);
        if (change.Parent is { } parent)
            pack.Whole((long)parent);
        else
            pack.Nil();
        pack.Array(change.Tokens!.Length);
        foreach (var token in change.Tokens)
            pack.Whole(token);
        pack.Whole(CellBlocks.Tokens);
        pack.Nil(); // a LoRA adapter's number, which its name stands for
        pack.Text(change.InMemory ? Memory : Cells);
        if (adapter is not null)
            pack.Text(adapter);
        else
            pack.Nil();
    }

    private static void Removed(MessagePack pack, IReadOnlyCollection<ulong> hashes, bool inMemory)
    {
        pack.Array(3);
        pack.Text("BlockRemoved");
        Hashes(pack, hashes);
        pack.Text(inMemory ? Memory : Cells);
    }

    private static void Hashes(MessagePack pack, IReadOnlyCollection<ulong> hashes)
    {
        pack.Array(hashes.Count);
        foreach (var hash in hashes)
            pack.Whole((long)hash);
    }

    private sealed class Topic(byte[] name)
    {
        public byte[] Name => name;

        public HashSet<ulong> InCells { get; } = [];

        public HashSet<ulong> InMemory { get; } = [];
    }

    // The part of msgpack.org's format that the events need.
    private sealed class MessagePack
    {
        private readonly ArrayBufferWriter<byte> _bytes = new(1024);

        public void Nil() => Byte(0xC0);

        public void Array(int length)
        {
            if (length < 16)
                Byte((byte)(0x90 | length));
            else
                Prefixed(0xDD, (ulong)length, 4);
        }

        public void Text(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            if (bytes.Length < 32)
                Byte((byte)(0xA0 | bytes.Length));
            else
                Prefixed(0xDB, (ulong)bytes.Length, 4);
            _bytes.Write(bytes);
        }

        // Of at least 0.
        public void Whole(long number)
        {
            switch (number)
            {
                case < 128:
                    Byte((byte)number);
                    break;
                case <= ushort.MaxValue:
                    Prefixed(0xCD, (ulong)number, 2);
                    break;
                case <= uint.MaxValue:
                    Prefixed(0xCE, (ulong)number, 4);
                    break;
                default:
                    Prefixed(0xCF, (ulong)number, 8);
                    break;
            }
        }

        public void Number(double number) => Prefixed(0xCB, (ulong)BitConverter.DoubleToInt64Bits(number), 8);

        public byte[] ToArray() => _bytes.WrittenSpan.ToArray();

        private void Byte(byte value) => _bytes.Write([value]);

        private void Prefixed(byte kind, ulong value, int length)
        {
            Span<byte> bytes = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
            Byte(kind);
            _bytes.Write(bytes[^length..]);
        }
    }
}
