# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Find a Django project in its sources, without running any of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ansible_collections.emperor.web.plugins.module_utils._source import SourceError

_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")
_SKIPPED = {"node_modules", "venv", "env", "site-packages", "tests", "test", "docs", "static", "templates"}
_DEPTH = 3


@dataclass(frozen=True)
class Project:
    """Where a project's parts are; C(folder) is relative to the sources, C(.) for their top."""

    folder: str
    settings: str
    wsgi: str


def find(sources: str, folder: str | None = None, settings: str | None = None, wsgi: str | None = None) -> Project:
    """Find what was not given; raises SourceError with what to write when it is not there or not clear."""
    folder = _find_folder(sources, folder)
    path = os.path.join(sources, folder)
    callables = _wsgi_files(path)
    named = _settings_in(os.path.join(path, "manage.py"))
    chosen = _choose_wsgi(callables, named, settings)
    # A project that has production settings of its own names them in wsgi.py; manage.py is the developer's.
    settings = settings or (_settings_in(os.path.join(path, chosen)) if chosen else None) or named
    if not settings:
        raise SourceError(
            f"no settings module found: neither manage.py nor wsgi.py below {folder} sets DJANGO_SETTINGS_MODULE; "
            f"give settings, for example settings: shop.settings"
        )
    if not wsgi:
        if not chosen:
            found = f"several of them: {', '.join(callables)}" if callables else "no wsgi.py with get_wsgi_application"
            raise SourceError(f"no WSGI module found below {folder} ({found}); give wsgi, for example wsgi: shop.wsgi")
        wsgi = chosen.removesuffix(".py").replace(os.sep, ".")
    return Project(folder, settings, wsgi if ":" in wsgi else f"{wsgi}:application")


def _find_folder(sources: str, given: str | None) -> str:
    if given:
        folder = os.path.normpath(given)
        if folder.startswith("..") or os.path.isabs(folder):
            raise SourceError(f"project {given} has to be a folder inside the sources, written relative to their top")
        if not os.path.isfile(os.path.join(sources, folder, "manage.py")):
            raise SourceError(f"project {given} has no manage.py; give the folder of the sources that has one")
        return folder
    found = [os.path.relpath(parent, sources) for parent, names in _walk(sources) if "manage.py" in names]
    if not found:
        raise SourceError("the sources have no manage.py, so this is no Django project; check source and version")
    top = min(name.count(os.sep) + (name != ".") for name in found)
    nearest = [name for name in found if name.count(os.sep) + (name != ".") == top]
    if len(nearest) > 1:
        raise SourceError(
            f"the sources have several manage.py, in {', '.join(sorted(nearest))}; give project, one of them"
        )
    return nearest[0]


def _walk(path: str) -> list[tuple[str, list[str]]]:
    found = []
    for parent, folders, names in os.walk(path):
        depth = 0 if parent == path else os.path.relpath(parent, path).count(os.sep) + 1
        folders[:] = sorted(f for f in folders if depth < _DEPTH and f not in _SKIPPED and not f.startswith("."))
        found.append((parent, names))
    return found


def _wsgi_files(path: str) -> list[str]:
    found = []
    for parent, names in _walk(path):
        if "wsgi.py" in names and "get_wsgi_application" in _read(os.path.join(parent, "wsgi.py")):
            found.append(os.path.relpath(os.path.join(parent, "wsgi.py"), path))
    return found


def _choose_wsgi(callables: list[str], *hints: str | None) -> str | None:
    if len(callables) == 1:
        return callables[0]
    for hint in hints:
        package = (hint or "").split(".")[0]
        matching = [name for name in callables if package and name.split(os.sep)[0] == package]
        if len(matching) == 1:
            return matching[0]
    return None


def _settings_in(path: str) -> str | None:
    found = _SETTINGS.search(re.sub(r"(?m)^\s*#.*$", "", _read(path)))
    return found.group(1) if found else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except (FileNotFoundError, IsADirectoryError):
        return ""
