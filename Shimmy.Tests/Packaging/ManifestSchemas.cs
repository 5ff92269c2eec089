namespace Shimmy.Tests.Packaging;

/// <summary>
/// What package managers demand of their manifests, as JSON schemas: written down from their own schemas, the part that is used, and closed:
/// a name that is not in it is refused, as most of them do.
/// </summary>
internal static class ManifestSchemas
{
    private const string Identity = """
        "PackageIdentifier": { "type": "string", "pattern": "^[^.\\s/:*?\"<>|]{1,32}(\\.[^.\\s/:*?\"<>|]{1,32}){1,7}$", "maxLength": 128 },
        "PackageVersion": { "type": "string", "pattern": "^[^\\\\/:*?\"<>|]+$", "maxLength": 128 },
        "ManifestVersion": { "type": "string", "enum": ["1.9.0"] }
        """;

    private const string Language = """{ "type": "string", "pattern": "^[a-zA-Z]{2,3}(-[a-zA-Z]{1,8})*$", "maxLength": 20 }""";

    /// <summary>WinGet 1.9: where the archives are.</summary>
    public const string WinGetInstaller = $$"""
        {
          "type": "object", "additionalProperties": false,
          "required": ["PackageIdentifier", "PackageVersion", "Installers", "ManifestType", "ManifestVersion"],
          "properties": {
            {{Identity}},
            "ManifestType": { "type": "string", "enum": ["installer"] },
            "InstallerType": { "type": "string", "enum": ["msix", "msi", "appx", "exe", "zip", "inno", "nullsoft", "wix", "burn", "pwa", "portable"] },
            "NestedInstallerType": { "type": "string", "enum": ["msix", "msi", "appx", "exe", "inno", "nullsoft", "wix", "burn", "portable"] },
            "ArchiveBinariesDependOnPath": { "type": "boolean" },
            "Installers": {
              "type": "array", "minItems": 1, "maxItems": 1024,
              "items": {
                "type": "object", "additionalProperties": false, "required": ["Architecture", "InstallerUrl", "InstallerSha256"],
                "properties": {
                  "Architecture": { "type": "string", "enum": ["x86", "x64", "arm", "arm64", "neutral"] },
                  "InstallerUrl": { "type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://.+$", "maxLength": 2048 },
                  "InstallerSha256": { "type": "string", "pattern": "^[A-Fa-f0-9]{64}$" },
                  "Dependencies": {
                    "type": "object", "additionalProperties": false,
                    "properties": {
                      "PackageDependencies": {
                        "type": "array", "uniqueItems": true, "maxItems": 16,
                        "items": {
                          "type": "object", "additionalProperties": false, "required": ["PackageIdentifier"],
                          "properties": {
                            "PackageIdentifier": {
                              "type": "string", "pattern": "^[^.\\s/:*?\"<>|]{1,32}(\\.[^.\\s/:*?\"<>|]{1,32}){1,7}$", "maxLength": 128
                            },
                            "MinimumVersion": { "type": "string", "pattern": "^[^\\\\/:*?\"<>|]+$", "maxLength": 128 }
                          }
                        }
                      }
                    }
                  },
                  "NestedInstallerFiles": {
                    "type": "array", "maxItems": 1024,
                    "items": {
                      "type": "object", "additionalProperties": false, "required": ["RelativeFilePath"],
                      "properties": {
                        "RelativeFilePath": { "type": "string", "minLength": 1, "maxLength": 512 },
                        "PortableCommandAlias": { "type": "string", "minLength": 1, "maxLength": 40 }
                      }
                    }
                  }
                }
              }
            }
          }
        }
        """;

    /// <summary>WinGet 1.9: what is said of the product.</summary>
    public const string WinGetLocale = $$"""
        {
          "type": "object", "additionalProperties": false,
          "required": ["PackageIdentifier", "PackageVersion", "PackageLocale", "Publisher", "PackageName", "License", "ShortDescription",
            "ManifestType", "ManifestVersion"],
          "properties": {
            {{Identity}},
            "ManifestType": { "type": "string", "enum": ["defaultLocale"] },
            "PackageLocale": {{Language}},
            "Publisher": { "type": "string", "minLength": 2, "maxLength": 256 },
            "PackageName": { "type": "string", "minLength": 2, "maxLength": 256 },
            "License": { "type": "string", "minLength": 3, "maxLength": 512 },
            "ShortDescription": { "type": "string", "minLength": 3, "maxLength": 256 }
          }
        }
        """;

