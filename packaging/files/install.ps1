<#
.SYNOPSIS
Installs Shimmy for this user, without administrator's rights. The archive's SHA-256 is checked.
.PARAMETER Version
The version; by default the one of this script.
.PARAMETER To
Where to; by default %LOCALAPPDATA%\Programs\Shimmy.
.PARAMETER Backend
auto (by the GPU that is there), cpu, vulkan, cuda or cuda12.
.PARAMETER From
Where releases lie, or an archive that is here, with FILE.sha256 beside it: then without a network.
.PARAMETER Uninstall
Takes away what was installed; models stay.
#>
param(
    [string] $Version = '@VERSION@',
    [string] $To = (Join-Path $env:LOCALAPPDATA 'Programs\Shimmy'),
    [ValidateSet('auto', 'cpu', 'vulkan', 'cuda', 'cuda12')] [string] $Backend = 'auto',
    [string] $From = '@RELEASES@',
    [switch] $Uninstall
)

# The user's PATH as it is written, and not with its variables replaced.
function Get-UserPath {
    (Get-Item 'HKCU:\Environment').GetValue('Path', '', [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
}

function Set-UserPath([string] $Path) {
    New-ItemProperty 'HKCU:\Environment' -Name Path -Value $Path -PropertyType ExpandString -Force | Out-Null
    # Taking away a variable that is not there tells the windows that come next.
    [Environment]::SetEnvironmentVariable('SHIMMY_INSTALLED', $null, 'User')
}

function Main {
    $ErrorActionPreference = 'Stop'
    $mark = Join-Path $To '.installed'
    if ($Uninstall) {
        if (-not (Test-Path $mark)) { throw "$To was not installed by this script" }
        Remove-Item $To -Recurse -Force
        Set-UserPath (((Get-UserPath) -split ';' | Where-Object { [Environment]::ExpandEnvironmentVariables($_) -ne $To }) -join ';')
        Write-Output "Shimmy is gone from $To."
        return
    }
    $rid = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'win-arm64' } else { 'win-x64' }
    $work = Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName())
    New-Item $work -ItemType Directory | Out-Null
    try {
        if (Test-Path $From -PathType Leaf) {
            $archive = $From
            $expected = (Get-Content "$From.sha256" -Raw).Split(' ')[0]
        } else {
            $chosen = $Backend
            if ($Backend -eq 'auto') {
                $chosen = if (Test-Path "$env:SystemRoot\System32\nvcuda.dll") { 'cuda' }
                    elseif (Test-Path "$env:SystemRoot\System32\vulkan-1.dll") { 'vulkan' } else { 'cpu' }
            }
            $names = @("shimmy-$Version-$rid" + $(if ($chosen -eq 'cpu') { '' } else { "-$chosen" }))
            if ($Backend -eq 'auto') { $names += "shimmy-$Version-$rid" }
            foreach ($name in $names) {
                $address = "$From/v$Version/$name.zip"
                $archive = Join-Path $work "$name.zip"
                try {
                    $expected = ([Text.Encoding]::ASCII.GetString((Invoke-WebRequest "$address.sha256" -UseBasicParsing).Content)).Split(' ')[0]
                    Invoke-WebRequest $address -OutFile $archive -UseBasicParsing
                    break
                } catch {
                    if ($name -eq $names[-1]) { throw "$address cannot be fetched: is there a version $Version?" }
                }
            }
        }
        if ((Get-FileHash $archive -Algorithm SHA256).Hash -ne $expected) { throw "the archive's SHA-256 is not $expected" }
        Expand-Archive $archive (Join-Path $work 'unpacked')
        $folder = @(Get-ChildItem (Join-Path $work 'unpacked'))[0].FullName
        if (-not (Test-Path (Join-Path $folder 'shimmy.exe'))) { throw "the archive is none of Shimmy's" }
        New-Item (Join-Path $folder '.installed') -ItemType File | Out-Null
        if ((Test-Path $To) -and -not (Test-Path $mark)) { throw "$To is there and was not installed by this script" }
        New-Item (Split-Path $To) -ItemType Directory -Force | Out-Null
        if (Test-Path "$To.new") { Remove-Item "$To.new" -Recurse -Force }
        Copy-Item $folder "$To.new" -Recurse
        if (Test-Path $To) { Remove-Item $To -Recurse -Force }
        Move-Item "$To.new" $To
        $path = Get-UserPath
        if (([Environment]::ExpandEnvironmentVariables($path) -split ';') -notcontains $To) { Set-UserPath ("$path;$To".Trim(';')) }
        Write-Output "Shimmy $Version is in $To. Start it in a new window: shimmy serve"
    } finally {
        Remove-Item $work -Recurse -Force
    }
}

Main
