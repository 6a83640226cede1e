# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Remove releases that are not kept, and what belonged only to them."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._build import DONE
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._process_units import Units
from ansible_collections.emperor.web.plugins.module_utils._processes import releases_in_use
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, Manifest


def prune(layout: Layout, keep: int, *, check_mode: bool, timeout: int) -> dict[str, Any]:
    """Remove what no kept release needs; returns what the module reports."""
    finished, live = layout.finished(), layout.live() or ""
    kept = {live, layout.last_good(), *layout.last_live(2)}
    kept |= {manifest.id for manifest in finished[::-1][:keep]}
    # A release whose socket is still there has workers that may yet import from it.
    kept |= {manifest.id for manifest in finished if os.path.exists(f"{layout.release(manifest.id)}/live.sock")}
    # So has a process of the app, or the job of a timer, that was started before the switch.
    kept |= releases_in_use(Units(os.path.basename(layout.root), layout.root))
    kept_manifests = [manifest for manifest in finished if manifest.id in kept]
    gone = others(layout.releases, kept)
    gone += others(layout.venvs, {os.path.basename(manifest.venv) for manifest in kept_manifests})
    gone += unused_static(layout, kept_manifests)
    if not check_mode:
        for path in gone:
            remove(path)
        if live:
            remove(layout.pending(live))
        forget_commits(layout.mirror, {manifest.revision for manifest in kept_manifests}, timeout)
    return {"changed": bool(gone), "removed": sorted(gone), "live": live}


def unused_static(layout: Layout, kept: list[Manifest]) -> list[str]:
    """Files that no kept release has collected."""
    wanted: set[str] = set()
    for manifest in kept:
        wanted |= relative_files(os.path.join(layout.release(manifest.id), "static"))
    return [os.path.join(layout.static, name) for name in relative_files(layout.static) - wanted]


def forget_commits(mirror: str, kept: set[str], timeout: int) -> None:
    """Let the mirror of the repository shrink."""
    if not os.path.isdir(mirror):
        return
    git = ["git", "-C", mirror]
    listed = run([*git, "for-each-ref", "--format=%(refname)", "refs/emperor/"]).stdout.split()
    forgotten = [ref for ref in listed if ref.rpartition("/")[2] not in kept]
    for ref in forgotten:
        run([*git, "update-ref", "-d", ref])
    if forgotten:
        run([*git, "gc", "--quiet", "--prune=now"], timeout=timeout)


def remove(path: str) -> None:
    """Remove a file or a folder; of a release or an environment first what says that it is finished."""
    if not os.path.isdir(path):
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    for name in ("release.json", DONE):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(path, name))
    shutil.rmtree(path)


def others(folder: str, kept: set[str]) -> list[str]:
    """Paths of a folder's entries that are not to be kept."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if name not in kept]


def relative_files(folder: str) -> set[str]:
    """Paths of all files below a folder, relative to it."""
    return {
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _folders, names in os.walk(folder)
        for name in names
    }
