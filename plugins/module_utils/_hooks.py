# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Commands of the user's between the steps of a deployment, in the environment of the release that is on its way."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._lock import step_variable
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._release import LAUNCHER

STEPS = (
    "before_check",
    "after_check",
    "before_collectstatic",
    "after_collectstatic",
    "before_migrate",
    "after_migrate",
    "before_switch",
    "after_switch",
)


class HookError(Exception):
    """A command did not do what it should; C(report) has what Ansible's modules say about a failed command."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def run_hooks(
    commands: list[str], *, step: str, root: str, folder: str, timeout: int, launcher: str = LAUNCHER
) -> list[dict[str, Any]]:
    """Run each command with a shell, as the app's user in its project folder; stops at the first that fails."""
    done: list[dict[str, Any]] = []
    for command in commands:
        started = time.monotonic()
        argv = ["/usr/bin/python3", "-I", launcher, folder, "/bin/sh", "-c", command]
        outcome = run(argv, environment=step_variable(root), timeout=timeout)
        report = outcome.report() | {"cmd": command, "seconds": round(time.monotonic() - started, 3)}
        if outcome.timed_out:
            raise HookError(f"hook {step}: {command} did not finish within {timeout} s and was ended", report)
        if outcome.rc != 0:
            said = outcome.last_lines()
            raise HookError(f"hook {step}: {command} ended with {outcome.rc}{': ' if said else ''}{said}", report)
        done.append(report)
    return done
