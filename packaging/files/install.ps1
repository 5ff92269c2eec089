<#
.SYNOPSIS
Installs Shimmy for this user, without administrator's rights. The archive's SHA-256 is checked.
.PARAMETER Version
The version; by default the one of this script.
.PARAMETER To
Where to; by default %LOCALAPPDATA%\Programs\Shimmy.
.PARAMETER Backend
auto (cuda or cuda12 where CUDA's libraries are, else vulkan where its loader is, else cpu), cpu, vulkan, cuda or cuda12.
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
    # Taking away a variable that is not there tells the windows that come next. $null would be an empty text, which newer .NET sets.
    [Environment]::SetEnvironmentVariable('SHIMMY_INSTALLED', [NullString]::Value, 'User')
}

# Libraries are looked for as Windows does for a program.
function Test-Library([string] $Name) {
    $folders = @("$env:SystemRoot/System32") + ($env:PATH -split [IO.Path]::PathSeparator | Where-Object { $_ })
    [bool]($folders | Where-Object { Test-Path -LiteralPath "$_/$Name" -ErrorAction SilentlyContinue })
}

# The plug-in that works here: CUDA's libraries do not come with NVIDIA's driver.
function Get-Backend {
    if (Test-Library 'nvcuda.dll') {
        if ((Test-Library 'cudart64_13.dll') -and (Test-Library 'cublas64_13.dll')) { return 'cuda' }
        if ((Test-Library 'cudart64_12.dll') -and (Test-Library 'cublas64_12.dll')) { return 'cuda12' }
    }
    if (Test-Library 'vulkan-1.dll') { 'vulkan' } else { 'cpu' }
}

# Puts the old program back where a run was ended between the two renames.
function Restore-Old([string] $Folder) {
    if ((Test-Path -LiteralPath "$Folder.old/.installed") -and -not (Test-Path -LiteralPath $Folder)) {
        Move-Item -LiteralPath "$Folder.old" -Destination $Folder
    }
}

# Renames a folder, in one step or not at all, so that what runs from it does not leave half of it; gives the name that it has then.
function Move-Away([string] $Folder) {
    $old = "$Folder.old"
    if (Test-Path -LiteralPath $Folder) {
        if (Test-Path -LiteralPath $old) { Remove-Item -LiteralPath $old -Recurse -Force }
        try { Move-Item -LiteralPath $Folder -Destination $old } catch { throw "$Folder is in use: end the shimmy that runs, then try again" }
    }
    $old
}

