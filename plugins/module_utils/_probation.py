# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Whether a release keeps well after it went live: its errors in the web server's log, its deaths at the Emperor."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from typing import IO

from ansible_collections.emperor.web.plugins.module_utils._health import Health

_PAUSE = 0.2
# "request" status bytes … upstream's address, upstream's release: as role nginx writes it. Nginx escapes quotes.
_LINE = re.compile(r'\] "[^"]*" (?P<status>\d{3}) \d+ .* (?P<upstream>\S+) (?P<release>\S+)$')


class AccessLog:
    """What is added to a log from now on, also when it is rotated."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.handle: IO[bytes] | None = self._open()
        if self.handle:
            self.handle.seek(0, os.SEEK_END)
        self.rest = b""

    def _open(self) -> IO[bytes] | None:
        try:
            return open(self.path, "rb")
        except FileNotFoundError:
            return None

    def new_lines(self) -> list[str]:
        """Whole lines that were written since the last call."""
        data = self.rest + self._read()
        # A renamed log may be written to until the web server opens the new one, so it is read once more first.
        if self._rotated():
            if self.handle:
                self.handle.close()
            self.handle = self._open()
            data += self._read()
        lines, _newline, self.rest = data.rpartition(b"\n")
        return lines.decode("utf-8", "replace").splitlines()

    def _read(self) -> bytes:
        if not self.handle:
            return b""
        if os.fstat(self.handle.fileno()).st_size < self.handle.tell():
            self.handle.seek(0)  # logrotate's copytruncate
        return self.handle.read()

    def _rotated(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        return not self.handle or not os.path.samestat(there, os.fstat(self.handle.fileno()))

    def close(self) -> None:
        """Give the file back."""
        if self.handle:
            self.handle.close()


@dataclass(frozen=True)
class Request:
    """What a line tells of one request."""

    status: int
    upstream: str
    release: str


def parse(line: str) -> Request | None:
    """A line of the log, or None where it has another form."""
    if line.startswith("{"):
        return _parse_json(line)
    found = _LINE.search(line)
    return Request(int(found["status"]), found["upstream"], found["release"]) if found else None


def _parse_json(line: str) -> Request | None:
    try:
        found = json.loads(line)
        # Nginx writes nothing, where its text has a dash.
        return Request(int(found["status"]), found["upstream"] or "-", found["release"] or "-")
    except (ValueError, KeyError, TypeError):
        return None


def watch(health: Health, log: AccessLog, addresses: list[str], *, seconds: float, errors: int) -> int:
    """Return how many requests the release has answered; raise when it has died, or has given too many errors.

    An error for which the app's socket gave no answer, so that no release is named, counts as well.
    """
    nobodys = [("-", f"unix:{address}") for address in addresses]
    deadline = time.monotonic() + seconds
    answered, found = 0, []
    while True:
        over = time.monotonic() >= deadline
        for line in log.new_lines():
            request = parse(line)
            if not request:
                continue
            mine = request.release == health.release
            answered += mine
            if request.status >= 500 and (mine or (request.release, request.upstream) in nobodys):
                found.append(line)
        if len(found) >= errors:
            what = f"gave {len(found)} server errors in its probation of {seconds:g} s, probation_errors is {errors}"
            health.fail(what, found[-5:])
        health.notice_the_end("died in its probation")
        if over:
            return answered
        time.sleep(_PAUSE)
