# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finished releases of an app, and a run that deploys it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder, Lock, run_of
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, Manifest


def manifest(name: str, created: float = 1.0, **changes) -> Manifest:
    """The record of a release."""
    fields = dict.fromkeys(["app", "revision", "version", "source", "project", "settings", "wsgi"], "x")
    return Manifest(id=name, created=created, requirements="x", python="3.12", venv="/venvs/x", **fields | changes)


def finish(layout: Layout, name: str, created: float = 1.0, **changes) -> str:
    """Make a finished release; returns its folder."""
    folder = layout.release(name)
    os.makedirs(folder)
    manifest(name, created, **changes).write(folder)
    return folder


def work_on(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Holder:
    """Be a task of a run that has the deploy lock, as the role's tasks are."""
    holder = run_of(os.getpid())
    Lock("shop", layout.root).acquire(holder)
    monkeypatch.setenv(VARIABLE, holder.token)
    return holder


def deploying(layout: Layout, name: str) -> str:
    """Have a release on its way; returns the file of its environment."""
    Path(layout.pending(name)).touch()
    return os.path.join(layout.release(name), "env")


def history(layout: Layout) -> list[dict]:
    """The lines of the app's history."""
    return (
        [json.loads(line) for line in Path(layout.log).read_text().splitlines()] if os.path.exists(layout.log) else []
    )


def mark_of(layout: Layout, name: str) -> dict:
    """What the mark of a failed release says, empty where it has none."""
    path = Path(layout.failure(name))
    return json.loads(path.read_text()) if path.exists() else {}


def known(name: str, **changes) -> dict:
    """A release as django_release_info tells of it."""
    about = {"app": "shop", "release": name, "version": "", "live": False, "was_live": True, "failed": False}
    return about | {"created": "2026-11-22T20:00:00Z"} | changes


INFO = {
    "name": "shop",
    "live": "cccc-3",
    "previous": "bbbb-2",
    "releases": [
        known("cccc-3", version="v3", live=True),
        known("bbbb-2", version="v2"),
        known("bbbb-1", version="v1"),
        known("aaaa-1", version="v1", failed=True),
        known("eeee-1", version="v1", was_live=False, failed=True),
        known("eeee-2", version="v4", was_live=False),
    ],
}
