# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of settled: sources that are here, and one answer of those of all apps of a step."""

from __future__ import annotations

from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._lock import run_of
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.plugin_utils._answers import as_task
from ansible_collections.emperor.web.plugins.plugin_utils._deploy import DeployAction
from ansible_collections.emperor.web.plugins.plugin_utils._release import prepare


class ActionModule(DeployAction):
    """Compare all steps in one go."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; the host is not asked where a source on the controller is wrong already."""
        result = super().run(tmp, task_vars)
        try:
            steps = [with_sources(step) for step in self._task.args.get("steps") or []]
        except SourceError as error:
            return result | {"failed": True, "msg": str(error)}
        answer = self._execute_module(module_args=self._task.args | {"steps": steps}, task_vars=task_vars)
        by_step = answer.pop("by_step", None)
        if by_step is None:
            return result | answer
        results = {step["name"]: as_task(step, by_step[step["name"]]) for step in steps if whole(step, by_step)}
        warnings = [text for one in results.values() for text in one.pop("warnings", [])]
        settled = not answer["differs"]
        if settled:  # else the tasks will say it
            answer["warnings"] = answer.get("warnings", []) + warnings
        deploy = run_of(self._playbook).token
        return result | answer | {"settled": settled, "deploy": deploy, "results": results}


def with_sources(step: dict[str, Any]) -> dict[str, Any]:
    """A step that builds releases knows the digests of sources that are on the controller."""
    if step.get("module") != "django_release" or not isinstance(step.get("apps"), dict):
        return step
    options = step.get("options") or {}
    apps, _sources = prepare({app: options | own for app, own in step["apps"].items()})
    return step | {"options": {}, "apps": apps}


def whole(step: dict[str, Any], by_step: dict[str, dict[str, Any]]) -> bool:
    """Whether all calls of a step were made, and none has failed."""
    apps, answers = step.get("apps"), by_step[step["name"]]
    calls = {""} if apps is None else set(apps)
    return calls == set(answers) and not any(answer.get("failed") for answer in answers.values())
