# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What modules do, done for several apps: each in a process of its own, with options and a result of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Hashable
from typing import IO, Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values

Main = Callable[..., None]

_PR_SET_PDEATHSIG = 1
# More at a time would need more memory than time is won.
_MOST = 4


def usual_parallel() -> int:
    """How many work at a time where nobody says it."""
    return min(len(os.sched_getaffinity(0)), _MOST)


def told(app: str, message: str) -> str:
    """A message that says of which app it is; of no app as it is."""
    return message if not app or message.startswith(f"app {app}") else f"app {app}: {message}"


class Part(AnsibleModule):
    """The module for one app; it has the options that it was given, and its result goes into a file."""

    def __init__(self, name: str, given: dict[str, Any], result: IO[str], **kwargs: Any) -> None:
        # The journal has its options under the name of the module.
        self._given = given | {"_ansible_module_name": name}
        self._result = result
        self._told: list[str] = []
        super().__init__(**kwargs)

    def _load_params(self) -> None:
        super()._load_params()
        # Diff and the like are the same for all, and check mode is unless the call says otherwise.
        internal = {name: value for name, value in self.params.items() if name.startswith("_ansible_")}
        self.params: dict[str, Any] = internal | self._given

    def warn(self, warning: str, **_more: Any) -> None:
        """Keep a warning for the result."""
        self._told.append(warning)

    def exit_json(self, **kwargs: Any) -> NoReturn:
        """Write the result, without any secret."""
        result = {"changed": False} | kwargs | {"invocation": {"module_args": self.params}}
        if self._told:
            result["warnings"] = self._told
        json.dump(remove_values(result, self.no_log_values), self._result)
        raise SystemExit(0)

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        """Write the failure."""
        self.exit_json(failed=True, msg=msg, **kwargs)


class Pool:
    """Modules at work side by side, each in a process of its own."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._running: dict[int, tuple[Hashable, IO[str], float]] = {}

    def has_room(self) -> bool:
        """Whether one more may start."""
        return len(self._running) < self.most

    def is_at_work(self) -> bool:
        """Whether one has yet to end."""
        return bool(self._running)

    def start(self, key: Hashable, name: str, main: Main, given: dict[str, Any]) -> None:
        """Begin with one; C(wait) tells its result under the key."""
        file: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is read, and closed, when its process has ended
        self._running[_start(name, main, given, file)] = key, file, time.monotonic()

    def wait(self) -> tuple[Any, dict[str, Any]]:
        """The key and the result of the next one that ends."""
        pid, status = os.wait()
        while pid not in self._running:  # under Mitogen this process has other children, too
            pid, status = os.wait()
        key, file, started = self._running.pop(pid)
        with file:
            file.seek(0)
            return key, _read(file.read(), status) | {"took": round(time.monotonic() - started, 2)}


def run_each(name: str, main: Main, calls: dict[str, dict[str, Any]], parallel: int) -> dict[str, dict[str, Any]]:
    """Results of a module by app, of calls with their options by app.

    What finds another run at work on its app ends the series: who waits for one app must not hold others meanwhile.
    """
    waiting, pool = list(calls), Pool(parallel)
    results: dict[str, dict[str, Any]] = {}
    while waiting or pool.is_at_work():
        while waiting and pool.has_room():
            app = waiting.pop(0)
            pool.start(app, name, main, calls[app])
        app, result = pool.wait()
        results[app] = result
        if result.get("busy"):
            waiting.clear()
    return {app: results[app] for app in calls if app in results}


def _start(name: str, main: Main, given: dict[str, Any], file: IO[str]) -> int:
    """The id of a process that does it for one app."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Who kills the module means what it does; the process would go on by itself.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            main(lambda **kwargs: Part(name, given, file, **kwargs))
    except SystemExit:
        status = 0
    except BaseException as error:
        crash = {"failed": True, "msg": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        json.dump(crash, file)
        status = 0
    finally:
        with contextlib.suppress(OSError):
            file.flush()
        os._exit(status)


def _read(text: str, status: int) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError:
        ended = f"was killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended without a result"
        return {"failed": True, "changed": False, "msg": f"its process {ended}"}
