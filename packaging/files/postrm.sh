#!/bin/sh
# Purging takes what the service has written (conversions and state, and models that were put into its folder) and the file of its API key.
set -e
if [ "${1:-0}" = purge ]; then
    rm -rf /var/lib/shimmy /var/cache/shimmy
    rm -f /etc/shimmy/environment
    rmdir /etc/shimmy 2>/dev/null || true
fi
# rpm (0: the last one goes) leaves the folders that it made.
if [ "${1:-}" = 0 ]; then find /usr/lib/shimmy /etc/shimmy -depth -type d -empty -delete 2>/dev/null || true; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
exit 0
