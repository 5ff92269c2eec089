using System.Globalization;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using System.Text;

namespace Shimmy.Packaging;

/// <summary>
/// What the bytes of a published executable are: by assembly and by namespace, from the statistics that the native compiler writes
/// (publish with -p:IlcGenerateMstatFile=true). They are an assembly themselves, whose global methods list, as instructions, each method,
/// type and blob of data with its size. What the linker adds (tables for unwinding, C++ libraries) is not in them: the sections of the
/// executable have it.
/// </summary>
internal sealed class ExecutableSize
{
    private readonly MetadataReader _metadata;
    private readonly PEReader _file;
    private readonly List<Row> _rows = [];

    private ExecutableSize(PEReader file)
    {
        _file = file;
        _metadata = file.GetMetadataReader();
        foreach (var handle in _metadata.GetTypeDefinition(MetadataTokens.TypeDefinitionHandle(1)).GetMethods())
        {
            var list = _metadata.GetMethodDefinition(handle);
            var values = new Instructions(_file.GetMethodBody(list.RelativeVirtualAddress).GetILReader());
            Read(_metadata.GetString(list.Name), values);
        }
    }

    /// <summary>One thing in the executable, and whose it is; of an instance of a generic, that of its definition.</summary>
    public readonly record struct Row(string Kind, Owner Owner, string Name, int Bytes);

    /// <summary>The assembly, namespace and name of a type, and what it was instantiated with.</summary>
    public readonly record struct Owner(string Assembly, string Namespace, string Name, string Arguments = "")
    {
        /// <inheritdoc/>
        public override string ToString() => Name + Arguments;
    }

    /// <summary>What is in a file of statistics.</summary>
    public static IReadOnlyList<Row> Of(string mstat)
    {
        using var file = new PEReader(File.OpenRead(mstat));
        return new ExecutableSize(file)._rows;
    }

    /// <summary>The tables that people read: kinds, assemblies, namespaces; sections too, where the executable is given.</summary>
    public static string Describe(IReadOnlyList<Row> rows, string? executable)
    {
        var text = new StringBuilder();
        if (executable is not null)
        {
            text.Append(CultureInfo.InvariantCulture, $"{new FileInfo(executable).Length,12:N0}  {executable}\n\nSections\n");
            foreach (var (name, size) in Sections(executable).OrderByDescending(section => section.Bytes))
                text.Append(CultureInfo.InvariantCulture, $"{size,12:N0}  {name}\n");
            text.Append('\n');
        }
        Table(text, "Kinds", rows, row => row.Kind, int.MaxValue);
        Table(text, "Assemblies", rows, row => row.Owner.Assembly, int.MaxValue);
        Table(text, "Namespaces", rows, row => $"{row.Owner.Assembly}  {row.Owner.Namespace}", 120);
        return text.ToString();
    }

    private static void Table(StringBuilder text, string title, IReadOnlyList<Row> rows, Func<Row, string> key, int most)
    {
        text.Append(title).Append('\n');
        foreach (var group in rows.GroupBy(key).Select(group => (group.Key, Bytes: group.Sum(row => (long)row.Bytes), Count: group.Count()))
            .OrderByDescending(group => group.Bytes).Take(most))
        {
            text.Append(CultureInfo.InvariantCulture, $"{group.Bytes,12:N0}  {group.Count,7:N0}  {group.Key}\n");
        }
        text.Append('\n');
    }

    /// <summary>The sections of an ELF file of 64 bits that take room in it.</summary>
    private static IEnumerable<(string Name, long Bytes)> Sections(string executable)
    {
        var bytes = File.ReadAllBytes(executable);
        if (bytes is not [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, ..])
            yield break;
        var table = BitConverter.ToInt64(bytes, 40);
        int size = BitConverter.ToInt16(bytes, 58), count = BitConverter.ToInt16(bytes, 60), names = BitConverter.ToInt16(bytes, 62);
        var text = BitConverter.ToInt64(bytes, (int)table + (names * size) + 24);
        for (var i = 0; i < count; i++)
        {
            var section = (int)table + (i * size);
            const int WithoutBytes = 8;
            if (BitConverter.ToInt32(bytes, section + 4) is 0 or WithoutBytes)
                continue;
            var name = bytes.AsSpan((int)text + BitConverter.ToInt32(bytes, section));
            yield return (Encoding.ASCII.GetString(name[..name.IndexOf((byte)0)]), BitConverter.ToInt64(bytes, section + 32));
        }
    }

