# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Take an app off a host: its processes first, then what can be made again, and its data only when that is asked."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from ansible_collections.emperor.web.plugins.module_utils import _emperor, _sleep
from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor, EmperorError, unit_states
from ansible_collections.emperor.web.plugins.module_utils._files import read_text
from ansible_collections.emperor.web.plugins.module_utils._lock import Busy, Lock, run_of
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._prune import remove
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

# In an app's folder, what a deploy makes again. The rest stays: uploads, database, secret key, history.
_MADE_AGAIN = ("current", "releases", "venvs", "static", "repo.git", "cache", "known_hosts", "maintenance")
# A unit gets 45 s to stop before systemd kills what is left of it, and sleepers have two of them.
_STOP_SECONDS = 120


def problem_of(emperor: Emperor) -> str:
    """What is wrong with what is asked for; empty where nothing is."""
    if emperor.purge and emperor.state != "absent":
        return f"app {emperor.name}: purge removes all its data and is for state=absent only"
    root = emperor.root or ""
    if emperor.purge and root and (os.path.basename(root.rstrip("/")) != emperor.name or root.count("/") < 2):
        return (
            f"app {emperor.name}: purge would remove {root} with all that is in it, which is not named after the app; "
            f"give a root that ends with /{emperor.name}, or remove the folder by hand"
        )
    return ""


class Removal:
    """One app on its way off the host."""

    def __init__(self, emperor: Emperor) -> None:
        self.emperor = emperor
        self.name = emperor.name
        self.layout = Layout(emperor.root) if emperor.root else None

    # What there is to remove, in the order in which it goes.

    def active(self) -> list[str]:
        """Units that run. The socket goes first, so that nothing wakes the app again."""
        return [unit for unit, state in self._states().items() if state["ActiveState"] not in ("inactive", "failed")]

    def enabled(self) -> list[str]:
        """Units that a boot would start."""
        return [unit for unit, state in self._states().items() if state["UnitFileState"] == "enabled"]

    def _states(self) -> dict[str, dict[str, str]]:
        timers = [f"emperor-{what}-{self.name}.timer" for what in ("return", "resume")]
        return unit_states([_sleep.socket_unit(self.name), *timers, self.emperor.unit, _sleep.service_unit(self.name)])

    def paths(self) -> list[str]:
        """Files and folders of the app's processes, and what a deploy makes again; with purge all."""
        emperor, sockets = self.emperor, self.emperor.sockets
        found = [*(f"{emperor.units}/{unit}.d" for unit in (emperor.unit, _sleep.service_unit(self.name)))]
        found += [path for path, _content, _mode in _sleep.files(emperor)]
        found += [f"{emperor.commands}/{self.name}-manage", f"{emperor.vassals}/{self.name}"]
        found += [f"{sockets}/{self.name}{end}" for end in ("", ".wake", ".pause", ".pause-lock")]
        if self.layout:
            found += [os.path.join(self.layout.root, name) for name in _MADE_AGAIN]
            found += [self.layout.root] if emperor.purge else []
        return [path for path in found if os.path.lexists(path)]

    def accounts(self) -> list[str]:
        """The user and the group, which stay as long as files belong to them."""
        if not self.emperor.purge:
            return []
        user = [f"user {self.name}"] if _emperor._entry(self.name) else []
        return user + ([f"group {self.name}"] if _emperor._group(self.name) is not None else [])

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and content of the text files that go, for the diff."""
        for path in self.paths():
            folder = os.path.isdir(path) and path.endswith(".d")
            for each in [os.path.join(path, name) for name in sorted(os.listdir(path))] if folder else [path]:
                if each.startswith((self.emperor.units, self.emperor.commands)) and os.path.isfile(each):
                    yield each, read_text(each) or ""

    # The way there.

    def go(self, dry_run: bool) -> list[str]:
        """Do it; what was done, in words. Whatever fails, another run goes on from there."""
        active, enabled, paths, accounts = self.active(), self.enabled(), self.paths(), self.accounts()
        done = [f"{unit} stopped" for unit in active] + [f"{unit} disabled" for unit in enabled]
        done += [f"{path} removed" for path in paths] + [f"{account} removed" for account in accounts]
        if done and not dry_run:
            with self._locked():
                _emperor.wait_for_web_server()
                self._stop(active, enabled)
                self._refuse_processes()
                self._remove_ipc()
                self._remove_paths(paths)
            self._remove_accounts(accounts)
        return done

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Under the deploy lock, where there is a folder to deploy to."""
        if not self.layout or not os.path.isdir(self.layout.root):
            yield
            return
        lock, mine = Lock(self.name, self.layout.root), run_of(os.getpid())
        try:
            lock.acquire(mine)
        except Busy as busy:
            raise EmperorError(f"{busy}. Nothing of it was removed") from None
        try:
            yield
        finally:
            lock.release(mine.token)

    def _stop(self, active: list[str], enabled: list[str]) -> None:
        for unit in active:
            outcome = run(["systemctl", "stop", unit], timeout=_STOP_SECONDS)
            state = unit_states([unit])[unit]["ActiveState"]
            if state not in ("inactive", "failed"):
                said = outcome.last_lines() or f"it is {state} after {_STOP_SECONDS} s"
                raise EmperorError(
                    f"app {self.name}: {unit} does not stop: {said}. Its files and its data are as they were; see "
                    f"systemctl status {unit}, and run again"
                )
        if enabled:
            _emperor._call("systemctl", "disable", *enabled)
        run(["systemctl", "reset-failed", self.emperor.unit, _sleep.service_unit(self.name)], timeout=20)

    def _refuse_processes(self) -> None:
        """With purge the user goes, so nothing may run as it; its data is there until then."""
        user = _emperor._entry(self.name)
        if not self.emperor.purge or not user:
            return
        for number in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{number}").st_uid == user.pw_uid:
                    what = (read_text(f"/proc/{number}/cmdline") or "").replace("\0", " ").strip()
                    raise EmperorError(
                        f"app {self.name}: process {number} ({what or 'unknown'}) still runs as user {self.name}; end "
                        f"it and run again. Its data is as it was"
                    )

    def _remove_ipc(self) -> None:
        """Shared memory and semaphores outlive the processes that made them."""
        user = _emperor._entry(self.name)
        if not user:
            return
        for kind, option in (("shm", "--shmem-id"), ("sem", "--semaphore-id"), ("msg", "--queue-id")):
            header, *rows = (read_text(f"/proc/sysvipc/{kind}") or "\n").splitlines()
            for row in rows:
                entry = dict(zip(header.split(), row.split(), strict=True))
                if entry["uid"] == str(user.pw_uid):
                    run(["ipcrm", option, entry[f"{kind}id"]], timeout=20)
        for name in os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []:
            with contextlib.suppress(OSError):
                if os.lstat(f"/dev/shm/{name}").st_uid == user.pw_uid:
                    os.unlink(f"/dev/shm/{name}")

    def _remove_paths(self, paths: list[str]) -> None:
        for path in paths:
            if self.layout and path in (self.layout.releases, self.layout.venvs):
                for name in os.listdir(path):
                    remove(os.path.join(path, name))  # one that is only half removed must not pass for a finished one
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        if any(path.startswith(self.emperor.units) for path in paths):
            _emperor._call("systemctl", "daemon-reload")

    def _remove_accounts(self, accounts: list[str]) -> None:
        if f"user {self.name}" in accounts:
            _emperor._call("userdel", self.name)
        if accounts and _emperor._group(self.name) is not None:  # userdel takes the group along on most hosts
            _emperor._call("groupdel", self.name)
