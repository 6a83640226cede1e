# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Apps that sleep: systemd holds a socket for one, and the first request to it starts what the app needs.

The socket leads to a proxy of systemd's, which connects to the live release's own socket, so that a release goes live
as ever. When nobody has asked for long enough the proxy ends, and the Emperor is stopped. What comes in at that moment
waits in the socket's queue and wakes the app again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ansible_collections.emperor.web.plugins.module_utils import _uwsgi
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._release import PROGRAMS
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import DEFAULTS

if TYPE_CHECKING:
    from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor

PROGRAM = f"{PROGRAMS}/sleep.py"
# Longer than the program takes to stop an Emperor that hangs, and then to start it.
_WAKE_SECONDS = 120
# For what has started to tell how it is; a vassal does so when it has loaded its app.
_NEWS_SECONDS = 30

_SOCKET = """\
{head}[Unit]
Description=Requests for {name}, which may be asleep

[Socket]
ExecStartPre=/usr/bin/install --directory --group={web_group} --mode=0751 {sockets}
ListenStream={sockets}/{name}.wake
# Nobody but the web server may ask.
SocketUser=root
SocketGroup={web_group}
SocketMode=0660
# As long as the queue of the app's own socket.
Backlog={backlog}
RemoveOnStop=yes
# Never give up listening: an app that cannot start has to be asked again some day.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""

# For programs of the collection and of systemd's, which need no more than Unix sockets.
HARDENING = """\
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
MemoryDenyWriteExecute=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""

_SERVICE = """\
{head}[Unit]
Description=The way to {name}, which is awake as long as this runs
StartLimitIntervalSec=0

[Service]
User={name}
Group={name}
ExecStartPre=-+/usr/bin/python3 -I {program} wake {name} "{root}"
# The limit of connections is for what it takes, six descriptors each; Nginx's own is lower.
ExecStart=/usr/lib/systemd/systemd-socket-proxyd --exit-idle-time={sleep}s --connections-max=10000 \\
  "{root}/current/live.sock"
ExecStopPost=-+/usr/bin/python3 -I {program} rest {name} "{root}"
Restart=on-failure
RestartSec=100ms
TimeoutStartSec={timeout}
TimeoutStopSec={timeout}
LimitNOFILE=65536
SyslogIdentifier={name}
{hardening}"""


def socket_unit(app: str) -> str:
    """The unit that listens."""
    return f"emperor-wake@{app}.socket"


def service_unit(app: str) -> str:
    """The unit that runs while the app is awake."""
    return f"emperor-wake@{app}.service"


def files(emperor: Emperor) -> Iterator[tuple[str, str, int]]:
    """Path, content and mode of each file that an app needs to sleep."""
    known = {
        "head": "# Written by emperor.web.uwsgi_emperor; what is changed here is lost.\n",
        "name": emperor.name,
        "root": emperor.root,
        "sleep": emperor.sleep,
        "sockets": emperor.sockets,
        "web_group": emperor.web_group,
        "backlog": emperor.listen or DEFAULTS["listen"],
        "program": PROGRAM,
        "hardening": HARDENING,
        "timeout": _WAKE_SECONDS,
    }
    for unit, text in ((socket_unit(emperor.name), _SOCKET), (service_unit(emperor.name), _SERVICE)):
        yield f"{emperor.units}/{unit}", text.format(**known), 0o644


def wake_socket(run_directory: str) -> str:
    """Where an app that sleeps is asked, by the folder of its own sockets."""
    return f"{run_directory}.wake"


def is_asleep(run_directory: str) -> bool:
    """Whether an app's socket is held for it, and nothing of it runs."""
    held = os.path.exists(wake_socket(run_directory))
    return held and not _uwsgi.read_stats(os.path.join(run_directory, "emperor.stats"))


def wake(app: str, run_directory: str, release: str = "emperor") -> None:
    """Have an app that may sleep be awake, so that its Emperor, or a release, tells how it is.

    One that is just falling asleep has done so, and is up again, when this returns. Under its deploy lock, or with a
    pause on record, it stays awake.
    """
    if os.path.exists(wake_socket(run_directory)):
        run(["systemctl", "start", service_unit(app)], timeout=2 * _WAKE_SECONDS)
        deadline = time.monotonic() + _NEWS_SECONDS
        stats = os.path.join(run_directory, f"{release}.stats")
        while not _uwsgi.read_stats(stats) and time.monotonic() < deadline:
            time.sleep(0.1)
