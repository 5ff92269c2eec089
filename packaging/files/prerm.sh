#!/bin/sh
# The service ends with the package; an upgrade leaves it running, and postinst starts it again.
set -e
case "${1:-0}" in
    remove | deconfigure | 0)
        if [ -d /run/systemd/system ]; then systemctl disable --now shimmy.service >/dev/null 2>&1 || true; fi ;;
esac
exit 0
