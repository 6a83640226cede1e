# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Have the workers of an app wait, with requests queued in its socket, and let them go on.

uWSGI's master does both by the same signal, so what it has been told is kept in a record, and what its statistics show
counts more than that. A timer of systemd ends a pause whose owner is gone: it runs this file, so nothing but the
standard library is imported.
"""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_POLL = 0.05
_EVIDENCE_SECONDS = 10.0


class PauseError(Exception):
    """The app cannot be paused, or let go on; the text says why and what to do."""


class Pause:
    """The pause of one app; FOLDER is root's, and holds the record and the folder of the app's sockets."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.folder = folder
        self.record_path = os.path.join(folder, f"{name}.pause")
        self.unit = f"emperor-resume-{name}"

    def is_paused(self) -> bool:
        """Whether a pause is on record, and its master still the same."""
        return bool(self._record())

    def start(self, stats_path: str, seconds: int, drain: float) -> None:
        """Pause, at most for the given seconds; returns when no request is being worked on."""
        with self._locked():
            stats = self._stats(stats_path)
            self._arm(seconds)
            self._write({"pid": stats["pid"], "started": started(stats["pid"]), "stats": stats_path})
            try:
                if not any(worker["status"] == "pause" for worker in stats["workers"]):  # by somebody's hand
                    self._toggle(stats["pid"])
            except PauseError:
                os.unlink(self.record_path)
                self.disarm()
                raise
        try:
            self._drain(stats_path, drain)
        except PauseError:
            self.end()
            self.disarm()
            raise

    def _drain(self, stats_path: str, seconds: float) -> None:
        """Wait until no worker has a request."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(_POLL)
            workers = self._stats(stats_path)["workers"]
            if all(worker["status"] in ("pause", "cheap") for worker in workers):
                self._wake(workers)  # one that was about to look for a request would take one more
                return
        raise PauseError(
            f"requests were still being worked on after {seconds:g} s, so it goes on; pause at a quieter time, or give "
            f"drain more seconds"
        )

    def end(self) -> bool:
        """Let the app go on; False where it was not paused."""
        with self._locked():
            record = self._record()
            if not record:
                with suppress(FileNotFoundError):
                    os.unlink(self.record_path)
                return False
            # Without evidence, as all workers are busy, the record counts at first, and later the signal that was sent.
            if self._shows_pause(record, seconds=_EVIDENCE_SECONDS, otherwise=True):
                self._toggle(record["pid"])
                time.sleep(2 * _POLL)
                if self._shows_pause(record, seconds=1, otherwise=False):
                    raise PauseError(f"it does not go on; restart it: systemctl restart uwsgi-emperor@{self.name}")
                # One that was about to wait when the signal came has not noticed.
                self._wake((read_stats(record["stats"]) or {"workers": []})["workers"])
            os.unlink(self.record_path)
        return True

    def disarm(self) -> None:
        """Stop the timer, which has nothing to do any more."""
        command = ["systemctl", "stop", f"{self.unit}.timer"]
        # Also in a timer of systemd, without Ansible.
        subprocess.run(command, capture_output=True, check=False)  # pylint: disable=ansible-bad-function

    def _shows_pause(self, record: dict[str, Any], *, seconds: float, otherwise: bool) -> bool:
        """Whether the workers wait; workers that are all busy do not show it before one has finished."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            stats = read_stats(record["stats"])
            if stats and stats["pid"] != record["pid"]:
                return False
            states = {worker["status"] for worker in stats["workers"]} if stats else set()
            if states & {"pause", "idle"}:
                return "pause" in states
            time.sleep(_POLL)
        return otherwise

    def _stats(self, path: str) -> dict[str, Any]:
        stats = read_stats(path)
        if not stats:
            raise PauseError(f"its vassal does not answer on {path}; see systemctl status uwsgi-emperor@{self.name}")
        if any(len(worker.get("cores", [])) > 1 for worker in stats["workers"]):
            raise PauseError(
                "its workers have threads, and uWSGI lets each thread take one more request before it pauses; "
                "close the site with state=on instead, or run it with processes only"
            )
        return stats

    def _toggle(self, pid: int) -> None:
        if not self._signal(pid):
            raise PauseError("its uWSGI master ended meanwhile; run again")

    def _wake(self, workers: list[dict[str, Any]]) -> None:
        """Have workers look at what they have been told; one that was just born still takes signals as its master."""
        time.sleep(_POLL)
        for worker in workers:
            if worker["pid"] and time.time() - worker["last_spawn"] > 2:
                self._signal(worker["pid"])
        time.sleep(_POLL)

    def _signal(self, pid: int) -> bool:
        """Signal a process of the app's; what the app says about itself must not make root signal another one."""
        try:
            process = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            if os.stat(f"/proc/{pid}").st_uid != pwd.getpwnam(self.name).pw_uid:
                raise PauseError(f"process {pid}, which its statistics name, is not one of user {self.name}")
            signal.pidfd_send_signal(process, signal.SIGTSTP)
            return True
        except (ProcessLookupError, FileNotFoundError):
            return False
        finally:
            os.close(process)

    def _arm(self, seconds: int) -> None:
        """Have systemd end the pause, whatever becomes of this process."""
        self.disarm()
        program = os.path.join(self.folder, "resume.py")
        with open(f"{program}.{os.getpid()}", "w", encoding="utf-8") as handle:
            # On a target this file is inside a zip archive, which is gone when the timer strikes.
            handle.write(inspect.getsource(sys.modules[__name__]))
        os.rename(handle.name, program)
        command = ["systemd-run", "--quiet", "--collect", f"--unit={self.unit}", f"--on-active={seconds}s"]
        command += ["--timer-property=AccuracySec=100ms", "--property=Restart=on-failure", "--property=RestartSec=1"]
        command += [sys.executable, "-I", program, self.name, self.folder]
        # What this file imports has to be there in the timer too.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PauseError(
                f"systemd takes no timer that would end the pause, so there is none: {done.stderr.strip()}"
            )

    def _record(self) -> dict[str, Any]:
        """The pause on record; none if the master that it was asked of is gone."""
        try:
            with open(self.record_path, encoding="utf-8") as handle:
                record = json.load(handle)
        except (FileNotFoundError, ValueError):
            return {}
        return record if record["started"] and started(record["pid"]) == record["started"] else {}

    def _write(self, record: dict[str, Any]) -> None:
        with open(self.record_path, "w", encoding="utf-8") as handle:
            json.dump(record, handle)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let nobody else signal meanwhile: a second signal would undo the first."""
        with open(os.path.join(self.folder, f"{self.name}.pause-lock"), "w", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def started(pid: int) -> str:
    """When a process was started, in the system's own count, empty if it is gone; numbers of processes come again."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            state, *rest = handle.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else rest[18]


def read_stats(path: str) -> dict[str, Any] | None:
    """What a stats socket says, or None where nobody answers on it."""
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            connection.connect(path)
            while block := connection.recv(1 << 16):
                data += block
        return json.loads(data.decode("utf-8", "replace"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    try:
        sys.stdout.write("resumed\n" if Pause(*sys.argv[1:]).end() else "was not paused\n")
    except PauseError as error:
        raise SystemExit(f"app {sys.argv[1]}: {error}") from None
