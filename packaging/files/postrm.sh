#!/bin/sh
# Purging takes what the service has written (conversions, state, and the models that it has pulled). What is mounted there, and what lies in
# the folder of models, stays: somebody has put it there.
set -e
empty() { # FOLDER: takes what is in it
    for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then continue; fi
        # A bind mount may be of the same file system.
        if grep -qFs -e " $path " -e " $path/" /proc/self/mountinfo; then
            echo "shimmy: something is mounted in $path, which stays" >&2
        elif [ "$path" = /var/lib/shimmy/models ] && [ -n "$(ls -A "$path" 2>/dev/null)" ]; then
            echo "shimmy: $path is not empty and stays" >&2
        else
            rm -rf --one-file-system "$path" || true
        fi
    done
    rmdir "$1" 2>/dev/null || true
}

# A package that is removed may come back (deb); one that is gone for good is not enabled (rpm, 0: the last one goes).
case "${1:-0}" in
    purge | 0)
        if command -v systemctl >/dev/null 2>&1; then systemctl --no-reload disable shimmy.service >/dev/null 2>&1 || true; fi
        # The unit's file is gone, of which some versions say no more.
        rm -f /etc/systemd/system/multi-user.target.wants/shimmy.service ;;
esac
if [ "${1:-0}" = purge ]; then
    empty /var/lib/shimmy
    empty /var/cache/shimmy
    rmdir /etc/shimmy 2>/dev/null || true
fi
# rpm leaves the folders that it made.
if [ "${1:-}" = 0 ]; then find /usr/lib/shimmy /etc/shimmy -depth -type d -empty -delete 2>/dev/null || true; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
exit 0
