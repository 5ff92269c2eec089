#!/bin/sh
# Publishes Shimmy as a native executable for one platform.
#
#   ./publish.sh [RID] [BACKEND…]      RID: default this machine's; BACKEND: vulkan, cuda (CUDA 13), cuda12, metal
#
# Writes dist/RID/ (executable, runtimes/, licences), dist/shimmy-VERSION-RID.tar.gz with its .sha256, and the debug
# symbols as an archive of their own. An executable for Windows or macOS can only be made on that system.
set -eu
cd "$(dirname "$0")"

fail() { echo "publish.sh: $*" >&2; exit 1; }

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) host=linux-x64 ;;
    Linux-aarch64) host=linux-arm64 ;;
    Darwin-arm64) host=osx-arm64 ;;
    Darwin-x86_64) host=osx-x64 ;;
    *) fail "no native libraries are pinned for $(uname -s) on $(uname -m)" ;;
esac
rid=${1:-$host}
[ $# -eq 0 ] || shift
case "$rid" in
    linux-x64 | linux-arm64 | osx-x64 | osx-arm64) ;;
    win-*) fail "an executable for $rid can only be made on Windows: run publish.ps1 there" ;;
    *) fail "unknown RID '$rid': linux-x64, linux-arm64, osx-arm64, osx-x64 (and win-x64, win-arm64 with publish.ps1)" ;;
esac
[ "${rid%-*}" = "${host%-*}" ] || fail "an executable for $rid can only be made on that system; this is $host"
command -v dotnet >/dev/null || fail "the .NET SDK is missing: install the version that global.json names"

known=$(sed -n "s/.*\"rid\": \"$rid\", \"backend\": \"\([a-z0-9]*\)\".*/\1/p" runtimes/manifest.json | tr '\n' ' ')
backends=
for backend in "$@"; do
    case " $known" in *" $backend "*) ;; *) fail "no backend '$backend' for $rid; there are: $known" ;; esac
    [ "$backend" = cpu ] || backends="$backends $backend"
done

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
    -p:NativeBackends="${backends# }" $cross

version=$(dotnet msbuild Shimmy/Shimmy.csproj -getProperty:Version)
name=shimmy-$version-$rid
rm -rf "dist/$name" "dist/$name.tar.gz" "dist/$name.tar.gz.sha256" "dist/$name-symbols.tar.gz"
for symbols in shimmy.dbg shimmy.dSYM; do
    [ ! -e "$out/$symbols" ] || { tar -C "$out" -czf "dist/$name-symbols.tar.gz" "$symbols"; rm -rf "${out:?}/$symbols"; }
done
# One folder of the archive's name inside, owned by nobody in particular.
owner=
tar --version 2>/dev/null | grep -q GNU && owner='--owner=0 --group=0 --sort=name'
# shellcheck disable=SC2086
mv "$out" "dist/$name"
tar $owner -C dist -czf "dist/$name.tar.gz" "$name"
mv "dist/$name" "$out"
(
    cd dist
    if command -v sha256sum >/dev/null; then sha256sum "$name.tar.gz"; else shasum -a 256 "$name.tar.gz"; fi >"$name.tar.gz.sha256"
)
echo "$out/shimmy ($(($(wc -c <"$out/shimmy") / 1024)) KiB), dist/$name.tar.gz ($(($(wc -c <"dist/$name.tar.gz") / 1024)) KiB)"
