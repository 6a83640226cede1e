# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The vassals of one app: files that its Emperor watches, and what the Emperor and the vassals tell of themselves."""

from __future__ import annotations

import glob
import os
import re
import signal
import time
from contextlib import suppress
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils import _journal, _sleep, _uwsgi
from ansible_collections.emperor.web.plugins.module_utils._environment import (
    EnvironmentFileError,
    read_file,
    secret_values,
)
from ansible_collections.emperor.web.plugins.module_utils._files import has_mode, read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import account, run
from ansible_collections.emperor.web.plugins.module_utils._release import LIVE_ONLY, Layout

PAUSE = 0.1
# Seconds that a vassal which has served nobody gets to stop.
_GRACE = 3.0
# A file that ends so is not seen by the Emperor. The program live_only.py of role uwsgi uses the same ending.
PARKED = ".ini.stopped"
# Root writes it, the app's Emperor reads it.
_MODE = 0o640

# A traceback of an app may have more than a hundred lines, and its cause is the last of them.
_LOG_LINES = 400

_CAUSES = re.compile(
    r"[\w.]*(Error|Exception|Exit)\b|\[strict-mode\]|DAMN ! (worker|process)|.*\bkilled by the OOM killer|"
    r"\*\*\* HARAKIRI"
)


class Vassals:
    """What the Emperor of one app runs."""

    def __init__(self, options: dict[str, Any], layout: Layout) -> None:
        self.app: str = options["name"]
        self.layout = layout
        self.folder: str = options["vassals"] or f"/etc/uwsgi/emperor/{self.app}"
        self.run_directory: str = options["run_directory"] or f"/run/emperor/{self.app}"
        self.unit: str = options["unit"] or f"uwsgi-emperor@{self.app}"

    def ini(self, release: str) -> str:
        """The vassal's file."""
        return os.path.join(self.folder, f"{release}.ini")

    def socket(self, release: str) -> str:
        """Where the release takes requests."""
        return os.path.join(self.run_directory, f"{release}.sock")

    def text(self, release: str) -> str:
        """What the file of a release has to say; empty for a release that was never finished."""
        manifest = self.layout.manifest(release)
        if not manifest:
            return ""
        return _uwsgi.render(
            manifest.uwsgi,
            app=self.app,
            release=release,
            folder=self.layout.release(release),
            project=manifest.project,
            wsgi=manifest.wsgi,
            run=self.run_directory,
        )

    def others(self, release: str) -> list[str]:
        """All releases but this one that have a file, running or parked."""
        names = set()
        for ending in (".ini", PARKED):
            found = glob.glob(os.path.join(glob.escape(self.folder), f"*{ending}"))
            names |= {os.path.basename(path).removesuffix(ending) for path in found}
        return sorted(names - {release})

    def is_up_to_date(self, release: str) -> bool:
        """Whether the file is there, says what it has to, and only root can change it."""
        return read_text(self.ini(release)) == self.text(release) and has_mode(self.ini(release), _MODE)

    # Starting and stopping.

    def wake(self) -> None:
        """Have the Emperor run, if it is one that sleeps."""
        _sleep.wake(self.app, self.run_directory)

    def is_asleep(self) -> bool:
        """Whether nothing of the app runs until it is asked."""
        return _sleep.is_asleep(self.run_directory)

    def web_sockets(self) -> list[str]:
        """Where the web server asks the app: at the live release's link, or where an app that sleeps is woken."""
        return [os.path.join(self.layout.current, "live.sock"), _sleep.wake_socket(self.run_directory)]

    def start(self, release: str) -> None:
        """Have the Emperor run a release; one that runs already is left alone."""
        if not self.is_up_to_date(release):
            group = account(self.app).pw_gid
            write_atomic(self.ini(release), self.text(release), mode=_MODE, uid=0, gid=group)
        self._remove(release, PARKED)

    def park(self, release: str, seconds: float) -> None:
        """Stop a release gracefully, but keep its file where live_only.py finds it when the Emperor starts again."""
        self.drain(release, seconds)
        if os.path.exists(self.ini(release)):
            os.rename(self.ini(release), os.path.join(self.folder, release + PARKED))
        self._wait_until_gone(release, seconds)

    def schedule_return(self, seconds: float) -> str:
        """Have systemd start the live release again after a time, should this module be killed while nothing serves.

        Returns what systemd has against that, empty where it has nothing.
        """
        if not os.path.exists(LIVE_ONLY):  # a host without the role uwsgi
            return ""
        self.cancel_return()
        command = ["/usr/bin/python3", "-I", LIVE_ONLY, self.folder, self.layout.root]
        unit = [f"--unit={self._return_unit}", f"--on-active={seconds:.0f}s", "--timer-property=AccuracySec=1s"]
        outcome = run(["systemd-run", "--quiet", "--collect", *unit, *command], timeout=20)
        return (outcome.last_lines() or f"systemd-run ended with {outcome.rc}") if outcome.rc else ""

    def cancel_return(self) -> None:
        """Something serves again, or has been found good."""
        if os.path.exists(LIVE_ONLY):
            run(["systemctl", "stop", f"{self._return_unit}.timer"], timeout=20)

    @property
    def _return_unit(self) -> str:
        return f"emperor-return-{self.app}"

    def bring_back(self, release: str) -> None:
        """Start a release that was parked, with the very file that it had."""
        with suppress(FileNotFoundError):
            os.rename(os.path.join(self.folder, release + PARKED), self.ini(release))
        if not os.path.exists(self.ini(release)):
            self.start(release)

    def stop(self, release: str, seconds: float, *, kill: bool = False) -> None:
        """Take a vassal's file away, and the Emperor stops it gracefully; kill one that serves nobody and hangs."""
        parked = self._remove(release, PARKED)
        if not self._remove(release, ".ini") and not parked:
            return
        self._wait_until_gone(release, min(seconds, _GRACE) if kill else seconds)
        process = self._entry(release).get("pid", 0)
        if kill and process and _parent(process) == (self.emperor() or {}).get("pid"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)  # its workers end with it (no-orphans)
            self._wait_until_gone(release, seconds)

    def _remove(self, release: str, ending: str) -> bool:
        try:
            os.unlink(os.path.join(self.folder, release + ending))
        except FileNotFoundError:
            return False
        return True

    def _wait_until_gone(self, release: str, seconds: float) -> None:
        """Return when the Emperor has seen the end of the vassal, and remove what a killed one leaves."""
        deadline = time.monotonic() + seconds
        while self._entry(release) and time.monotonic() < deadline:
            time.sleep(PAUSE)
        if not self._entry(release):
            for path in (self.socket(release), self._stats_socket(release)):
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def _entry(self, release: str) -> dict[str, Any]:
        """What the Emperor says of a vassal that it runs; empty where it runs none."""
        listed = (self.emperor() or {}).get("vassals", [])
        return next((entry for entry in listed if entry.get("id", "").endswith(f"/{release}.ini")), {})

    def drain(self, release: str, seconds: float) -> None:
        """Wait until nothing is in flight: the socket's queue is empty and no worker is busy."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(2 * PAUSE)
            stats = self.stats(release)
            if not stats:
                return
            busy = [worker for worker in stats.get("workers", []) if worker.get("status") == "busy"]
            if not busy and not stats.get("listen_queue"):
                return

    # What they tell.

    def emperor(self) -> dict[str, Any] | None:
        """The Emperor's statistics, or None where it does not run."""
        return _uwsgi.read_stats(os.path.join(self.run_directory, "emperor.stats"))

    def stats(self, release: str) -> dict[str, Any] | None:
        """The statistics of one vassal, or None where it does not run."""
        return _uwsgi.read_stats(self._stats_socket(release))

    def _stats_socket(self, release: str) -> str:
        return os.path.join(self.run_directory, f"{release}.stats")

    def processes(self, release: str) -> list[int]:
        """Ids of the master and its workers."""
        stats = self.stats(release) or {}
        ids = [stats.get("pid", 0), *(worker.get("pid", 0) for worker in stats.get("workers", []))]
        return [pid for pid in ids if pid]

    def deaths(self, release: str) -> tuple[int, int]:
        """How often the vassal has died: before it served anything, and after that, as the Emperor counts."""
        stats = self.emperor() or {}
        mine = {
            kind: [entry for entry in stats.get(kind, []) if entry.get("id", "").endswith(f"/{release}.ini")]
            for kind in ("blacklist", "vassals")
        }
        # uWSGI counts the first death in its blacklist as attempt 0.
        return (
            max((entry.get("attempt", 0) + 1 for entry in mine["blacklist"]), default=0),
            max((entry.get("respawns", 0) for entry in mine["vassals"]), default=0),
        )

    def respawns(self, release: str) -> int:
        """How often workers of the vassal had to be started again; the first start of each is not counted."""
        workers = (self.stats(release) or {}).get("workers", [])
        return sum(max(0, worker.get("respawn_count", 0) - 1) for worker in workers)

    def largest_worker(self, release: str) -> int:
        """Bytes of memory of the worker that has the most; those that have not served yet tell nothing."""
        workers = (self.stats(release) or {}).get("workers", [])
        return max((worker.get("rss", 0) for worker in workers), default=0)

    def log(self, since: float, release: str) -> list[str]:
        """What the Emperor and its vassals wrote, without the app's secrets."""
        lines = _journal.lines_since(since - 1, f"--unit={self.unit}")[-_LOG_LINES:]
        return self.without_secrets("\n".join(lines), release).splitlines()

    def without_secrets(self, text: str, release: str) -> str:
        """A text in which the values of the release's secret variables are asterisks."""
        try:
            environment = read_file(os.path.join(self.layout.release(release), "env"))
        except EnvironmentFileError:
            return ""  # nobody knows what is a secret
        for secret in secret_values(environment):
            text = text.replace(secret, "********")
        return text


def _parent(process: int) -> int:
    found = re.search(r"^PPid:\s+(\d+)$", read_text(f"/proc/{process}/status") or "", re.MULTILINE)
    return int(found.group(1)) if found else 0


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended, and that its parent has not asked about yet, does not."""
    found = re.search(r"^State:\s+(\w)", read_text(f"/proc/{process}/status") or "", re.MULTILINE)
    return found is not None and found.group(1) not in "ZX"


def cause(log: list[str]) -> str:
    """The last line of a log that says why something died; empty where none does."""
    return next((line for line in reversed(log) if _CAUSES.match(line)), "")
