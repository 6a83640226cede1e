# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's action plugins only; it may change in any release.

"""The answers of a module for several apps as one, as a task of Ansible has it."""

from __future__ import annotations

from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._each import told


def combined(answers: dict[str, dict[str, Any]], *, tolerate: bool = False) -> dict[str, Any]:
    """The answers of all apps as one; of a failure that is not tolerated only those that failed."""
    failed = {} if tolerate else {app: answer for app, answer in answers.items() if answer.get("failed")}
    warnings = [told(app, text) for app, answer in answers.items() for text in answer.pop("warnings", [])]
    diffs = [answer.pop("diff", None) for answer in answers.values()]
    result: dict[str, Any] = {
        "changed": any(answer.get("changed") for answer in answers.values()),
        "results": [{"app": app} | answer for app, answer in (failed or answers).items()],
        "diff": [diff for diff in diffs if diff],
        "warnings": warnings,
    }
    if len(failed) == 1:
        # As the module itself would have said it.
        result = next(iter(failed.values())) | result
    if failed:
        result |= {"failed": True, "msg": "; ".join(told(app, answer["msg"]) for app, answer in failed.items())}
    return result


def as_task(step: dict[str, Any], answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The answers of a step as its task would have it; one that is not for apps has a single one, without a name."""
    if step.get("apps") is None:
        return answers[""]
    return combined(answers, tolerate=step.get("tolerate", False))
