# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The units of the program that tells Prometheus how the apps are."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.emperor.web.plugins.module_utils import _emperor
from ansible_collections.emperor.web.plugins.module_utils._files import read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._release import PROGRAMS
from ansible_collections.emperor.web.plugins.module_utils._sleep import HARDENING

SOCKET, SERVICE = "emperor-metrics.socket", "emperor-metrics.service"

_SOCKET = """\
# Written by emperor.web.uwsgi_emperor; what is changed here is lost.
[Unit]
Description=Figures of the apps, for Prometheus

[Socket]
ListenStream={address}

[Install]
WantedBy=sockets.target
"""

_SERVICE = """\
# Written by emperor.web.uwsgi_emperor; what is changed here is lost.
[Unit]
Description=Tell Prometheus how the apps are
StartLimitIntervalSec=0

[Service]
# Another program is another unit, so that it is started: {digest}
ExecStart=/usr/bin/python3 -I {programs}/metrics.py
# A user of its own, with the web server's group, by which it gets to the statistics of all apps. That group may speak
# to their request sockets too; the program takes no input but the path of a request, and opens no network connection.
DynamicUser=yes
SupplementaryGroups={web_group}
Restart=on-failure
RestartSec=1
SyslogIdentifier=emperor-metrics
MemoryMax=256M
TasksMax=64
PrivateNetwork=yes
ProcSubset=pid
IPAddressDeny=any
IPAddressAllow=localhost
{hardening}"""


def problem_of(address: str) -> str:
    """What is wrong with an address; empty where nothing is."""
    found = re.fullmatch(r"(?:\[(.+)\]|([0-9.]+)):(\d{1,5})", address)
    try:
        good = found and ipaddress.ip_address(found[1] or found[2]).is_loopback and 0 < int(found[3]) < 65536
    except ValueError:
        good = False
    if good or not address:
        return ""
    return (
        f"metrics is {address!r}; write an address of this host's loopback interface and a port, for example "
        f"127.0.0.1:9117, because anybody who reaches it can read the figures"
    )


@dataclass
class Metrics:
    """Where the figures are told; no address means nowhere."""

    address: str
    web_group: str
    units: str = "/etc/systemd/system"

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and wanted content of each file, which is empty for one that is to go."""
        digest = hashlib.sha256((read_text(f"{PROGRAMS}/metrics.py") or "").encode()).hexdigest()
        known = {
            "address": self.address,
            "web_group": self.web_group,
            "programs": PROGRAMS,
            "digest": digest,
            "hardening": HARDENING,
        }
        for unit, text in ((SOCKET, _SOCKET), (SERVICE, _SERVICE)):
            yield f"{self.units}/{unit}", text.format(**known) if self.address else ""

    def wrong_files(self) -> list[tuple[str, str, str]]:
        """Path, content before and wanted content of each file that is not as it should be."""
        found = [(path, read_text(path) or "", text) for path, text in self.files()]
        return [(path, before, text) for path, before, text in found if before != text]

    def settle(self, dry_run: bool) -> list[str]:
        """Have the figures told, or not; what was done, in words."""
        wrong = self.wrong_files()
        state = _emperor.unit_states([SOCKET])[SOCKET]
        runs = state["ActiveState"] == "active" and state["UnitFileState"] == "enabled"
        if not wrong and runs == bool(self.address):
            return []
        if not dry_run:
            self._apply(wrong)
        done = [f"{path} {'written' if text else 'removed'}" for path, _before, text in wrong]
        return [*done, f"{SOCKET} {'enabled and started' if self.address else 'stopped and disabled'}"]

    def _apply(self, wrong: list[tuple[str, str, str]]) -> None:
        """A socket listens where it did until it is started again."""
        if any(os.path.exists(path) for path, _text in self.files()):
            _emperor._call("systemctl", "disable", "--now", SOCKET)
            _emperor._call("systemctl", "stop", SERVICE)
        for path, _before, text in wrong:
            if text:
                write_atomic(path, text)
            else:
                os.unlink(path)
        _emperor._call("systemctl", "daemon-reload")
        if self.address:
            _emperor._call("systemctl", "enable", "--now", SOCKET)
