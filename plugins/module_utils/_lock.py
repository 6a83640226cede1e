# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The deploy lock: at any time one run of Ansible works on the releases of an app on a host.

The lock is a file in the app's folder that names its holder, a run of C(ansible-playbook). It outlives the tasks of
that run, so a holder may be dead: its system can say so for sure (C(gone)); another one goes by what it sees on the
host, the processes of that run (they have C(VARIABLE) in their environment) and when it was last there.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._release import release_of

NAME = "deploy.lock"
# Seconds that a run may be away from the host, busy on another one, before a run from elsewhere takes it for dead.
LEASE = 300.0
# In the environment of a run's modules: the token of the run.
VARIABLE = "EMPEROR_DEPLOY"
# In the environment of what a module starts and waits for: the app's folder, and which process waits.
STEP = "EMPEROR_STEP"

LOCK_ARGUMENTS: dict[str, Any] = {
    "lock": {"type": "str", "choices": ["task", "run", "last"], "default": "task"},
    "lock_wait": {"type": "int", "default": 600},
    "holder": {"type": "dict"},
    "ended": {"type": "str", "no_log": False},
}


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, or wants it."""

    token: str
    by: str
    host: str
    system: str
    pid: int
    started: str
    what: str = ""
    since: float = 0.0
    seen: float = 0.0
    host_system: str = ""

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        return f"{self.by} from {self.host} (pid {self.pid}) since {since}{', ' if self.what else ''}{self.what}"


class Busy(Exception):
    """Another run holds the lock."""

    def __init__(self, app: str, holder: Holder, reason: str, path: str) -> None:
        super().__init__(
            f"app {app} is being deployed by {holder}{reason}; wait for that run to end and start again, or give a "
            f"larger lock_wait. If you know that it has ended, remove {path}"
        )
        self.holder = holder


class Lost(Exception):
    """The run has not, or not any more, the lock that it needs."""


def run_of(pid: int) -> Holder:
    """The run that a process of this system is."""
    system, started = this_system(), started_at(pid)
    token = hashlib.sha256(f"{system} {pid} {started}".encode()).hexdigest()[:16]
    try:
        by = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        by = f"user {os.getuid()}"
    return Holder(token=token, by=by, host=socket.gethostname(), system=system, pid=pid, started=started)


def gone(holder: Holder) -> bool:
    """Whether the run has ended for sure; of a run on another system this one cannot say."""
    return holder.system == this_system() and started_at(holder.pid) != holder.started


def this_system() -> str:
    """What tells one running system, in which process ids mean something, from all others; a host name does not."""
    boot = boot_id()
    if not boot:
        return f"{sys.platform} {uuid.getnode():x}"
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def boot_id() -> str:
    """Changes with each boot; empty where the system has none."""
    return (read_text("/proc/sys/kernel/random/boot_id") or "").strip()


def started_at(pid: int) -> str:
    """When a process was started, as its system counts; empty where it does not run. Process ids are used again."""
    if os.path.isdir("/proc/self"):
        text = read_text(f"/proc/{pid}/stat")
        state, *rest = text.rpartition(")")[2].split() if text else ("Z",)
        return "" if state in "ZX" else rest[18]
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    # Also on the controller, where there is no AnsibleModule.
    listed = subprocess.run(  # pylint: disable=ansible-bad-function
        command, capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


def step_variable(root: str) -> dict[str, str]:
    """Environment for a program that this process starts for an app and waits for."""
    return {STEP: f"{root} {os.getpid()} {started_at(os.getpid())}"}


def processes_with(variable: str) -> dict[int, str]:
    """The values that a variable has in the environment of this host's other processes."""
    found = {}
    wanted = f"{variable}=".encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for entry in environment_of(name).split(b"\0"):
            if entry.startswith(wanted):
                found[int(name)] = os.fsdecode(entry[len(wanted) :])
    return found


def environment_of(pid: str, patience: float = 1) -> bytes:
    """The environment of a process as the kernel has it; nothing of one that has ended.

    A program that is just being started has neither environment nor arguments yet, so that is waited for.
    """
    deadline = time.monotonic() + patience
    with contextlib.suppress(OSError):
        while True:
            if environment := Path(f"/proc/{pid}/environ").read_bytes():
                return environment
            if Path(f"/proc/{pid}/cmdline").read_bytes():
                return Path(f"/proc/{pid}/environ").read_bytes()
            os.readlink(f"/proc/{pid}/exe")  # which neither a thread of the kernel has nor a process that has ended
            if time.monotonic() > deadline:
                break
            time.sleep(0.001)
    return b""


def end_orphans(root: str, patience: float = 5) -> list[int]:
    """Kill what a module that was killed itself has left running: it would write where the next run builds."""
    killed: list[int] = []
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        # Again until there is none: one of them may have started another after the processes were listed.
        orphans = [pid for pid, step in processes_with(STEP).items() if _is_orphan(step, root)]
        if not orphans:
            break
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        while any(map(started_at, orphans)) and time.monotonic() < deadline:
            time.sleep(0.02)
    return killed


