# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Room on the disk for a build, asked for before it writes: what is live writes there too, its database first.

A new release is taken to be as large as the live one. One that is larger may still meet a full disk, as any program.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from ansible_collections.emperor.web.plugins.module_utils._files import MAKE_ROOM
from ansible_collections.emperor.web.plugins.module_utils._release import Layout


class RoomError(Exception):
    """There is clearly too little room for what is to be written."""


@dataclass(frozen=True)
class Room:
    """What takes room on a file system."""

    size: int
    inodes: int


NONE = Room(0, 0)
# For what sites write meanwhile: uploads, and SQLite's journal, which has 4 MB when it is written back.
RESERVE = Room(16 << 20, 100)


def taken(*folders: str) -> Room:
    """What folders take with all below them; a file that has several names is there once."""
    sizes: dict[tuple[int, int], int] = {}

    def is_folder(path: str) -> bool:
        try:
            state = os.lstat(path)
        except OSError:  # it was never there, or has gone just now
            return False
        sizes[state.st_dev, state.st_ino] = state.st_blocks * 512
        return stat.S_ISDIR(state.st_mode)

    for folder in filter(is_folder, folders):
        for parent, below, names in os.walk(folder):
            for name in (*below, *names):
                is_folder(os.path.join(parent, name))
    return Room(sum(sizes.values()), len(sizes))


def wanted(model: Room, replaced: Room) -> Room:
    """What it takes to write as much as the model, where something is removed before."""
    return Room(
        max(model.size - replaced.size, 0) + RESERVE.size, max(model.inodes - replaced.inodes, 0) + RESERVE.inodes
    )


def shortage(state: os.statvfs_result, want: Room) -> str:
    """What a file system has, and what is wanted of it, in words; empty where it is enough."""
    room, counted = state.f_bavail * state.f_frsize, state.f_files > 0  # some make inodes as they need them
    if room >= want.size and (state.f_favail >= want.inodes or not counted):
        return ""
    has, wants = (f" and {inodes} inodes" if counted else "" for inodes in (state.f_favail, want.inodes))
    return f"has {room >> 20} MB{has} left, and {-(-want.size >> 20)} MB{wants} are wanted"


def require_for_sources(layout: Layout, release: str) -> None:
    """Refuse a build that has no room for the release's sources and static files."""
    live = layout.live()
    model = taken(*(os.path.join(layout.release(live), name) for name in ("src", "static"))) if live else NONE
    _require(layout.releases, release, model, taken(layout.release(release)))


def require_for_virtualenv(layout: Layout, release: str, venv: str) -> None:
    """Refuse a build that has no room for a new virtual environment, and for the static files after that."""
    live = layout.live()
    manifest = layout.manifest(live) if live else None
    model = taken(manifest.venv, os.path.join(layout.release(manifest.id), "static")) if manifest else NONE
    _require(layout.venvs, release, model, taken(venv))


def _require(place: str, release: str, model: Room, replaced: Room) -> None:
    if told := shortage(os.statvfs(place), wanted(model, replaced)):
        like = f": about what the live release takes, and {RESERVE.size >> 20} MB that sites may write meanwhile"
        raise RoomError(
            f"release {release} is not built, as the file system of {place} {told}{like if model.size else ''}. "
            f"{MAKE_ROOM}"
        )
