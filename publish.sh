#!/bin/sh
# Publishes Shimmy as a native executable for one platform.
#
#   ./publish.sh [--minimal] [RID] [BACKEND…]   RID: default this machine's; BACKEND: vulkan, cuda (CUDA 13), cuda12, metal
#
# Beside LLamaSharp's libraries it takes the second runtime, llama.cpp's own release from npm, where npm is there; --minimal leaves it out.
# Writes dist/RID/ (executable, runtimes/, licences, manual, completions, bill of materials), dist/shimmy-VERSION-RID[-BACKEND].tar.gz with
# its .sha256, and the debug symbols as an archive of their own. An executable for Windows or macOS can only be made on that system.
set -eu
cd "$(dirname "$0")"

fail() { echo "publish.sh: $*" >&2; exit 1; }

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) host=linux-x64 ;;
    Linux-aarch64) host=linux-arm64 ;;
    Darwin-arm64) host=osx-arm64 ;;
    Darwin-x86_64) host=osx-x64 ;;
    *) fail "there are no native libraries for $(uname -s) on $(uname -m)" ;;
esac
if [ "${host%%-*}" = linux ] && ldd --version 2>&1 | grep -qi musl; then
    [ "$host" = linux-x64 ] || fail "there are no native libraries for musl (as on Alpine) on arm64; a container with glibc can build for linux-arm64"
    host=linux-musl-x64
fi
minimal=
if [ "${1:-}" = --minimal ]; then minimal=yes; shift; fi
rid=${1:-$host}
[ $# -eq 0 ] || shift
case "$rid" in
    linux-x64 | linux-musl-x64 | linux-arm64 | osx-x64 | osx-arm64) ;;
    win-*) fail "an executable for $rid can only be made on Windows: run publish.ps1 there" ;;
    *) fail "unknown RID '$rid': linux-x64, linux-musl-x64, linux-arm64, osx-arm64, osx-x64 (and win-x64, win-arm64 with publish.ps1)" ;;
esac
case "$host:$rid" in
    "$rid:$rid" | linux-x64:linux-* | linux-arm64:linux-x64 | osx-*:osx-*) ;;
    linux-*:linux-*) fail "an executable for $rid is made on linux-x64 or on $rid itself; this is $host" ;;
    *) fail "an executable for $rid can only be made on that system; this is $host" ;;
esac
command -v dotnet >/dev/null || fail "the .NET SDK is missing: install the version that global.json names"

known=$(sed -n "s/.*\"rid\": \"$rid\", \"backend\": \"\([a-z0-9]*\)\".*/\1/p" runtimes/manifest.json | tr '\n' ' ')
backends=
for backend in "$@"; do
    case " $known" in *" $backend "*) ;; *) fail "no backend '$backend' for $rid; there are: $known" ;; esac
    [ "$backend" = cpu ] || backends="$backends $backend"
done

# The second runtime: asked for by a plug-in, else in every archive where npm is there to bring it.
llama_cpp=true
if [ -n "$minimal" ]; then
    [ -z "$backends" ] || fail "--minimal leaves out the runtime that takes plug-ins; it excludes$backends"
    llama_cpp=false
elif [ -z "$known" ]; then
    llama_cpp=false
elif [ -z "$backends" ] && ! command -v npm >/dev/null; then
    echo "publish.sh: npm is missing, so the archive has LLamaSharp's libraries alone, without those of llama.cpp's own release" >&2
    llama_cpp=false
fi

# Linux links for another architecture or C library with Debian's compiler for it.
cross='' compiler=''
needs() { # FILE-OR-COMMAND: what linking for the RID takes, out of these packages of Debian
    command -v "$1" >/dev/null || [ -e "$1" ] || fail "$1 is missing, which linking for $rid on $host needs: apt-get install $packages"
}
if [ "$rid" != "$host" ] && [ "${host%%-*}" = linux ]; then
    # The C library, by a file that programs are linked with and another package brings.
    case "$rid" in
        linux-arm64) compiler=aarch64-linux-gnu-gcc packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
        linux-x64) compiler=x86_64-linux-gnu-gcc packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;;
        linux-musl-x64) compiler=musl-gcc packages="musl-tools gcc" ;;
    esac
    needs "$compiler"
    case "$rid" in
        linux-musl-x64) objcopy=objcopy ;;
        *) objcopy=${compiler%gcc}objcopy; needs "$($compiler -print-file-name=Scrt1.o)" ;;
    esac
    needs "$objcopy"
    cross="-p:CppCompilerAndLinker=$compiler -p:ObjCopyName=$objcopy"
