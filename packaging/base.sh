#!/bin/sh
# The root file system below the program in an image of a container, out of Debian's packages: sh packaging/base.sh RID FOLDER
# What glibc programs need and nothing else: no shell, no package manager. Needs apt-get and dpkg-deb, no root and no daemon.
set -eu

fail() { echo "base.sh: $*" >&2; exit 1; }

[ $# -eq 2 ] || fail "usage: sh packaging/base.sh linux-x64|linux-arm64 FOLDER"
case "$1" in
    linux-x64) arch=amd64 loader=lib64/ld-linux-x86-64.so.2 ;;
    linux-arm64) arch=arm64 loader=lib/ld-linux-aarch64.so.1 ;;
    *) fail "there is no base for '$1': linux-x64, linux-arm64" ;;
esac
mkdir -p "$2"
out=$(cd "$2" && pwd)
# OpenSSL, which .NET loads by name while the program runs; newer builds of it need two libraries to compress with.
ssl="libssl3:$arch"
if apt-cache show "libssl3t64:$arch" >/dev/null 2>&1; then ssl="libssl3t64:$arch zlib1g:$arch libzstd1:$arch"; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(
    cd "$work"
    # shellcheck disable=SC2086 # several packages
    apt-get download "libc6:$arch" "libgcc-s1:$arch" "libstdc++6:$arch" $ssl ca-certificates >/dev/null 2>&1 \
        || fail "apt-get cannot bring the packages of $arch (dpkg --add-architecture $arch && apt-get update)"
    for package in *.deb; do dpkg-deb -x "$package" root; done
)
root=$work/root
mkdir -p "$out/etc/ssl/certs"
find "$root/usr/share/ca-certificates" -name '*.crt' | LC_ALL=C sort | xargs cat >"$out/etc/ssl/certs/ca-certificates.crt"
grep -q 'BEGIN CERTIFICATE' "$out/etc/ssl/certs/ca-certificates.crt" || fail "the package ca-certificates has no certificates"
# Libraries and the loader; licences stay with them.
for part in lib lib64 usr/lib usr/share/doc; do
    if [ -d "$root/$part" ]; then
        mkdir -p "$out/$part"
        # Some links lead out of the packages.
        cp -rL "$root/$part/." "$out/$part/" 2>/dev/null || true
    fi
done
# The loader, where every program names it: Debian 13 and Ubuntu 24.04 have it below usr, and links to it may lead into this machine.
file=$(find "$root" -type f -name "${loader##*/}" | head -n 1)
[ -n "$file" ] || fail "the packages of $arch have no ${loader##*/}, without which no program starts"
mkdir -p "$out/${loader%/*}"
rm -f "$out/$loader"
cp "$file" "$out/$loader"
rm -rf "$out"/usr/lib/*/gconv "$out"/usr/lib/*/audit "$out"/lib/*/gconv "$out"/lib/*/audit "$out/usr/lib/bfd-plugins"
find "$out/usr/share/doc" -type f ! -name copyright -delete
find "$out" -type d -empty -delete
# A folder for temporary files, which a read-only root mounts over.
mkdir -p "$out/tmp" && : >"$out/tmp/.keep"
