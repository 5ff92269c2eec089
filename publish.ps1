<#
.SYNOPSIS
Publishes Shimmy as a native executable for one platform.
.DESCRIPTION
    .\publish.ps1 [-Minimal] [RID] [BACKEND…]     RID: default this machine's; BACKEND: vulkan, cuda (CUDA 13), cuda12

Beside LLamaSharp's libraries it takes the second runtime, llama.cpp's own release from npm, where npm is there; -Minimal leaves it out.
Writes dist\RID\ (executable, runtimes\, licences), dist\shimmy-VERSION-RID.zip with its .sha256, and the debug symbols as
an archive of their own. On Linux and macOS use publish.sh.
#>
param([switch] $Minimal, [Parameter(Position = 0)] [string] $Rid, [Parameter(ValueFromRemainingArguments)] [string[]] $Backends = @())
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot

function Fail([string] $message) { [Console]::Error.WriteLine("publish.ps1: $message"); exit 1 }

if ($env:OS -ne 'Windows_NT') { Fail 'this is the script for Windows; run publish.sh here' }
if (-not $Rid) { $Rid = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'win-arm64' } else { 'win-x64' } }
if ($Rid -notin 'win-x64', 'win-arm64') { Fail "unknown RID '$Rid': win-x64 or win-arm64 (Linux and macOS with publish.sh, on their own systems)" }
if (-not (Get-Command dotnet -ErrorAction SilentlyContinue)) { Fail 'the .NET SDK is missing: install the version that global.json names' }

$known = (Get-Content runtimes/manifest.json -Raw | ConvertFrom-Json).packages | Where-Object rid -EQ $Rid | ForEach-Object backend
foreach ($backend in $Backends) {
    if ($backend -notin $known) { Fail "no backend '$backend' for $Rid; there are: $known" }
}
$plugins = ($Backends | Where-Object { $_ -ne 'cpu' }) -join ' '
# The second runtime: asked for by a plug-in, else in every archive where npm is there to bring it.
$llamaCpp = 'true'
if ($Minimal) {
    if ($plugins) { Fail "-Minimal leaves out the runtime that takes plug-ins; it excludes $plugins" }
    $llamaCpp = 'false'
} elseif (-not $plugins -and -not (Get-Command npm -ErrorAction SilentlyContinue)) {
    Write-Warning "npm is missing, so the archive has LLamaSharp's libraries alone, without those of llama.cpp's own release"
    $llamaCpp = 'false'
}

$out = "dist/$Rid"
if (Test-Path $out) { Remove-Item $out -Recurse -Force }
dotnet publish Shimmy/Shimmy.csproj --configuration Release --runtime $Rid --output $out "-p:LlamaCpp=$llamaCpp" "-p:NativeBackends=$plugins"
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

$version = dotnet msbuild Shimmy/Shimmy.csproj -getProperty:Version
$name = "shimmy-$version-$Rid"
Remove-Item "dist/$name*" -Force -ErrorAction SilentlyContinue
if (Test-Path "$out/shimmy.pdb") {
    Compress-Archive "$out/shimmy.pdb" "dist/$name-symbols.zip"
    Remove-Item "$out/shimmy.pdb"
}
Compress-Archive $out "dist/$name.zip"
$hash = (Get-FileHash "dist/$name.zip" -Algorithm SHA256).Hash.ToLowerInvariant()
[IO.File]::WriteAllText((Join-Path (Get-Location) "dist/$name.zip.sha256"), "$hash  $name.zip`n")
Write-Output ("{0}/shimmy.exe ({1:N0} KiB), dist/{2}.zip ({3:N0} KiB)" -f $out, ((Get-Item "$out/shimmy.exe").Length / 1KB), $name, ((Get-Item "dist/$name.zip").Length / 1KB))
