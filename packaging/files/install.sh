#!/bin/sh
# Installs Shimmy for this user: sh install.sh [--version V] [--to DIR] [--backend auto|cpu|vulkan|cuda|cuda12] [--from URL|FILE] [--uninstall]
# The archive's SHA-256 is checked. Nothing outside --to (by default ~/.local) is written, and nothing needs root.
set -eu

# What other programs look for below share of --to, and find there as links: each lies three folders deep.
shared="man/man1/shimmy.1 bash-completion/completions/shimmy zsh/site-functions/_shimmy fish/vendor_completions.d/shimmy.fish"

fail() { echo "install.sh: $*" >&2; exit 1; }

usage() {
    cat <<'TEXT'
Installs Shimmy for this user.

  --version V       the version; by default the one of this script
  --to DIR          where to: DIR/lib/shimmy, with a link in DIR/bin, and in DIR/share to the manual and completions; by default ~/.local
  --backend B       auto (cuda or cuda12 where CUDA's libraries are, else vulkan where its loader and a driver are, else cpu), cpu, vulkan,
                    cuda, cuda12; by default auto
  --from URL|FILE   where releases lie, or an archive that is here: with FILE.sha256 beside it, and without a network
  --uninstall       takes away what was installed; models stay
TEXT
}

fetch() { # URL FILE
    if command -v curl >/dev/null 2>&1; then
        curl -fsSL --retry 3 -o "$2" "$1" || return 1
    elif command -v wget >/dev/null 2>&1; then
        wget -q -O "$2" "$1" || return 1
    else
        fail "curl or wget is missing; fetch the archive by other means and give it with --from FILE"
    fi
}

sum_of() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1"
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 "$1"
    else
        fail "sha256sum and shasum are missing, so the archive cannot be checked"
    fi | cut -d ' ' -f 1
}

platform() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64)
            # A system of glibc may have musl beside it.
            if ldd --version 2>&1 | grep -qi musl || { [ -e /lib/ld-musl-x86_64.so.1 ] && [ ! -e /lib64/ld-linux-x86-64.so.2 ]; }; then
                echo linux-musl-x64
            else
                echo linux-x64
            fi ;;
        Linux-aarch64 | Linux-arm64)
            if ldd --version 2>&1 | grep -qi musl || { [ -e /lib/ld-musl-aarch64.so.1 ] && [ ! -e /lib/ld-linux-aarch64.so.1 ]; }; then
                fail "there is no archive for musl (as on Alpine) on arm64, and none can be made: run the release's container image"
            fi
            echo linux-arm64 ;;
        Darwin-arm64) echo osx-arm64 ;;
        Darwin-x86_64) echo osx-x64 ;;
        *) fail "there is no archive for $(uname -s) on $(uname -m)" ;;
    esac
}

has() { # LIBRARY: whether programs find it here
    case "$known" in *"	$1 (libc6,x86-64"*) return 0 ;; esac
    (IFS=:; for folder in ${LD_LIBRARY_PATH:-}; do if [ -e "$folder/$1" ]; then exit 0; fi; done; exit 1)
}

