namespace Shimmy.Packaging;

/// <summary>
/// Packages of NuGet, for <c>dotnet tool install shimmy</c> and <c>dnx shimmy</c>: one a platform with the program in it, and
/// <c>shimmy</c>, which names them (.NET 10's tools for runtime identifiers).
/// </summary>
internal static class ToolPackages
{
    // For .NET's tools each is also the system with glibc, whose program does not start there; so where releases have none for it, a package
    // of its own says what to do.
    private static readonly (string Rid, string OfGlibc, string Advice)[] OfMusl =
    [
        ("linux-musl-x64", "linux-x64", "make one there with ./publish.sh linux-musl-x64, or run the release's container image"),
        ("linux-musl-arm64", "linux-arm64", "none can be made; run the release's container image"),
    ];

    /// <summary>Writes all of them; gives their paths.</summary>
    public static IEnumerable<string> Write(IReadOnlyList<ReleaseArchive> archives, string dist)
    {
        var plain = archives.Where(archive => archive.Backend.Length == 0).ToArray();
        if (plain.Length == 0)
            yield break;
        var (version, rids) = (plain[0].Version, plain.Select(archive => archive.Platform.Rid).ToList());
        foreach (var archive in plain)
            yield return PackProgram(archive.Platform.Rid, version, dist, archive.Platform.Executable, archive.Files());
        foreach (var (rid, _, advice) in OfMusl.Where(one => rids.Contains(one.OfGlibc) && !rids.Contains(one.Rid)).ToArray())
        {
            rids.Add(rid);
            yield return PackProgram(rid, version, dist, Product.Name,
                [PackedFile.OfText(Product.Name, Product.Text("musl.sh", ("rid", rid), ("advice", advice)), runs: true)]);
        }
        var names = string.Concat(rids.Select(rid => $"""<RuntimeIdentifierPackage RuntimeIdentifier="{rid}" Id="{Product.Name}.{rid}" />"""));
        yield return Pack(Product.Name, version, "DotnetTool", dist,
        [
            PackedFile.OfText("tools/any/any/DotnetToolSettings.xml",
                $"""<DotNetCliTool Version="2"><Commands><Command Name="{Product.Name}" /></Commands><RuntimeIdentifierPackages>{names}</RuntimeIdentifierPackages></DotNetCliTool>"""),
        ]);
    }

    private static string PackProgram(string rid, string version, string dist, string program, IEnumerable<PackedFile> files)
    {
        var folder = $"tools/any/{rid}/";
        return Pack($"{Product.Name}.{rid}", version, "DotnetToolRidPackage", dist,
            files.Select(file => file with { Path = folder + file.Path }).Append(PackedFile.OfText(folder + "DotnetToolSettings.xml",
                $"""<DotNetCliTool Version="2"><Commands><Command Name="{Product.Name}" EntryPoint="{program}" Runner="executable" /></Commands></DotNetCliTool>""")));
    }

    private static string Pack(string id, string version, string type, string dist, IEnumerable<PackedFile> files)
    {
        var specification = $"""
            <?xml version="1.0" encoding="utf-8"?>
            <package xmlns="http://schemas.microsoft.com/packaging/2012/06/nuspec.xsd">
              <metadata>
                <id>{id}</id>
                <version>{version}</version>
                <authors>the Shimmy authors</authors>
                <license type="expression">{Product.Licence}</license>
                <description>{Product.Summary}. {Product.Description}</description>
                <packageTypes><packageType name="{type}" /></packageTypes>
              </metadata>
            </package>
            """;
        // The parts that the Open Packaging Conventions want of every package.
        const string types = """<?xml version="1.0" encoding="utf-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" /><Default Extension="nuspec" ContentType="application/octet" /></Types>""";
        var relations = $"""<?xml version="1.0" encoding="utf-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/{id}.nuspec" Id="R1" /></Relationships>""";
        return Packed.Write(Path.Combine(dist, "nuget", $"{id}.{version}.nupkg"), Packed.Zip(
        [
            .. files, PackedFile.OfText(id + ".nuspec", specification.ReplaceLineEndings("\n")),
            PackedFile.OfText("[Content_Types].xml", types), PackedFile.OfText("_rels/.rels", relations),
        ]));
    }
}