    private void Read(string list, Instructions values)
    {
        switch (list)
        {
            case "Methods":
                while (values.Next(out var method))
                {
                    var (owner, name) = Method(MetadataTokens.EntityHandle(method));
                    _rows.Add(new Row("code", owner, name, values.Number()));
                    _rows.Add(new Row("tables of the collector", owner, name, values.Number()));
                    _rows.Add(new Row("tables of exceptions", owner, name, values.Number()));
                    values.Number();
                }
                break;
            case "Types":
                while (values.Next(out var type))
                {
                    var owner = Type(MetadataTokens.EntityHandle(type));
                    _rows.Add(new Row("types", owner, owner.ToString(), values.Number()));
                    values.Number();
                }
                break;
            case "Blobs":
                // What the lists below say again, in parts, is left to them.
                while (values.Next(out var blob))
                {
                    var name = _metadata.GetUserString(MetadataTokens.UserStringHandle(blob & 0xffffff));
                    var size = values.Number();
                    if (name is not ("FieldRvaData" or "ArrayOfFrozenObjects" or "ResourceData"))
                        _rows.Add(new Row("data", new Owner("(data)", name, name), name, size));
                }
                break;
            case "RvaFields":
                while (values.Next(out var field))
                {
                    var reference = _metadata.GetMemberReference((MemberReferenceHandle)MetadataTokens.EntityHandle(field));
                    _rows.Add(new Row("constants", Type(reference.Parent), _metadata.GetString(reference.Name), values.Number()));
                    values.Number();
                }
                break;
            case "FrozenObjects":
                while (values.Next(out var frozen))
                {
                    var owner = Type(MetadataTokens.EntityHandle(frozen));
                    _rows.Add(new Row("objects made beforehand", owner, owner.ToString(), values.Number()));
                    values.Number();
                    values.Number();
                }
                break;
            case "ManifestResources":
                while (values.Next(out var assembly))
                {
                    var from = _metadata.GetAssemblyReference((AssemblyReferenceHandle)MetadataTokens.EntityHandle(assembly));
                    var name = _metadata.GetUserString(MetadataTokens.UserStringHandle(values.Number() & 0xffffff));
                    _rows.Add(new Row("resources", new Owner(_metadata.GetString(from.Name), "(resources)", name), name, values.Number()));
                }
                break;
        }
    }

    private (Owner Owner, string Name) Method(EntityHandle handle)
    {
        var arguments = "";
        if (handle.Kind == HandleKind.MethodSpecification)
        {
            var instance = _metadata.GetMethodSpecification((MethodSpecificationHandle)handle);
            arguments = $"<{string.Join(",", instance.DecodeSignature(new Names(this), null))}>";
            handle = instance.Method;
        }
        var reference = _metadata.GetMemberReference((MemberReferenceHandle)handle);
        var owner = Type(reference.Parent);
        return (owner, $"{owner}.{_metadata.GetString(reference.Name)}{arguments}");
    }

    private Owner Type(EntityHandle handle) => handle.Kind switch
    {
        HandleKind.TypeReference => Named((TypeReferenceHandle)handle),
        HandleKind.TypeSpecification =>
            _metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(new Names(this), null),
        _ => new Owner("(the compiler)", "", "(global)"),
    };

    private Owner Named(TypeReferenceHandle handle)
    {
        var type = _metadata.GetTypeReference(handle);
        var name = _metadata.GetString(type.Name);
        if (type.ResolutionScope.Kind == HandleKind.TypeReference)
        {
            var outer = Named((TypeReferenceHandle)type.ResolutionScope);
            return outer with { Name = $"{outer.Name}+{name}" };
        }
        var assembly = type.ResolutionScope.Kind == HandleKind.AssemblyReference
            ? _metadata.GetString(_metadata.GetAssemblyReference((AssemblyReferenceHandle)type.ResolutionScope).Name) : "(the compiler)";
        return new Owner(assembly, _metadata.GetString(type.Namespace), name);
    }

    /// <summary>A list: instructions that load a token, a number or a string, read one after the other.</summary>
    private sealed class Instructions(BlobReader il)
    {
        private BlobReader _il = il;

        public bool Next(out int value)
        {
            value = _il.RemainingBytes > 0 ? Number() : 0;
            return _il.RemainingBytes > 0;
        }

        public int Number()
        {
            var code = (ILOpCode)_il.ReadByte();
            return code switch
            {
                >= ILOpCode.Ldc_i4_m1 and <= ILOpCode.Ldc_i4_8 => code - ILOpCode.Ldc_i4_0,
                ILOpCode.Ldc_i4_s => _il.ReadSByte(),
                ILOpCode.Ldc_i4 or ILOpCode.Ldtoken or ILOpCode.Ldstr => _il.ReadInt32(),
                _ => throw new InvalidOperationException($"the statistics have an instruction that is not known: {code}"),
            };
        }
    }

    /// <summary>Names of types in signatures.</summary>
    private sealed class Names(ExecutableSize size) : ISignatureTypeProvider<Owner, object?>
    {
        public Owner GetArrayType(Owner elementType, ArrayShape shape) => With(elementType, "[,]");
        public Owner GetByReferenceType(Owner elementType) => With(elementType, "&");
        public Owner GetFunctionPointerType(MethodSignature<Owner> signature) => new("(the compiler)", "", "(function)");
        public Owner GetGenericInstantiation(Owner genericType, System.Collections.Immutable.ImmutableArray<Owner> typeArguments) =>
            genericType with { Arguments = $"<{string.Join(",", typeArguments)}>" };
        public Owner GetGenericMethodParameter(object? genericContext, int index) => new("", "", $"!!{index}");
        public Owner GetGenericTypeParameter(object? genericContext, int index) => new("", "", $"!{index}");
        public Owner GetModifiedType(Owner modifier, Owner unmodifiedType, bool isRequired) => unmodifiedType;
        public Owner GetPinnedType(Owner elementType) => elementType;
        public Owner GetPointerType(Owner elementType) => With(elementType, "*");
        public Owner GetPrimitiveType(PrimitiveTypeCode typeCode) => new("System.Private.CoreLib", "System", typeCode.ToString());
        public Owner GetSZArrayType(Owner elementType) => With(elementType, "[]");
        public Owner GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) =>
            new("(the compiler)", "", "(global)");
        public Owner GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => size.Named(handle);
        public Owner GetTypeFromSpecification(MetadataReader reader, object? genericContext,
            TypeSpecificationHandle handle, byte rawTypeKind) =>
            size.Type(handle);

        private static Owner With(Owner element, string suffix) => element with { Arguments = element.Arguments + suffix };
    }
}
