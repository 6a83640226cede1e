# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of steps: what it does for the modules that it runs, and one answer of those of all apps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.module_utils._steps import UNDONE, Results
from ansible_collections.emperor.web.plugins.plugin_utils._answers import as_task
from ansible_collections.emperor.web.plugins.plugin_utils._deploy import Calls
from ansible_collections.emperor.web.plugins.plugin_utils._release import ReleaseAction

# They work under the deploy lock.
LOCKED = ("django_hook", "django_processes", "django_release", "uwsgi_vassal")


class Refused(Exception):
    """The module has done nothing at all."""


class Ended(Exception):
    """A step has failed, so a later one is not to be waited for."""


class ActionModule(ReleaseAction):
    """Run modules for several apps."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, and again from where a step had to wait or lacked its sources."""
        result = super().run(tmp, task_vars)
        steps = self._task.args.get("steps")
        if not understood(steps):
            return result | self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)

        def execute(arguments: dict[str, Any]) -> dict[str, Any]:
            return self._execute_module(module_args=arguments, task_vars=task_vars)

        holder = asdict(self.announce())
        chain = Chain([with_holder(step, holder) for step in steps], execute)
        try:
            for step in filter(may_wait, chain.steps):
                calls = chain.left(step)
                run = self.release_each if step["module"] == "django_release" else self.run_each_locked
                answers = run(calls, partial(chain.go_on, step))
                chain.results[step["name"]] = chain.results.get(step["name"], {}) | answers
                if chain.has_failed():
                    break
            if not chain.answer:
                chain.go_on()
        except Ended:
            pass
        except SourceError as error:
            return result | {"failed": True, "msg": str(error)}
        except Refused as refused:
            return result | refused.args[0]
        return result | chain.answer | {"deploy": holder["token"]} | answer_of(chain)


class Chain:
    """The steps on the host, as far as they have come."""

    def __init__(self, steps: list[dict[str, Any]], execute: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.steps = steps
        self.results: Results = {}
        self.answer: dict[str, Any] = {}
        self.ended = ""
        self._execute = execute

    def left(self, step: dict[str, Any]) -> Calls:
        """The calls of a step that did not come along with an earlier one."""
        done = self.results.get(step["name"], {})
        return {app: call for app, call in calls_of(step).items() if app not in done}

    def go_on(self, step: dict[str, Any] | None = None, calls: Calls | None = None) -> Calls:
        """Have done what is not done yet, of one step these calls, and return what that one's have answered."""
        given = [with_calls(other, calls or {}) if other is step else other for other in self.steps]
        answer = self._execute({"steps": given, "known": self.results})
        if "by_step" not in answer:
            raise Refused(answer)
        by_step, self.ended = answer.pop("by_step"), answer.pop("ended")
        self.answer = answer
        for name, answers in by_step.items():
            done = {app: one for app, one in answers.items() if not any(one.get(sign) for sign in UNDONE)}
            self.results[name] = self.results.get(name, {}) | done
        if step and self.ended != step["name"] and self.has_failed():
            raise Ended
        return {app: one for app, one in by_step[step["name"]].items() if app in (calls or {})} if step else {}

    def has_failed(self) -> bool:
        """Whether it has ended with a failure, and not because a step has to wait."""
        return any(answer.get("failed") for answer in self.results.get(self.ended, {}).values())


def understood(steps: Any) -> bool:
    """Whether the steps are such that options and apps can be joined; else the module says what is wrong."""
    return isinstance(steps, list) and all(
        isinstance(step, dict)
        and all(isinstance(step.get(name), str) for name in ("name", "module"))
        and isinstance(step.get("options") or {}, dict)
        and isinstance(step.get("apps") or {}, dict)
        and all(isinstance(own, dict) for own in (step.get("apps") or {}).values())
        for step in steps
    )


def with_holder(step: dict[str, Any], holder: dict[str, Any]) -> dict[str, Any]:
    """A step that knows which run this is."""
    options = step.get("options") or {}
    return step | {"options": options | ({"holder": holder} if step["module"] in LOCKED else {})}


def calls_of(step: dict[str, Any]) -> Calls:
    """All options of a step by app."""
    apps = step.get("apps")
    return {"": step["options"]} if apps is None else {app: step["options"] | own for app, own in apps.items()}


def with_calls(step: dict[str, Any], calls: Calls) -> dict[str, Any]:
    """A step with these calls in place of its own."""
    return step | ({"options": calls[""]} if step.get("apps") is None else {"options": {}, "apps": calls})


def may_wait(step: dict[str, Any]) -> bool:
    """Whether the step may have to wait for another run, or for sources; others go on under the lock of this run."""
    lock = step["options"].get("lock", "task")
    return step["module"] == "django_release" or (step["module"] in LOCKED and lock == "task")


def answer_of(chain: Chain) -> dict[str, Any]:
    """What the task returns of the steps: all results, or only the failure."""
    results = {step["name"]: as_task(step, chain.results[step["name"]]) for step in chain.steps if whole(step, chain)}
    diffs = [diff for result in results.values() for diff in listed(result.pop("diff", []))]
    warnings = [text for result in results.values() for text in result.pop("warnings", [])]
    answer = {"diff": diffs, "warnings": [*chain.answer.get("warnings", []), *warnings]}
    if not chain.ended:
        return answer | {"results": results}
    failure = results[chain.ended]
    several = {chain.ended: {"results": failure.pop("results")}} if "results" in failure else {}
    more = {"changed": chain.answer["changed"], "failed": True, "failed_step": chain.ended, "results": several}
    return failure | answer | more


def whole(step: dict[str, Any], chain: Chain) -> bool:
    """Whether the step has results for the task: of one that failed, also where not all of it was done."""
    return step["name"] == chain.ended or bool(chain.results.get(step["name"])) or step.get("apps") == {}


def listed(diff: Any) -> list[Any]:
    """A diff as the list that it may be."""
    return diff if isinstance(diff, list) else [diff] * bool(diff)