def _is_orphan(step: str, root: str) -> bool:
    folder, waiting, started = step.rsplit(" ", 2)
    return folder == root and started_at(int(waiting)) != started


@dataclass(frozen=True)
class Lock:
    """The deploy lock of one app on this host."""

    app: str
    root: str

    @property
    def path(self) -> str:
        return os.path.join(self.root, NAME)

    def holder(self) -> Holder | None:
        """Who holds it. What a full disk or a person has made of the file holds nothing."""
        known = {field.name for field in fields(Holder)}
        try:
            record = json.loads(read_text(self.path) or "null")
            return Holder(**{name: value for name, value in record.items() if name in known}) if record else None
        except (ValueError, TypeError, AttributeError):
            return None

    def acquire(self, mine: Holder, ended: str = "") -> bool:
        """Take the lock, or keep it; True where the run did not have it. C(ended) is a token of a run that is dead."""
        os.makedirs(self.root, mode=0o755, exist_ok=True)
        with self._guard():
            other = self.holder()
            if other and other.token == mine.token:
                self._write(replace(other, seen=time.time(), host_system=this_system()))
                return False
            if other:
                self._refuse(other, ended)
            end_orphans(self.root)
            for name in os.listdir(self.root):
                if name.endswith(".tmp"):  # a file or link that a killed run was about to put in place
                    os.unlink(os.path.join(self.root, name))
            now = time.time()
            self._write(replace(mine, since=now, seen=now, host_system=this_system()))
            return True

    def renew(self, token: str) -> Holder:
        """Note that the run is still there; raises Lost where it does not hold the lock any more."""
        with self._guard():
            other = self.holder()
            if not other or other.token != token:
                now = f"it is held by {other}" if other else "the run that took it has ended"
                raise Lost(
                    f"the deploy lock of app {self.app} is not this run's any more, {now}; nothing was changed by this "
                    f"task. See releases.jsonl in {self.root} for what is live, and start again"
                )
            self._write(replace(other, seen=time.time()))
            return other

    def release(self, token: str) -> bool:
        """Give the lock back; True where the run had it."""
        with self._guard():
            other = self.holder()
            if not other or other.token != token:
                return False
            os.unlink(self.path)
            return True

    def _refuse(self, other: Holder, ended: str) -> None:
        """Raise Busy unless the holder is dead and nothing of it is left on this host."""
        working = [pid for pid, token in processes_with(VARIABLE).items() if token == other.token]
        dead = ended == other.token or gone(other) or other.host_system != this_system()
        if working:
            was = (
                "that run was killed, but its task still runs on the host" if dead else "a task of it runs on the host"
            )
            raise Busy(self.app, other, f" ({was}, pid {working[0]})", self.path)
        if not dead and abs(time.time() - other.seen) < LEASE:
            raise Busy(self.app, other, "", self.path)

    def _write(self, holder: Holder) -> None:
        write_atomic(self.path, json.dumps(asdict(holder), indent=2, sort_keys=True) + "\n", mode=0o640)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """One process at a time looks at the file and changes it."""
        try:
            folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            yield  # nobody has deployed the app here
            return
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def lost(environment_file: str | None) -> str:
    """Why a run may not go on with a release, by the file of its environment; empty where it may, or has no lock."""
    token, found = os.environ.get(VARIABLE), release_of(environment_file)
    if not token or not found:
        return ""
    root = found[0].root
    try:
        Lock(os.path.basename(root), root).renew(token)
    except Lost as reason:
        return str(reason)
    return ""


@contextmanager
def locked(module: Any, root: str, *, app: str = "", what: str = "", take: bool = False) -> Iterator[Holder]:
    """Do something to an app's releases under its lock, as the module's options say; fails the module without it.

    The app is the option C(name) unless given. With C(lock=run) the run has to hold the lock, or takes it here
    (C(take)) and keeps it; with C(lock=last) it then gives it back, but not when it fails. Check mode takes none.
    """
    options = module.params
    app = app or options["name"]
    mine = replace(Holder(**options["holder"]) if options["holder"] else run_of(os.getpid()), what=what)
    if module.check_mode:
        yield mine
        return
    lock = Lock(app, root)
    try:
        if options["lock"] != "task" and not take:
            mine, taken = lock.renew(mine.token), False
        else:
            taken = lock.acquire(mine, options["ended"] or "")
    except Busy as busy:
        module.fail_json(msg=str(busy), busy=asdict(busy.holder))
    except Lost as lost_lock:
        module.fail_json(msg=str(lost_lock))
    except OSError as error:
        module.fail_json(msg=f"app {app}: {explain_os_error(error, root)}")
    try:
        yield mine
    finally:
        if taken and options["lock"] == "task":
            lock.release(mine.token)
    if options["lock"] == "last":
        lock.release(mine.token)
