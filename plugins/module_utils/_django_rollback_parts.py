# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The modules that M(emperor.web.django_rollback) consists of, each in a process of its own, one after the other."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _django_rollback as rules
from ansible_collections.emperor.web.plugins.module_utils import (
    _module_django_check,
    _module_django_migrate,
    _module_django_processes,
    _module_uwsgi_vassal,
)
from ansible_collections.emperor.web.plugins.module_utils._each import run_each, usual_parallel
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder
from ansible_collections.emperor.web.plugins.module_utils._release import migration_names, project_of

# It has settled before, and served for long.
SWITCH = {"settle": 0, "probation": 0, "probation_errors": 1, "action": "rollback"}

PARTS = {
    "django_check": _module_django_check.main,
    "django_migrate": _module_django_migrate.main,
    "django_processes": _module_django_processes.main,
    "uwsgi_vassal": _module_uwsgi_vassal.main,
}
# What a part that failed has returned, and this module then returns.
TOLD = ("served", "seconds", "step", "log", "units", "traceback", "cmd", "rc", "stdout", "stderr")


class Failed(Exception):
    """A part has failed."""

    def __init__(self, message: str, told: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.told = told or {}


class Rollback:
    """From one release to another, under the deploy lock."""

    def __init__(self, module: AnsibleModule, target: dict[str, Any], live: dict[str, Any], holder: Holder) -> None:
        self.module, self.params = module, module.params
        self.target, self.live, self.holder = target, live, holder
        self.lock = {"holder": asdict(holder), "lock_wait": self.params["lock_wait"]}
        self.changed = False
        self.diffs: list[dict[str, Any]] = []
        self.told: dict[str, Any] = {}

    def go(self) -> None:
        """All of it."""
        target, live = self.compared()
        unknown, lacks = rules.unknown(target, live), rules.lacking(target)
        if lacks and not self.params["migrations"]:
            raise Failed(rules.refusal(self.target, lacks))
        undo = rules.back_to(unknown, target.get("before", {})) if self.params["migrations"] else {}
        left = [] if self.params["migrations"] else unknown
        # From here on each part is a step of this run, which has to have the lock still.
        os.environ[VARIABLE] = self.holder.token
        try:
            migrated = self.migrated(undo, lacks)
            moved = self.part("uwsgi_vassal", self.switch(migrated))
        except Failed as failure:
            raise Failed(self.stays(str(failure), undo), failure.told) from None
        self.told |= {name: moved[name] for name in ("served", "seconds") if name in moved}
        self.told |= {"unknown": left, "migrated": migrated, "changes": self.processes()}
        seconds = None if self.module.check_mode else sum(moved["seconds"].values())
        self.told["summary"] = rules.summary(self.target, self.live, left, seconds)

    def compared(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What separates the database from both releases, once it is known that the one to go to starts.

        What C(check --deploy) says was asked when it went live, and to none that was refused then is gone back. It is
        not asked again: what the inventory accepts is about newer code, and must not stand in the way of going back.
        """
        given = {"wsgi": self.target["wsgi"], "foresee": ["migrate", "unknown_migrations"]}
        checked = self.part("django_check", project_of(self.target) | given)
        if not checked.get("project", {}).get("databases") or not any(checked["foreseen"].values()):
            return {}, {}
        given = {"allow": self.params["allow"], "check_unknown": True, "_ansible_check_mode": True}
        calls = {one["release"]: project_of(one) | given for one in (self.target, self.live)}
        target, live = self.finished(self.run("django_migrate", calls))
        return target, live

    def migrated(self, undo: dict[str, str], lacks: list[str]) -> list[str]:
        """Undo what the release does not know, with the code that knows it, and apply what the release lacks."""
        given = {"allow": self.params["allow"], "timeout": self.params["migrate_timeout"]}
        results = []
        if undo:
            results.append(self.part("django_migrate", project_of(self.live) | given | {"targets": undo}))
        if lacks:
            results.append(self.part("django_migrate", project_of(self.target) | given))
        done = ("plan",) if self.module.check_mode else ("unapplied", "applied")
        return migration_names([one for result in results for name in done for one in result[name]])

    def switch(self, migrated: list[str]) -> dict[str, Any]:
        """How the traffic is moved."""
        given = {name: self.params[name] for name in _module_uwsgi_vassal.VASSAL}
        return given | SWITCH | self.lock | {"release": self.target["release"], "migrations": migrated}

    def stays(self, reason: str, undo: dict[str, str]) -> str:
        """Give the live release its migrations again; returns that it stays, and why."""
        told = f"{reason}. Release {self.live['release']} of app {self.live['app']} is still live"
        if not undo:
            return told
        try:
            # It has run with them before.
            given = {"allow": ["all"], "timeout": self.params["migrate_timeout"]}
            self.part("django_migrate", project_of(self.live) | given)
        except Failed as worse:
            return f"{told}, and its migrations could not be applied again: {worse}"
        return told

    def processes(self) -> list[str]:
        """Take the processes back too."""
        if self.params["units"] is None:
            return []
        releases = {self.target["app"]: self.target["release"]}
        given = {"apps": [self.params["units"]], "releases": releases}
        return self.part("django_processes", given | self.lock)["changes"]

    def part(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Have a module do its part."""
        (result,) = self.run(name, {"": given})
        self.changed |= bool(result.get("changed"))
        found = result.pop("diff", None) or []
        self.diffs += found if isinstance(found, list) else [found]
        return self.finished([result])[0]

    def run(self, name: str, calls: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """What a module returns for each call."""
        try:
            return list(run_each(f"emperor.web.{name}", PARTS[name], calls, usual_parallel()).values())
        except OSError as error:  # no room or no memory for a process
            raise Failed(f"{name} cannot be run: {explain_os_error(error, '/tmp')}") from None

    def finished(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Results of which none has failed."""
        for text in [text for result in results for text in result.get("warnings", [])]:
            self.module.warn(text)
        failed = [result for result in results if result.get("failed")]
        if failed:
            messages = dict.fromkeys(str(result["msg"]) for result in failed)
            raise Failed("; ".join(messages), {name: failed[0][name] for name in TOLD if name in failed[0]})
        return results
