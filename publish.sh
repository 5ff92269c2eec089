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
if [ "$host" = linux-x64 ] && ldd --version 2>&1 | grep -qi musl; then host=linux-musl-x64; fi
minimal=
if [ "${1:-}" = --minimal ]; then minimal=yes; shift; fi
rid=${1:-$host}
[ $# -eq 0 ] || shift
case "$rid" in
    linux-x64 | linux-musl-x64 | linux-arm64 | osx-x64 | osx-arm64) ;;
    win-*) fail "an executable for $rid can only be made on Windows: run publish.ps1 there" ;;
    *) fail "unknown RID '$rid': linux-x64, linux-musl-x64, linux-arm64, osx-arm64, osx-x64 (and win-x64, win-arm64 with publish.ps1)" ;;
esac
[ "${rid%-*}" = "${host%-*}" ] || [ "$rid" = "$host" ] || fail "an executable for $rid can only be made on that system; this is $host"
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

# Linux links for the other architecture with Debian's cross compiler (crossbuild-essential-arm64 or -amd64).
cross=
if [ "$rid" != "$host" ] && [ "${host%-*}" = linux ]; then
    case "$rid" in
        linux-arm64) triple=aarch64-linux-gnu package=crossbuild-essential-arm64 ;;
        linux-x64) triple=x86_64-linux-gnu package=crossbuild-essential-amd64 ;;
    esac
    command -v "$triple-gcc" >/dev/null || fail "$triple-gcc is missing: install $package to publish for $rid on $host"
    cross="-p:CppCompilerAndLinker=$triple-gcc -p:ObjCopyName=$triple-objcopy"
elif [ "${host%-*}" = linux ]; then
    command -v clang >/dev/null || command -v gcc >/dev/null || fail "a linker is missing: install clang or gcc"
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
        if [ -n "$cross" ]; then compiler=$triple-gcc; elif command -v gcc >/dev/null; then compiler=gcc; else compiler=clang; fi
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
rm -rf "dist/$name.tar.gz" "dist/$name.tar.gz.sha256" "dist/$name-symbols.tar.gz"
for symbols in shimmy.dbg shimmy.dSYM; do
    [ ! -e "$out/$symbols" ] || { tar -C "$out" -czf "dist/$name-symbols.tar.gz" "$symbols"; rm -rf "${out:?}/$symbols"; }
done

# The manual and completions, by the program itself; one for another platform does not run here, and the build for this one says the same.
shimmy=$out/shimmy
if [ "$rid" != "$host" ]; then shimmy="dotnet run --project Shimmy --"; fi
for file in man/man1/shimmy.1:man bash-completion/completions/shimmy:"completion bash" \
    zsh/site-functions/_shimmy:"completion zsh" fish/vendor_completions.d/shimmy.fish:"completion fish"; do
    mkdir -p "$(dirname "$out/share/${file%%:*}")"
    # shellcheck disable=SC2086 # a command and its arguments
    $shimmy ${file#*:} >"$out/share/${file%%:*}"
done

# The archive: a bill of materials in it, one folder of its name, and the same bytes from the same files; everything has the commit's time.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || true); fi
export SOURCE_DATE_EPOCH
dotnet run --project packaging -v q -- archive "$out" "$rid" "$version" "$(echo "${backends# }" | tr ' ' -)"
echo "$out/shimmy ($(($(wc -c <"$out/shimmy") / 1024)) KiB)"