    /// <summary>WinGet 1.9: what holds the other two together.</summary>
    public const string WinGetVersion = $$"""
        {
          "type": "object", "additionalProperties": false,
          "required": ["PackageIdentifier", "PackageVersion", "DefaultLocale", "ManifestType", "ManifestVersion"],
          "properties": {
            {{Identity}},
            "ManifestType": { "type": "string", "enum": ["version"] },
            "DefaultLocale": {{Language}}
          }
        }
        """;

    /// <summary>Scoop.</summary>
    public const string Scoop = """
        {
          "type": "object", "additionalProperties": false, "required": ["version", "homepage", "license"],
          "properties": {
            "version": { "type": "string", "pattern": "^[\\w.+-]+$" },
            "description": { "type": "string" },
            "homepage": { "type": "string", "format": "uri" },
            "license": { "type": "string" },
            "bin": { "type": "string" },
            "suggest": { "type": "object", "additionalProperties": { "type": "string" } },
            "architecture": {
              "type": "object", "additionalProperties": false,
              "properties": { "64bit": { "$ref": "#/definitions/archive" }, "arm64": { "$ref": "#/definitions/archive" } }
            }
          },
          "definitions": {
            "archive": {
              "type": "object", "additionalProperties": false,
              "properties": {
                "url": { "type": "string", "format": "uri", "pattern": "^[^$]+$" },
                "hash": { "type": "string", "pattern": "^[a-fA-F0-9]{64}$" },
                "extract_dir": { "type": "string" }
              }
            }
          }
        }
        """;

    /// <summary>CycloneDX 1.6.</summary>
    public const string CycloneDx = """
        {
          "type": "object", "additionalProperties": false, "required": ["bomFormat", "specVersion"],
          "properties": {
            "bomFormat": { "type": "string", "enum": ["CycloneDX"] },
            "specVersion": { "type": "string", "enum": ["1.6"] },
            "version": { "type": "integer", "minimum": 1 },
            "metadata": {
              "type": "object", "additionalProperties": false,
              "properties": { "timestamp": { "type": "string", "format": "date-time" }, "component": { "$ref": "#/definitions/component" } }
            },
            "components": { "type": "array", "uniqueItems": true, "items": { "$ref": "#/definitions/component" } }
          },
          "definitions": {
            "component": {
              "type": "object", "additionalProperties": false, "required": ["type", "name"],
              "properties": {
                "type": { "type": "string", "enum": ["application", "framework", "library", "container", "platform", "operating-system", "device",
                  "device-driver", "firmware", "file", "machine-learning-model", "data", "cryptographic-asset"] },
                "bom-ref": { "type": "string", "minLength": 1 },
                "name": { "type": "string" },
                "version": { "type": "string", "maxLength": 1024 },
                "purl": { "type": "string", "pattern": "^pkg:[a-z]+/.+$" },
                "hashes": {
                  "type": "array",
                  "items": {
                    "type": "object", "additionalProperties": false, "required": ["alg", "content"],
                    "properties": {
                      "alg": { "type": "string", "enum": ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"] },
                      "content": { "type": "string", "pattern": "^([a-fA-F0-9]{32}|[a-fA-F0-9]{40}|[a-fA-F0-9]{64}|[a-fA-F0-9]{96}|[a-fA-F0-9]{128})$" }
                    }
                  }
                },
                "licenses": {
                  "type": "array", "minItems": 1, "maxItems": 1,
                  "items": {
                    "oneOf": [
                      { "type": "object", "additionalProperties": false, "required": ["expression"], "properties": { "expression": { "type": "string" } } },
                      { "type": "object", "additionalProperties": false, "required": ["license"], "properties": { "license": {
                        "type": "object", "additionalProperties": false, "required": ["name"],
                        "properties": { "name": { "type": "string" }, "url": { "type": "string", "format": "uri" } } } } }
                    ]
                  }
                }
              }
            }
          }
        }
        """;
}