function Main {
    $ErrorActionPreference = 'Stop'
    # Windows PowerShell is slow while it draws progress, and may offer servers only what they no longer take.
    $ProgressPreference = 'SilentlyContinue'
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    # As it is written into PATH and looked for there: from the root, with nothing behind the last name.
    $To = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($To).TrimEnd('\', '/')
    $mark = Join-Path $To '.installed'
    $Version = $Version -replace '^v', ''
    $From = $From.TrimEnd('/')
    Restore-Old $To
    if ($Uninstall) {
        # A removal that was ended has left some of it under the other name.
        $there = Test-Path -LiteralPath $To
        if (-not (Test-Path -LiteralPath $mark) -and ($there -or -not (Test-Path -LiteralPath "$To.old"))) { throw "$To was not installed by this script" }
        Remove-Item -LiteralPath (Move-Away $To) -Recurse -Force
        Set-UserPath (((Get-UserPath) -split ';' | Where-Object { [Environment]::ExpandEnvironmentVariables($_) -ne $To }) -join ';')
        Write-Output "Shimmy is gone from $To."
        return
    }
    $rid = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'win-arm64' } else { 'win-x64' }
    $work = Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName())
    New-Item $work -ItemType Directory | Out-Null
    try {
        if (Test-Path -LiteralPath $From -PathType Leaf) {
            $archive = $From
            $sum = "$From.sha256"
        } else {
            # Other processors have no plug-ins.
            $chosen = if ($Backend -ne 'auto') { $Backend } elseif ($rid -eq 'win-x64') { Get-Backend } else { 'cpu' }
            $names = @("shimmy-$Version-$rid" + $(if ($chosen -eq 'cpu') { '' } else { "-$chosen" }))
            if ($Backend -eq 'auto') { $names += "shimmy-$Version-$rid" }
            foreach ($name in $names) {
                $address = "$From/v$Version/$name.zip"
                $archive = Join-Path $work "$name.zip"
                $sum = "$archive.sha256"
                try {
                    # Through a file: what comes back is a text from one server and bytes from another.
                    Invoke-WebRequest "$address.sha256" -OutFile $sum -UseBasicParsing
                    Invoke-WebRequest $address -OutFile $archive -UseBasicParsing
                    break
                } catch {
                    if ($name -eq $names[-1]) { throw "$address cannot be fetched: is there a version ${Version} for ${rid}?" }
                }
            }
        }
        $expected = (Get-Content -LiteralPath $sum -Raw).Split(' ')[0]
        if ($expected -notmatch '^[0-9a-fA-F]{64}$') { throw "$sum holds no SHA-256, so the archive cannot be checked" }
        if ((Get-FileHash -LiteralPath $archive -Algorithm SHA256).Hash -ne $expected) { throw "the archive's SHA-256 is not $expected" }
        Expand-Archive -LiteralPath $archive -DestinationPath (Join-Path $work 'unpacked')
        $folder = @(Get-ChildItem -LiteralPath (Join-Path $work 'unpacked'))[0].FullName
        # shimmy-VERSION-RID[-BACKEND] is the name of the folder: what is installed, whatever was asked for.
        $name = Split-Path $folder -Leaf
        $Version = $name -replace '^shimmy-', '' -replace '-win-(x64|arm64).*$', ''
        if (-not (Test-Path -LiteralPath (Join-Path $folder 'shimmy.exe'))) { throw "the archive is none of Shimmy's" }
        New-Item (Join-Path $folder '.installed') -ItemType File | Out-Null
        if ((Test-Path -LiteralPath $To) -and -not (Test-Path -LiteralPath $mark)) { throw "$To is there and was not installed by this script" }
        New-Item (Split-Path $To) -ItemType Directory -Force | Out-Null
        if (Test-Path -LiteralPath "$To.new") { Remove-Item -LiteralPath "$To.new" -Recurse -Force }
        Copy-Item -LiteralPath $folder -Destination "$To.new" -Recurse
        # llama.cpp's libraries need these, which Windows does not bring; those for arm64 have no OpenMP.
        $processor = $rid -replace '^win-', ''
        $redistributable = "Microsoft's Visual C++ Redistributable: winget install Microsoft.VCRedist.2015+.$processor"
        $missing = @('msvcp140.dll', 'vcruntime140.dll') + $(if ($processor -eq 'x64') { 'vcomp140.dll' }) | Where-Object { -not (Test-Library $_) }
        # Before the old one goes.
        $runs = $false
        try {
            & "$To.new/shimmy.exe" --version | Out-Null
            $runs = $LASTEXITCODE -eq 0
        } catch {
            Write-Warning "$_"
        }
        if (-not $runs) {
            Remove-Item -LiteralPath "$To.new" -Recurse -Force
            throw "the program of $name does not run here, and nothing was changed. It may need $redistributable"
        }
        $old = Move-Away $To
        try {
            Move-Item -LiteralPath "$To.new" -Destination $To
        } finally {
            # Also where Ctrl+C ends it.
            Restore-Old $To
        }
        # What a program that runs still holds stays, and goes with the next install.
        Remove-Item -LiteralPath $old -Recurse -Force -ErrorAction SilentlyContinue
        $path = Get-UserPath
        if (([Environment]::ExpandEnvironmentVariables($path) -split ';') -notcontains $To) { Set-UserPath ("$path;$To".Trim(';')) }
        Write-Output "Shimmy $Version is in $To ($name). Start it in a new window: shimmy serve"
        if ($missing) { Write-Warning "$($missing -join ', ') cannot be found, which models need. They come with $redistributable" }
    } finally {
        Remove-Item -LiteralPath $work -Recurse -Force
    }
}

Main
