# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of each: what it does for the module that it runs, and one answer of those of all apps."""

from __future__ import annotations

from typing import Any

from ansible_collections.emperor.web.plugins.plugin_utils._answers import combined
from ansible_collections.emperor.web.plugins.plugin_utils._deploy import Calls
from ansible_collections.emperor.web.plugins.plugin_utils._release import ReleaseAction


class Refused(Exception):
    """The module has done nothing for any app."""


class ActionModule(ReleaseAction):
    """Run a module for several apps."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module for all apps, and again for those that had to wait or lacked their sources."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        options, apps = arguments.get("options") or {}, arguments.get("apps")

        def execute(calls: Calls) -> Calls:
            own = {"options": {}, "apps": calls}
            answer = self._execute_module(module_args=arguments | own, task_vars=task_vars)
            if "by_app" not in answer:
                raise Refused(answer)
            by_app = answer.pop("by_app")
            result.update(answer)
            return by_app

        if not isinstance(options, dict) or not isinstance(apps, dict) or not all_dicts(apps):
            # The module says what is wrong with them.
            return result | self._execute_module(module_args=arguments, task_vars=task_vars)
        calls = {app: options | own for app, own in apps.items()}
        try:
            if arguments.get("module") == "django_release":
                answers = self.release_each(calls, execute)
            elif arguments.get("module") == "uwsgi_vassal":
                answers = self.run_each_locked(calls, execute)
            else:
                answers = execute(calls)
        except Refused as refused:
            return result | refused.args[0]
        # Those of the module itself, about the interpreter for one, stay.
        warnings = result.pop("warnings", [])
        result |= combined(answers, tolerate=result.pop("tolerate", False))
        return result | {"warnings": warnings + result["warnings"]}


def all_dicts(apps: dict[str, Any]) -> bool:
    """Whether each app has options that can be joined with those of all."""
    return all(isinstance(own, dict) for own in apps.values())