gpu() { # the plug-in that works here: CUDA's libraries do not come with NVIDIA's driver
    known=$({ ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null || true)
    if has libcuda.so.1; then
        if has libcudart.so.13 && has libcublas.so.13; then echo cuda; return; fi
        if has libcudart.so.12 && has libcublas.so.12; then echo cuda12; return; fi
    fi
    if has libvulkan.so.1; then
        for device in /dev/dri /dev/nvidia0 /dev/dxg; do
            if [ ! -e "$device" ]; then continue; fi
            # A pattern that matches nothing stays as it is, and any one driver will do.
            for driver in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json; do
                if [ -e "$driver" ]; then echo vulkan; return; fi
            done
        done
    fi
    echo cpu
}

# Each run works in a folder of its own beside the program, so that two at once do not mix: lib/shimmy.new.PID.XXXXXX of --to, with what is
# unpacked, and in "old" or "gone" the program that was there before or goes.
leave() { # FOLDER: takes such a folder away, and puts the old program back where it is the only one
    if [ -e "$1/old/shimmy" ] && [ ! -e "$to/lib/shimmy" ]; then mv -f "$1/old/shimmy" "$to/lib/" || return 1; fi
    rm -rf "$1"
}

left() { # does what runs that were ended have left to do; whether there was any
    found=1
    for folder in "$to"/lib/shimmy.new.*; do
        run=${folder#"$to"/lib/shimmy.new.} run=${run%%.*}
        case "$run" in '' | *[!0-9]*) continue ;; esac
        # One that still runs is not done yet. In a container this one may have the number of one before it.
        if [ ! -d "$folder" ] || { [ "$run" != $$ ] && kill -0 "$run" 2>/dev/null; }; then continue; fi
        leave "$folder" || fail "$folder cannot be taken away"
        found=0
    done
    return "$found"
}

begin() {
    mkdir -p "$to/lib" || fail "$to cannot be written; --to names another folder"
    new=$(mktemp -d "$to/lib/shimmy.new.$$.XXXXXX") || fail "$to/lib cannot be written; --to names another folder"
}

clean() {
    rm -rf "$work"
    if [ -n "$new" ]; then leave "$new" || true; fi
}

absent() { # FILE: it cannot be fetched
    case "$rid" in
        *-musl-*)
            fail "$1 cannot be fetched: releases have no archive for $rid (musl, as on Alpine); make one there with ./publish.sh $rid and install it with --from FILE, or run the release's container image" ;;
        *) fail "$1 cannot be fetched: is there a version $version for $rid?" ;;
    esac
}

uninstall() {
    if left; then found=yes; else found=; fi
    if [ -e "$to/lib/shimmy/.installed" ]; then
        begin
        # In one step, so that a run that is ended leaves no half of a program: what is left to do, the next one does.
        mkdir "$new/gone"
        mv "$to/lib/shimmy" "$new/gone/"
    elif [ -z "$found" ]; then
        fail "$to/lib/shimmy was not installed by this script"
    fi
    if [ "$(readlink "$to/bin/shimmy" 2>/dev/null)" = ../lib/shimmy/shimmy ]; then rm -f "$to/bin/shimmy"; fi
    for file in $shared; do
        if [ "$(readlink "$to/share/$file" 2>/dev/null)" = "../../../lib/shimmy/share/$file" ]; then rm -f "$to/share/$file"; fi
    done
    if [ -n "$new" ]; then leave "$new"; fi
    echo "Shimmy is gone from $to. Its caches stay: ${XDG_CACHE_HOME:-${HOME:-~}/.cache}/shimmy"
}

