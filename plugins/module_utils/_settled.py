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
from ansible_collections.emperor.web.plugins.module_utils._steps import Results, Step


@dataclass(frozen=True)
class Question(Step):
    """A step that is compared."""

    after: list[str]
    verify: bool
    required: bool

    @property
    def before(self) -> tuple[str, ...]:
        return (*self.after, *self.take)


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

    def __init__(
        self, steps: list[Question], main_of: Callable[[str], Main], *, check_mode: bool, parallel: int
    ) -> None:
        self.check_mode = check_mode
        self.results: Results = {step.name: {} for step in steps}
        self.differs: list[str] = []
        self.acted = False
        self.refusals: list[tuple[str, dict[str, Any]]] = []
        self._main_of = main_of
        self._steps = {step.name: step for step in steps}
        self._todo = list(steps)
        self._waiting: list[tuple[Question, str, bool]] = []
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

    def _may_begin(self, step: Question) -> bool:
        others = [self._steps[name] for name in step.before]
        return all(len(self.results[other.name]) == len(other.calls) for other in others)

    def _start(self, step: Question, app: str, verifying: bool) -> None:
        try:
            given = step.given(app, self.results)
        except LookupError as error:
            self.differs.append(error.args[0])
            self._find_ready()
            return
        if not verifying:
            given["_ansible_check_mode"] = True
        self._pool.start((step, app, verifying), f"emperor.web.{step.module}", self._main_of(step.module), given)

    def _take(self, step: Question, app: str, verifying: bool, result: dict[str, Any]) -> None:
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
