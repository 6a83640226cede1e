# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils._release import Layout
from ansible_collections.emperor.web.plugins.module_utils._room import (
    NONE,
    RESERVE,
    Room,
    RoomError,
    require_for_sources,
    require_for_virtualenv,
    shortage,
    taken,
    wanted,
)

from ...folders import write
from ...releases import finish, manifest

MB = 1 << 20
LIVE, NEW = "aaaaaaaa-00000001", "bbbbbbbb-00000002"


def file_system(size: int, inodes: int = 1000, total: int = 5000) -> SimpleNamespace:
    return SimpleNamespace(f_bavail=size // 4096, f_frsize=4096, f_favail=inodes, f_files=total)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (file_system(20 * MB, 300), ""),
        (file_system(20 * MB - 4096, 300), "has 19 MB and 300 inodes left, and 20 MB and 300 inodes are wanted"),
        (file_system(20 * MB, 299), "has 20 MB and 299 inodes left, and 20 MB and 300 inodes are wanted"),
        (file_system(20 * MB, 0, total=0), ""),  # Btrfs counts none
        (file_system(0, 0, total=0), "has 0 MB left, and 20 MB are wanted"),
    ],
)
def test_a_shortage_is_told(state, told):
    assert shortage(state, Room(20 * MB, 300)) == told


def test_what_is_wanted_is_rounded_up():
    assert (
        shortage(file_system(MB), Room(MB + 1, 0)) == "has 1 MB and 1000 inodes left, and 2 MB and 0 inodes are wanted"
    )


@pytest.mark.parametrize(
    ("model", "replaced", "more"),
    [
        (NONE, NONE, NONE),
        (Room(40 * MB, 900), NONE, Room(40 * MB, 900)),
        (Room(40 * MB, 900), Room(30 * MB, 500), Room(10 * MB, 400)),
        (Room(40 * MB, 900), Room(50 * MB, 1000), NONE),
    ],
)
def test_the_reserve_is_wanted_besides_the_model(model, replaced, more):
    assert wanted(model, replaced) == Room(RESERVE.size + more.size, RESERVE.inodes + more.inodes)


def test_a_folder_takes_its_files_once_and_not_what_links_lead_to(tmp_path):
    folder = write(tmp_path / "release", {"src/a.py": "x" * 10000, "src/sub/out": "->../../../elsewhere"})
    os.link(folder / "src/a.py", folder / "src/b.py")
    write(tmp_path / "elsewhere", {"large": "x" * 100000})
    paths = [folder, folder / "src", folder / "src/sub", folder / "src/sub/out", folder / "src/a.py"]
    assert taken(str(folder)) == Room(sum(path.lstat().st_blocks * 512 for path in paths), 5)
    assert taken(str(folder), str(folder / "src")) == taken(str(folder))
    assert taken(str(tmp_path / "nowhere")) == taken() == NONE


@pytest.fixture
def layout(tmp_path) -> Layout:
    """An app whose live release has 2 MB of sources, 1 MB of static files, and 4 MB of packages."""
    layout = Layout(str(tmp_path))
    folder = finish(layout, LIVE)
    replace(manifest(LIVE), venv=f"{layout.venvs}/x").write(folder)
    for path, size in {f"{folder}/src": 2, f"{folder}/static": 1, f"{layout.venvs}/x": 4}.items():
        fill(path, size)
    os.symlink(f"releases/{LIVE}", layout.current)
    return layout


def fill(folder: str, size: int) -> None:
    os.makedirs(folder)
    with open(f"{folder}/file", "wb") as handle:
        handle.write(os.urandom(size * MB))


def new_sources(layout: Layout) -> None:
    require_for_sources(layout, NEW)


def new_virtualenv(layout: Layout) -> None:
    require_for_virtualenv(layout, NEW, f"{layout.venvs}/y")


@pytest.mark.parametrize(("step", "size"), [(new_sources, 3), (new_virtualenv, 5)])
def test_as_much_as_the_live_release_takes_is_wanted(layout, monkeypatch, step, size):
    enough = RESERVE.size + size * MB + MB // 2  # the folders themselves take some
    monkeypatch.setattr(os, "statvfs", lambda _path: file_system(enough))
    step(layout)
    monkeypatch.setattr(os, "statvfs", lambda _path: file_system(enough - MB))
    with pytest.raises(RoomError) as error:
        step(layout)
    said = str(error.value)
    assert said.startswith(f"release {NEW} is not built, as the file system of {layout.root}/")
    assert f"and {17 + size} MB and 10" in said and "about what the live release takes, and 16 MB that" in said
    assert said.endswith("Make room there (df -h and df -i show how much there is), then run this again")


@pytest.mark.parametrize(
    ("step", "left_behind"),
    [(new_sources, f"releases/{NEW}/src"), (new_virtualenv, "venvs/y")],
    ids=["sources", "virtualenv"],
)
def test_what_a_killed_run_has_left_goes_before(layout, monkeypatch, step, left_behind):
    monkeypatch.setattr(os, "statvfs", lambda _path: file_system(RESERVE.size + MB))
    with pytest.raises(RoomError):
        step(layout)
    fill(f"{layout.root}/{left_behind}", 5)
    step(layout)


def test_a_first_release_wants_the_reserve_alone(tmp_path, monkeypatch):
    layout = Layout(str(tmp_path))
    for step in (new_sources, new_virtualenv):
        monkeypatch.setattr(os, "statvfs", lambda _path: file_system(RESERVE.size))
        step(layout)
        monkeypatch.setattr(os, "statvfs", lambda _path: file_system(RESERVE.size - 4096))
        with pytest.raises(
            RoomError, match="has 15 MB and 1000 inodes left, and 16 MB and 100 inodes are wanted. Make"
        ):
            step(layout)