main() {
    version=@VERSION@ to=${HOME:+$HOME/.local} backend=auto from=@RELEASES@ remove='' new=''
    while [ $# -gt 0 ]; do
        case "$1" in
            --version | --to | --backend | --from)
                [ $# -ge 2 ] || fail "$1 needs a value"
                case "$1" in
                    --version) version=${2#v} ;;
                    --to) to=${2%/} ;;
                    --backend) backend=$2 ;;
                    --from) from=${2%/} ;;
                esac
                shift 2 ;;
            --uninstall) remove=yes; shift ;;
            -h | --help) usage; exit 0 ;;
            *) fail "unknown option '$1'; --help lists them" ;;
        esac
    done
    case "$backend" in auto | cpu | vulkan | cuda | cuda12) ;; *) fail "--backend '$backend' is not allowed: auto, cpu, vulkan, cuda, cuda12" ;; esac
    case "$to" in /?*) ;; "") fail "there is no folder to install to: HOME is not set, or --to is empty" ;; *) to=$PWD/$to ;; esac
    if [ -n "$remove" ]; then uninstall; exit 0; fi
    if [ -e "$to/bin/shimmy" ] || [ -L "$to/bin/shimmy" ]; then
        [ "$(readlink "$to/bin/shimmy")" = ../lib/shimmy/shimmy ] || fail "$to/bin/shimmy is there and was not installed by this script"
    fi

    rid=$(platform)
    work=$(mktemp -d)
    trap clean EXIT
    trap 'exit 1' HUP INT TERM
    if [ -f "$from" ]; then
        archive=$from
        [ -f "$from.sha256" ] || fail "$from.sha256 is missing beside it, so the archive cannot be checked"
        cp "$from.sha256" "$work/sha256"
    else
        case "$from" in *://*) ;; *) fail "--from '$from' is neither an address nor a file" ;; esac
        chosen=$backend
        if [ "$backend" = auto ]; then
            case "$rid" in linux-x64) chosen=$(gpu) ;; *) chosen=cpu ;; esac
        fi
        suffix=; [ "$chosen" = cpu ] || suffix=-$chosen
        name=shimmy-$version-$rid$suffix.tar.gz
        if ! fetch "$from/v$version/$name.sha256" "$work/sha256"; then
            # Where the plug-in was only our guess, the processor does.
            if [ "$backend" != auto ] || [ -z "$suffix" ]; then absent "$from/v$version/$name.sha256"; fi
            name=shimmy-$version-$rid.tar.gz
            fetch "$from/v$version/$name.sha256" "$work/sha256" || absent "$from/v$version/$name.sha256"
        fi
        archive=$work/$name
        fetch "$from/v$version/$name" "$archive" || fail "$from/v$version/$name cannot be fetched"
    fi
    expected=$(cut -d ' ' -f 1 <"$work/sha256")
    # What is none would be equal to the sum of nothing, where a sum cannot be computed.
    case "$expected" in *[!0-9a-f]*) expected= ;; esac
    [ ${#expected} -eq 64 ] || fail "what lies beside the archive as its .sha256 is no SHA-256, so the archive cannot be checked"
    [ "$(sum_of "$archive")" = "$expected" ] || fail "the archive's SHA-256 is not $expected: it was damaged or changed on its way"

    left || true
    if [ -e "$to/lib/shimmy" ] && [ ! -e "$to/lib/shimmy/.installed" ]; then fail "$to/lib/shimmy is there and was not installed by this script"; fi
    # Where it goes and not below /tmp, where a system may let nothing run, and from where a move would be a copy.
    begin
    mkdir -p "$to/bin" || fail "$to/bin cannot be written"
    tar -xzf "$archive" -C "$new" || fail "the archive cannot be unpacked"
    set -- "$new"/*
    if [ $# -ne 1 ] || [ ! -x "$1/shimmy" ]; then fail "the archive is none of Shimmy's"; fi
    touch "$1/.installed"
    "$1/shimmy" --version >/dev/null || fail "the program does not run here: it is for $rid (glibc 2.34 or newer on Linux)"
    # shimmy-VERSION-RID[-BACKEND] is the name of the folder: what is installed, whatever was asked for.
    name=${1##*/}
    version=${name#shimmy-} version=${version%-linux-*} version=${version%-osx-*}
    # The old one goes when the new one is in its place. Moves lead into folders, where another one of the name is in the way: to a name that
    # is there already they would lead into it.
    mkdir "$new/old" "$new/new"
    mv "$1" "$new/new/shimmy"
    if [ -e "$to/lib/shimmy" ]; then mv "$to/lib/shimmy" "$new/old/"; fi
    mv -f "$new/new/shimmy" "$to/lib/" || fail "$to/lib/shimmy cannot be written, or another run has just done that"
    ln -sf ../lib/shimmy/shimmy "$to/bin/shimmy"
    for file in $shared; do
        # What somebody else has put there stays, and what cannot be linked is no reason to fail.
        if [ ! -e "$to/lib/shimmy/share/$file" ] || [ -e "$to/share/$file" ] || [ -L "$to/share/$file" ]; then continue; fi
        if mkdir -p "$to/share/${file%/*}" 2>/dev/null && ln -s "../../../lib/shimmy/share/$file" "$to/share/$file" 2>/dev/null; then
            # One of the folders may be a link itself, and lead elsewhere.
            if [ ! -e "$to/share/$file" ]; then rm -f "$to/share/$file"; fi
        fi
    done
    echo "Shimmy $version is in $to/lib/shimmy ($name)"
    case ":$PATH:" in
        *":$to/bin:"*) echo "Start it: shimmy serve" ;;
        *) echo "Start it: $to/bin/shimmy serve   (or put $to/bin into your PATH: export PATH=\"$to/bin:\$PATH\")" ;;
    esac
    # The program looks for OpenSSL before a command that needs it, as this one; without a name it does nothing more.
    said=$("$to/lib/shimmy/shimmy" pull 2>&1) || true
    case "$said" in *OpenSSL*) echo "install.sh: ${said#*: }" >&2 ;; esac
}

main "$@"
