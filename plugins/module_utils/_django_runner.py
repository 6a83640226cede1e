# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The half of the Django modules that runs inside the app's own interpreter.

Its text is sent over standard input to C(python -), followed by one call of C(main). It imports nothing but the
standard library and Django, and answers with JSON on a file descriptor of its own, because a project may print
whatever it likes while it loads. What a module does is in a file beside this one, with a function C(run).
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from types import ModuleType


def main(job: dict, source: str, parts: dict | None = None) -> None:
    """Do one job, with the text of the file that does it and of those that it imports, and write the answer.

    Whatever the project raises becomes part of the answer.
    """
    try:
        action = load(f"django_{job['action']}", source, parts or {})
        load_project(job)
        answer = {"result": action.run(job)}
    except BaseException as error:  # the project may call sys.exit or raise anything while it loads
        answer = {"error": describe(error)}
        answer["partial"] = getattr(error, "partial_result", {})
    with os.fdopen(job["reply_fd"], "w", encoding="utf-8", errors="replace") as reply:
        json.dump(answer, reply, ensure_ascii=False)  # a file name that is no UTF-8 must not spoil the answer


def load(name: str, source: str, parts: dict) -> ModuleType:
    """Make a module of a text; parts, in the order in which they import each other, are there while it is loaded."""
    package = "ansible_collections.emperor.web.plugins.module_utils"
    before = sys.modules.get(package)
    sys.modules[package] = siblings = ModuleType(package)
    try:
        for part, text in [*parts.items(), ("", source)]:
            module = ModuleType(part or name)
            if part:
                sys.modules[f"{package}.{part}"] = module
                setattr(siblings, part, module)
            exec(compile(text, module.__name__, "exec"), vars(module))
        return module
    finally:
        for part in parts:
            sys.modules.pop(f"{package}.{part}", None)
        if before is None:
            del sys.modules[package]
        else:
            sys.modules[package] = before


def describe(error: BaseException) -> dict:
    """An exception as JSON can carry it."""
    if isinstance(error, SystemExit):
        message = f"the project called sys.exit({error.code!r}) while it was loading"
    else:
        message = str(error) or repr(error)
    return {
        "type": type(error).__name__,
        "message": message,
        "missing_module": error.name if isinstance(error, ModuleNotFoundError) else None,
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }


def load_project(job: dict) -> None:
    """Set the project up as its manage.py would: that file may add paths or variables of its own."""
    os.environ["DJANGO_SETTINGS_MODULE"] = job["settings"]
    sys.path[0] = job["project"]
    from django.core import management

    reached = []

    def reach(utility) -> None:
        reached.append(utility)

    manage = os.path.join(job["project"], "manage.py")
    if os.path.exists(manage):
        # Its last step, by execute_from_command_line or without it, must do nothing; a sys.exit after it is no error.
        utility = management.ManagementUtility
        original = utility.execute
        sys.argv = [manage, job["action"]]
        utility.execute = reach
        try:
            runpy.run_path(manage, run_name="__main__")
        except SystemExit as end:
            if not reached or end.code:
                raise
        finally:
            utility.execute = original
    import django

    django.setup()
