# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Whether several modules would change anything, found out in check mode and as far as the first that would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._each import Main, Pool

Results = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Step:
    """One module, for the host or for each of several apps, whose options are then by their names."""

    name: str
    module: str
    options: dict[str, Any]
    apps: dict[str, dict[str, Any]] | None
    after: tuple[str, ...]
    take: dict[str, list[str]]
    verify: bool
    required: bool

    @property
    def calls(self) -> dict[str, dict[str, Any]]:
        """What each app has of its own; what is for the whole host has no name."""
        return {"": {}} if self.apps is None else self.apps

    def where(self, app: str) -> str:
        """The step, and the app where there is one, for people."""
        return f"{self.name} of app {app}" if app else self.name


def problem_of(steps: list[Step]) -> str:
    """What is wrong with the steps; empty where nothing is."""
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            return f"steps: {step.name} is given twice"
        for other in (*step.after, *step.take):
            if other not in seen:
                return f"steps: {step.name} waits for {other}, which is none of the steps before it"
        wrong = [app for app, own in step.calls.items() if not isinstance(own, dict)]
        if wrong:
            return f"steps: the options of {step.where(wrong[0])} are no dictionary"
        seen.add(step.name)
    return ""


def difference(result: dict[str, Any]) -> str:
    """What a result says that a run would do, or why it would fail; empty for nothing."""
    if result.get("failed"):
        return str(result.get("msg"))
    if result.get("changed") or result.get("wants_archive"):
        return "would be changed"
    if result.get("pending"):
        return "would be put live"
    foreseen = [what for what, is_due in result.get("foreseen", {}).items() if is_due]
    return f"has to {' and '.join(foreseen)}" if foreseen else ""


class Comparison:
    """The steps at work; each begins when those that it waits for have found nothing."""

    def __init__(self, steps: list[Step], main_of: Callable[[str], Main], *, check_mode: bool, parallel: int) -> None:
        self.check_mode = check_mode
        self.results: Results = {step.name: {} for step in steps}
        self.differs: list[str] = []
        self.acted = False
        self.refusals: list[tuple[str, dict[str, Any]]] = []
        self._main_of = main_of
        self._steps = {step.name: step for step in steps}
        self._todo = list(steps)
        self._waiting: list[tuple[Step, str, bool]] = []
        self._pool = Pool(parallel)

    def run(self) -> None:
        """Go on until all is compared, or something differs."""
        while True:
            self._find_ready()
            while self._waiting and self._pool.has_room():
                self._start(*self._waiting.pop(0))
            if not self._pool.is_at_work():
                return
            (step, app, verifying), result = self._pool.wait()
            self._take(step, app, verifying, result)

    def _find_ready(self) -> None:
        if self.differs:
            self._todo = [step for step in self._todo if step.required]
            self._waiting = [call for call in self._waiting if call[0].required]
        # One without apps is done at once, so others may begin.
        while ready := [step for step in self._todo if self._may_begin(step)]:
            self._todo = [step for step in self._todo if step not in ready]
            self._waiting += [(step, app, False) for step in ready for app in step.calls]

    def _may_begin(self, step: Step) -> bool:
        others = [self._steps[name] for name in (*step.after, *step.take)]
        return all(len(self.results[other.name]) == len(other.calls) for other in others)

    def _start(self, step: Step, app: str, verifying: bool) -> None:
        given = step.options | step.calls[app]
        for other, names in step.take.items():
            found = self.results[other].get(app, {})
            missing = [name for name in names if name not in found]
            if missing:
                self.differs.append(f"{step.where(app)}: {other} does not tell {', '.join(missing)}")
                self._find_ready()
                return
            given |= {name: found[name] for name in names}
        if not verifying:
            given["_ansible_check_mode"] = True
        self._pool.start((step, app, verifying), f"emperor.web.{step.module}", self._main_of(step.module), given)

    def _take(self, step: Step, app: str, verifying: bool, result: dict[str, Any]) -> None:
        result.pop("invocation", None)  # the steps know what they gave
        if verifying and not result.get("failed"):
            self.acted |= bool(result.get("changed"))
        elif differs := difference(result):
            self.differs.append(f"{step.where(app)}: {differs}")
            if step.required and result.get("failed"):
                self.refusals.append((app, result))
        elif step.verify and not self.check_mode:
            self._waiting.insert(0, (step, app, True))
            return
        self.results[step.name][app] = result
