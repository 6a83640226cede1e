# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that an Emperor runs before it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils._vassals import PARKED

PROGRAM = Path(__file__).resolve().parents[3] / "roles" / "uwsgi" / "files" / "live_only.py"
LIVE, OTHER = "aaaaaaaa-00000001", "bbbbbbbb-00000002"


@pytest.mark.parametrize(
    ("current", "before", "after"),
    [
        (LIVE, [f"{LIVE}.ini"], [f"{LIVE}.ini"]),
        (LIVE, [f"{LIVE}.ini", f"{OTHER}.ini"], [f"{LIVE}.ini", OTHER + PARKED]),
        (LIVE, [LIVE + PARKED, f"{OTHER}.ini"], [f"{LIVE}.ini", OTHER + PARKED]),
        (LIVE, [LIVE + PARKED, f"{LIVE}.ini"], [LIVE + PARKED, f"{LIVE}.ini"]),
        (LIVE, [f".{OTHER}.ini.x.tmp", "notes"], [f".{OTHER}.ini.x.tmp", "notes"]),
        (None, [f"{OTHER}.ini"], [OTHER + PARKED]),
    ],
    ids=["one", "two", "killed without overlap", "both files", "other files", "nothing was live yet"],
)
def test_only_the_live_release_is_left(tmp_path, current, before, after):
    root, vassals = tmp_path / "shop", tmp_path / "vassals"
    root.mkdir()
    vassals.mkdir()
    if current:
        (root / "current").symlink_to(f"releases/{current}")
    for name in before:
        (vassals / name).write_text(name)
    run(vassals, root)
    assert sorted(os.listdir(vassals)) == sorted(after)
    run(vassals, root)
    assert sorted(os.listdir(vassals)) == sorted(after), "a second time changes nothing"


def test_without_the_apps_folder_nothing_is_known(tmp_path):
    (tmp_path / f"{LIVE}.ini").touch()
    run(tmp_path, tmp_path / "not mounted")
    assert os.listdir(tmp_path) == [f"{LIVE}.ini"]


def run(vassals: Path, root: Path) -> None:
    subprocess.run([sys.executable, "-I", str(PROGRAM), str(vassals), str(root)], check=True)