elif [ "${host%%-*}" = linux ]; then
    if command -v gcc >/dev/null; then compiler=gcc; elif command -v clang >/dev/null; then compiler=clang; else fail "a linker is missing: install clang or gcc"; fi
fi

# A commit with a tag v1.2.3 is that version, where nobody names another.
if [ -z "${Version:-}" ]; then
    tag=$(git describe --exact-match --tags --match 'v[0-9]*' 2>/dev/null || true)
    if [ -n "$tag" ]; then Version=${tag#v}; export Version; fi
fi

# The build for this machine, which gives the manual and the completions. Before the publish: it restores for this machine, and the bill of
# materials is of the last restore.
if [ "$rid" != "$host" ]; then
    # Not every feed has .NET's compiler and runtime for every platform.
    if ! said=$(dotnet restore Shimmy --runtime "$rid" -v:q -nologo 2>&1); then
        lacks=$(echo "$said" | sed -n 's/.*NU1101: Unable to find package \(.*\)\. No packages.*/\1/p' | LC_ALL=C sort -u | tr '\n' ' ')
        if [ -n "$lacks" ]; then fail "the feed of NuGet packages lacks what linking for $rid takes: $lacks"; fi
        echo "$said" >&2
        exit 1
    fi
    dotnet build Shimmy -v:q -nologo
fi

out=dist/$rid
rm -rf "$out"
# shellcheck disable=SC2086 # cross holds several words
dotnet publish Shimmy/Shimmy.csproj --configuration Release --runtime "$rid" --output "$out" \
    -p:LlamaCpp=$llama_cpp -p:NativeBackends="${backends# }" $cross

# GNU's library of OpenMP, which LLamaSharp's libraries need and a bare system lacks: that of the compiler that links here. On musl each
# system has its own build of it, in one package.
case "$rid" in
    linux-x64 | linux-arm64)
        libgomp=$($compiler -print-file-name=libgomp.so.1)
        if [ -f "$libgomp" ]; then
            cp -L "$libgomp" "$out/runtimes/llamasharp/libgomp.so.1"
            {
                echo "libgomp.so.1 is the library of OpenMP of GCC, the GNU Compiler Collection: Copyright (c) Free Software Foundation, Inc."
                echo "It is unchanged from this compiler: $($compiler --version | head -1)"
                echo "Its source is that of GCC: https://gcc.gnu.org/releases.html, or the package of the compiler's system."
                echo "Its licence is the GNU General Public License, version 3 or later, with the GCC Runtime Library Exception:"
                echo
                cat runtimes/LICENSE.libgomp
            } >"$out/runtimes/llamasharp/LICENSE.libgomp"
        else
            echo "publish.sh: $compiler has no libgomp.so.1: where the archive runs, it must be installed (Debian: libgomp1; Fedora: libgomp)" >&2
        fi ;;
esac

version=$(dotnet msbuild Shimmy/Shimmy.csproj -getProperty:Version)
name=shimmy-$version-$rid
for backend in $backends; do name=$name-$backend; done
rm -f "dist/$name.tar.gz" "dist/$name.tar.gz.sha256" "dist/$name-symbols.tar.gz"

# The manual and completions, by the program itself; one for another platform does not run here, and the build for this one says the same.
if [ "$rid" != "$host" ]; then shimmy=Shimmy/bin/Debug/net10.0/shimmy; else shimmy=$out/shimmy; fi
for file in man/man1/shimmy.1:man bash-completion/completions/shimmy:"completion bash" \
    zsh/site-functions/_shimmy:"completion zsh" fish/vendor_completions.d/shimmy.fish:"completion fish"; do
    mkdir -p "$(dirname "$out/share/${file%%:*}")"
    # shellcheck disable=SC2086 # a command and its arguments
    $shimmy ${file#*:} >"$out/share/${file%%:*}"
done

# The archive, with a bill of materials in it, and another of the symbols: one folder of its name, and the same bytes from the same files;
# everything has the commit's time.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || true); fi
export SOURCE_DATE_EPOCH
dotnet run --project packaging -v q -- archive "$out" "$rid" "$version" "$(echo "${backends# }" | tr ' ' -)"
echo "$out/shimmy ($(($(wc -c <"$out/shimmy") / 1024)) KiB)"
