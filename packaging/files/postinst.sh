#!/bin/sh
# The user of the service. Nothing is started (systemctl enable --now shimmy does that), but what runs is started again: its files are new.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers shimmy.conf
else
    if ! getent passwd shimmy >/dev/null 2>&1; then
        useradd --system --user-group --home-dir /var/lib/shimmy --no-create-home --shell /usr/sbin/nologin shimmy
    fi
    # Those of the devices of GPUs, where the system has them.
    for group in render video; do
        if getent group "$group" >/dev/null 2>&1; then usermod -a -G "$group" shimmy; fi
    done
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    systemctl try-restart shimmy.service || true
fi
exit 0
