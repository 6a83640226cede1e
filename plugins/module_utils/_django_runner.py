# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The half of the Django modules that runs inside the app's own interpreter.

Its text is sent over standard input, followed by one call of C(main). It imports nothing but the
standard library and Django, and answers with JSON on a file descriptor of its own, because a project may print
whatever it likes while it loads. What a module does is in a file beside this one, with a function C(run).
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import runpy
import sys
import threading
import traceback
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = "emperor_web_in_the_app"
# Seconds that threads and exit handlers of the project have, once the answer is written.
LAST_WORDS = 10


def main(job: dict, parts: dict) -> None:
    """Do one job, then end, even if the project has started threads that do not."""
    # What Django makes while it loads stays, and to look for what migrations leave takes a tenth of their time. So many
    # objects are some 50 MB.
    gc.set_threshold(500_000, 20)
    reply(job, parts)
    # At its end Python would look through all of it twice more, which takes a third of the time of the start.
    gc.freeze()
    end = threading.Timer(LAST_WORDS, os._exit, (0,))
    end.daemon = True
    end.start()


def reply(job: dict, parts: dict) -> None:
    """Do one job, with the texts of the file that does it and of those that it imports, and write the answer.

    Whatever the project raises becomes part of the answer.
    """
    process = os.getpid()
    try:
        make_importable(parts)
        load_project(job)
        action = importlib.import_module(f"{PACKAGE}._django_{job['action']}")
        if os.getpid() != process:
            os._exit(0)  # a child that the project forked while it loaded must not do the work a second time
        answer = {"result": action.run(job)}
    except BaseException as error:  # the project may call sys.exit or raise anything while it loads
        answer = {"error": describe(error)}
        answer["partial"] = getattr(error, "partial_result", {})
    if os.getpid() != process:
        os._exit(1)  # nor may it answer
    try:
        answer["secrets"] = secrets_of_settings()
    except Exception:  # settings of a form that Django would not take either
        answer["secrets"] = []
    with os.fdopen(job["reply_fd"], "w", encoding="utf-8", errors="replace") as file:
        json.dump(answer, file, ensure_ascii=False)  # a file name that is no UTF-8 must not spoil the answer


def make_importable(parts: dict) -> None:
    """Let texts be imported as modules of a package that has no folder; only what is imported is compiled."""
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    package.__path__ = []
    sys.meta_path.insert(0, Texts(parts))


class Texts:
    """Finds and loads the modules of that package."""

    def __init__(self, parts: dict) -> None:
        self.parts = {f"{PACKAGE}.{name}": text for name, text in parts.items()}

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        loader: Any = self  # nothing but its two methods is needed of what importlib calls a loader
        return ModuleSpec(name, loader) if name in self.parts else None

    def create_module(self, spec: ModuleSpec) -> None:
        """As Python makes modules."""

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.parts[module.__name__], module.__name__, "exec"), vars(module))


def describe(error: BaseException) -> dict:
    """An exception as JSON can carry it."""
    if isinstance(error, SystemExit):
        message = f"the project called sys.exit({error.code!r}) while it was loading"
    else:
        message = str(error) or repr(error)
    return {
        "type": type(error).__name__,
        "message": message,
        "cause": cause_of(error),
        "denied": getattr(root_of(error), "errno", None) in (errno.EACCES, errno.EPERM, errno.EROFS),
        "explained": getattr(error, "explained", False) is True,
        "missing_module": error.name if isinstance(error, ModuleNotFoundError) else None,
        "settings": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "app": listed_app(error.name) if isinstance(error, ModuleNotFoundError) else "",
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }


def root_of(error: BaseException) -> BaseException:
    """The exception that the others came from."""
    seen = []
    while error not in seen:
        seen.append(error)
        error = error.__cause__ or error
    return error


def cause_of(error: BaseException) -> str:
    """What an exception was raised from, where its own message may not say it; logging hides a missing right so."""
    root = root_of(error)
    return "" if root is error or str(root) in str(error) else f"{type(root).__name__}: {root}"


def secrets_of_settings() -> list:
    """Secrets that the settings have from elsewhere than the environment; nothing so short that it is also a word."""
    conf = sys.modules.get("django.conf")
    if not (conf and conf.settings.configured):
        return []
    settings = getattr(conf.settings, "_wrapped", conf.settings)  # which gives an empty key without raising
    found = {str(key) for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS] if len(str(key)) >= 20}
    for database in settings.DATABASES.values():
        password, rest = database.get("PASSWORD"), {k: v for k, v in database.items() if k != "PASSWORD"}
        if len(str(password or "")) >= 8 and str(password) not in str(rest):
            found.add(str(password))
    return sorted(found)


def listed_app(module: str | None) -> str:
    """The entry of INSTALLED_APPS that a module, which cannot be found, belongs to."""
    conf = sys.modules.get("django.conf")
    if not (module and conf and conf.settings.configured):
        return ""
    return next((app for app in conf.settings.INSTALLED_APPS if f"{app}.".startswith(f"{module}.")), "")


def load_project(job: dict) -> None:
    """Set the project up as its manage.py would: that file may add paths or variables of its own."""
    if job["settings"]:
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
    if job["settings"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = job["settings"]  # some manage.py set it without asking
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise NoSettings(
            f"no settings module: neither {manage} nor the environment sets DJANGO_SETTINGS_MODULE; "
            f"give the option settings, for example settings: shop.settings"
        )
    import django

    django.setup()
    for name in ("stdout", "stderr"):  # Django asks them whether they are a terminal
        if getattr(sys, name) is None or getattr(sys, name).closed:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


class NoSettings(Exception):
    """Nobody said which settings the project has."""

    explained = True
