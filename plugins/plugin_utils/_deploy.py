# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's action plugins only; it may change in any release.

"""The controller's part of the deploy lock: which run this is, and whether another one from here still lives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder, gone, run_of
from ansible_collections.emperor.web.plugins.plugin_utils._filters import load_filters

load_filters()

# Of several apps: options, or answers, by the name of the app.
Calls = dict[str, dict[str, Any]]

_PAUSE = 2.0


class DeployAction(ActionBase):
    """Run a module that works under the deploy lock; waits, here and not on the host, while another run holds it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The process of the playbook itself has forked this one.
        self._playbook = os.getppid()

    def run_locked(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module until it has got the lock or has waited for as long as C(lock_wait) says."""
        return self.run_each_locked({"": arguments}, self.alone(task_vars))[""]

    def alone(self, task_vars: dict[str, Any] | None) -> Callable[[Calls], Calls]:
        """What executes a module for one app, whose call has no name."""
        return lambda calls: {"": self._execute_module(module_args=calls[""], task_vars=task_vars)}

    def announce(self) -> Holder:
        """Which run this is; others can see on the host from now on that a task of it is at work there."""
        mine = run_of(self._playbook)
        there = self._task.environment or []
        if {VARIABLE: mine.token} not in there:
            self._task.environment = [*there, {VARIABLE: mine.token}]
        return mine

    def run_each_locked(self, calls: Calls, execute: Callable[[Calls], Calls]) -> Calls:
        """Answers by app. C(execute) does as many of the calls as it can, and is asked again for those that it left."""
        mine = self.announce()
        calls = {app: arguments | {"holder": asdict(mine)} for app, arguments in calls.items()}
        answers: Calls = {}
        waiting_since: dict[str, float] = {}
        while left := [app for app in calls if app not in answers]:
            if os.getppid() != self._playbook:
                raise AnsibleError("ansible-playbook was killed, so this task of it goes no further")
            pause = 0.0
            for app, answer in execute({app: calls[app] for app in left}).items():
                busy = answer.pop("busy", None)
                if not busy:
                    answers[app] = answer | {"deploy": mine.token}
                    continue
                other = Holder(**busy)
                if gone(other) and calls[app].get("ended") != other.token:
                    calls[app]["ended"] = other.token
                    continue
                told, now = app in waiting_since, time.monotonic()
                waited = now - waiting_since.setdefault(app, now)
                # The module has checked the option before it looked for the lock.
                rest = float(calls[app].get("lock_wait", 600)) - waited
                if rest <= 0:
                    refusal = {"msg": f"{answer['msg']} (waited {waited:.0f} s)", "locked_by": str(other)}
                    answers[app] = answer | refusal | {"deploy": mine.token}
                    continue
                if not told:
                    Display().display(f"waiting for {other}, at most {rest:.0f} s")
                pause = min(_PAUSE, rest)
            time.sleep(pause)
        return answers


class LockedAction(DeployAction):
    """The controller's part of a module for one app: it tells the module which run this is, and waits for the lock."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module."""
        return super().run(tmp, task_vars) | self.run_locked(dict(self._task.args), task_vars)
