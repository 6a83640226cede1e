# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's action plugins only; it may change in any release.

"""The controller's part of the deploy lock: which run this is, and whether another one from here still lives."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder, gone, run_of

_PAUSE = 2.0


class DeployAction(ActionBase):
    """Run a module that works under the deploy lock; waits, here and not on the host, while another run holds it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The process of the playbook itself has forked this one.
        self._playbook = os.getppid()

    def run_locked(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module until it has got the lock or has waited for as long as C(lock_wait) says."""
        mine = run_of(self._playbook)
        arguments = arguments | {"holder": asdict(mine)}
        # So that others can see on the host that a task of this run is at work there.
        there = self._task.environment or []
        if {VARIABLE: mine.token} not in there:
            self._task.environment = [*there, {VARIABLE: mine.token}]
        started = time.monotonic()
        told = False
        while True:
            if os.getppid() != self._playbook:
                raise AnsibleError("ansible-playbook was killed, so this task of it goes no further")
            answer = self._execute_module(module_args=arguments, task_vars=task_vars) | {"deploy": mine.token}
            busy = answer.pop("busy", None)
            if not busy:
                return answer
            other = Holder(**busy)
            if gone(other) and arguments.get("ended") != other.token:
                arguments["ended"] = other.token
                continue
            waited = time.monotonic() - started
            # The module has checked the option before it looked for the lock.
            left = float(arguments.get("lock_wait", 600)) - waited
            if left <= 0:
                return answer | {"msg": f"{answer['msg']} (waited {waited:.0f} s)", "locked_by": str(other)}
            if not told:
                Display().display(f"waiting for {other}, at most {left:.0f} s")
                told = True
            time.sleep(min(_PAUSE, left))
