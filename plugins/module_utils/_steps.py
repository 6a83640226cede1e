# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Modules as steps, each for the host or for several apps; a step takes what those before it have found."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._each import Main, run_each, usual_parallel

# By the names of the steps and of the apps; what is for the whole host has no name.
Results = dict[str, dict[str, dict[str, Any]]]

# What a module says that has not done its work: another run has the lock, or a source is to be sent first.
UNDONE = ("busy", "wants_archive")


@dataclass(frozen=True)
class Step:
    """One module, for the host or for each of several apps, whose options are then by their names."""

    name: str
    module: str
    options: dict[str, Any]
    apps: dict[str, dict[str, Any]] | None
    take: dict[str, list[str]]

    @property
    def calls(self) -> dict[str, dict[str, Any]]:
        """What each app has of its own."""
        return {"": {}} if self.apps is None else self.apps

    @property
    def before(self) -> tuple[str, ...]:
        """The steps that this one waits for."""
        return tuple(self.take)

    def where(self, app: str) -> str:
        """The step, and the app where there is one, for people."""
        return f"{self.name} of app {app}" if app else self.name

    def given(self, app: str, results: Results) -> dict[str, Any]:
        """The options of a call, with what it takes; raises LookupError where another step does not tell that."""
        options = self.options | self.calls[app]
        for other, names in self.take.items():
            found = results[other].get(app, {})
            missing = [name for name in names if name not in found]
            if missing:
                raise LookupError(f"{self.where(app)}: {other} does not tell {', '.join(missing)}")
            options |= {name: found[name] for name in names}
        return options


@dataclass(frozen=True)
class Deed(Step):
    """A step that is done."""

    only: dict[str, str]
    parallel: int | None
    tolerate: bool

    @property
    def before(self) -> tuple[str, ...]:
        return (*self.take, *self.only)

    def wanted(self, app: str, results: Results) -> bool:
        """Whether the other steps have found that it is to be done."""
        return all(results[other].get(app, {}).get(name) for other, name in self.only.items())


Kind = TypeVar("Kind", bound=Step)


def steps_argument(modules: list[str], own: dict[str, Any]) -> dict[str, Any]:
    """The option C(steps) of a module, with what its steps have of their own."""
    options = {
        "name": {"type": "str", "required": True},
        "module": {"type": "str", "choices": modules, "required": True},
        "options": {"type": "dict", "default": {}},
        "apps": {"type": "dict"},
        "take": {"type": "dict", "default": {}},
    }
    # Each step's module logs its own options, and knows which of them are secret.
    return {"type": "list", "elements": "dict", "required": True, "no_log": True, "options": options | own}


def steps_given(module: AnsibleModule, kind: type[Kind]) -> list[Kind]:
    """The steps that a module was given; fails it where they cannot be."""
    # Results are without secrets already; these are all values, the harmless ones too.
    module.no_log_values.clear()
    steps = [kind(**given) for given in module.params["steps"]]
    # What is returned as the invocation, too.
    module.params["steps"] = [step.name for step in steps]
    if problem := problem_of(steps):
        module.fail_json(msg=problem)
    return steps


def problem_of(steps: Sequence[Step]) -> str:
    """What is wrong with the steps; empty where nothing is."""
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            return f"steps: {step.name} is given twice"
        for other in step.before:
            if other not in seen:
                return f"steps: {step.name} waits for {other}, which is none of the steps before it"
        wrong = [app for app, own in step.calls.items() if not isinstance(own, dict)]
        if wrong:
            return f"steps: the options of {step.where(wrong[0])} are no dictionary"
        seen.add(step.name)
    return ""


def main_of(module: str) -> Main:
    """What a module does; only its own parts are loaded."""
    part = "ansible_collections.emperor.web.plugins.module_utils._{}"
    # The modules load it when they meet a release: better once here than for each app.
    importlib.import_module(part.format("outcome"))
    return importlib.import_module(part.format(f"module_{module}")).main


def run_steps(steps: Sequence[Deed], known: Results) -> tuple[Results, str]:
    """Results of the steps, one after the other as far as the first that fails or is not done, and the name of that.

    What is known already is not done again.
    """
    results: Results = {step.name: dict(known.get(step.name, {})) for step in steps}
    for step in steps:
        todo = [app for app in step.calls if app not in results[step.name]]
        left_out = {app: {"changed": False, "skipped": True} for app in todo if not step.wanted(app, results)}
        results[step.name] |= left_out
        try:
            calls = {app: step.given(app, results) for app in todo if app not in left_out}
        except LookupError as error:
            results[step.name][""] = {"failed": True, "msg": error.args[0]}
            return results, step.name
        found = run_each(f"emperor.web.{step.module}", main_of(step.module), calls, step.parallel or usual_parallel())
        results[step.name] |= found
        failed = [answer for answer in results[step.name].values() if answer.get("failed")]
        undone = [answer for answer in found.values() if any(answer.get(name) for name in UNDONE)]
        if len(found) < len(calls) or undone or (failed and not step.tolerate):
            return results, step.name
    return results, ""
