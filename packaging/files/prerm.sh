#!/bin/sh
# The service ends with the package, and stays enabled for when it comes back; an upgrade leaves it running, and postinst starts it again.
set -e
case "${1:-0}" in
    remove | 0)
        if [ -d /run/systemd/system ]; then systemctl stop shimmy.service >/dev/null 2>&1 || true; fi ;;
esac
exit 0
