<#
.SYNOPSIS
Publishes Shimmy as a native executable for one platform.
.DESCRIPTION
    .\publish.ps1 [-Minimal] [RID] [BACKEND…]     RID: default this machine's; BACKEND: vulkan, cuda (CUDA 13), cuda12

Beside LLamaSharp's libraries it takes the second runtime, llama.cpp's own release from npm, where npm is there; -Minimal leaves it out.
Writes dist\RID\ (executable, runtimes\, licences, manual, completions, bill of materials), dist\shimmy-VERSION-RID[-BACKEND].zip with its .sha256, and the debug symbols as
an archive of their own. On Linux and macOS use publish.sh.
#>
param([switch] $Minimal, [Parameter(Position = 0)] [string] $Rid, [Parameter(ValueFromRemainingArguments)] [string[]] $Backends = @())
$ErrorActionPreference = 'Stop'

function Fail([string] $message) { [Console]::Error.WriteLine("publish.ps1: $message"); exit 1 }

function Publish {
    if ($env:OS -ne 'Windows_NT') { Fail 'this is the script for Windows; run publish.sh here' }
    $here = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'win-arm64' } else { 'win-x64' }
    if (-not $Rid) { $Rid = $here }
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

    # A commit with a tag v1.2.3 is that version, where nobody names another.
    if (-not $env:Version) {
        # By cmd: what git says to stderr would end Windows PowerShell.
        $tag = cmd /c 'git describe --exact-match --tags --match "v[0-9]*" 2>nul'
        if ($tag) { $env:Version = $tag.Substring(1) }
    }

    # The build for this machine, which gives the manual and the completions. Before the publish: it restores for this machine, and the bill of materials is of
    # the last restore.
    if ($Rid -ne $here) {
        dotnet build Shimmy -v:q -nologo
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    }

    $out = "dist/$Rid"
    if (Test-Path $out) { Remove-Item $out -Recurse -Force }
    dotnet publish Shimmy/Shimmy.csproj --configuration Release --runtime $Rid --output $out "-p:LlamaCpp=$llamaCpp" "-p:NativeBackends=$plugins"
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

    $version = dotnet msbuild Shimmy/Shimmy.csproj -getProperty:Version
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    $suffix = $plugins -replace ' ', '-'
    $name = "shimmy-$version-$Rid" + $(if ($suffix) { "-$suffix" } else { '' })
    Remove-Item "dist/$name.zip*", "dist/$name-symbols.zip" -Force -ErrorAction SilentlyContinue
    # The manual and completions, as on Linux and for PowerShell, by the program itself or, for another processor, the build for this one.
    $shimmy = if ($Rid -eq $here) { "$out/shimmy.exe" } else { 'Shimmy/bin/Debug/net10.0/shimmy.exe' }
    [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
    foreach ($file in @(
            @('man/man1/shimmy.1', 'man'), @('bash-completion/completions/shimmy', 'completion', 'bash'),
            @('zsh/site-functions/_shimmy', 'completion', 'zsh'), @('fish/vendor_completions.d/shimmy.fish', 'completion', 'fish'),
            @('shimmy.ps1', 'completion', 'powershell'))) {
        $path = "$PSScriptRoot/$out/share/$($file[0])"
        New-Item (Split-Path $path) -ItemType Directory -Force | Out-Null
        $words = $file[1..($file.Length - 1)]
        $text = & $shimmy @words
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
        # As it came, on every version of PowerShell: a redirection writes another encoding, and other ends of lines.
        [IO.File]::WriteAllText($path, ($text -join "`n") + "`n")
    }
    # The archive, with a bill of materials in it, and another of the symbols: one folder of its name, and the same bytes from the same files;
    # everything has the commit's time.
    if (-not $env:SOURCE_DATE_EPOCH) { $env:SOURCE_DATE_EPOCH = git log -1 --format=%ct }
    dotnet run --project packaging -- archive $out $Rid $version $suffix
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    Write-Output ("{0}/shimmy.exe ({1:N0} KiB)" -f $out, ((Get-Item "$out/shimmy.exe").Length / 1KB))
}

# The session that called this keeps its place, its variables and its encoding, however this ends.
$before = @{}
foreach ($name in 'Version', 'SOURCE_DATE_EPOCH') { $before[$name] = [Environment]::GetEnvironmentVariable($name) }
$encoding = [Console]::OutputEncoding
Push-Location $PSScriptRoot
try {
    Publish
} finally {
    Pop-Location
    [Console]::OutputEncoding = $encoding
    foreach ($name in $before.Keys) {
        if ($null -eq $before[$name]) { Remove-Item "env:$name" -ErrorAction SilentlyContinue } else { Set-Item "env:$name" $before[$name] }
    }
}
