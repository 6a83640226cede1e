# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no Django; how it works with a real one is tested with real projects."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.emperor.web.plugins.module_utils._django_collectstatic import compare, snapshot, synchronise


def write(folder, files: dict[str, str]):
    """Write files; a value that starts with -> is a link."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(content)
    return folder


def tree(folder) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"->{os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_text()
    return found


def test_a_snapshot_tells_contents_apart_and_nothing_else(tmp_path):
    files = {"a.css": "x", "b/c.js": "y", "link": "->a.css", "folder": "->b", "broken": "->nowhere"}
    one = snapshot(str(write(tmp_path / "1", files)))
    write(tmp_path / "2", files)
    os.utime(tmp_path / "2" / "a.css", (1, 1))
    assert one == snapshot(str(tmp_path / "2"))
    assert set(one) == set(files)
    assert one["folder"] == "-> b"
    (tmp_path / "2" / "a.css").write_text("z")
    assert one["a.css"] != snapshot(str(tmp_path / "2"))["a.css"]


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert snapshot(str(tmp_path / "nowhere")) == {}


BEFORE = {"same": "1", "changed": "1", "gone": "1", "b/gone": "1"}
AFTER = {"same": "1", "changed": "2", "new": "1", "a/new": "1"}


@pytest.mark.parametrize(("keep", "deleted"), [(True, []), (False, ["b/gone", "gone"])])
def test_compare(keep, deleted):
    assert compare(BEFORE, AFTER, "/static", keep_unknown=keep) == {
        "location": "/static",
        "added": ["a/new", "new"],
        "modified": ["changed"],
        "deleted": deleted,
        "unmodified": 1,
        "exact": True,
    }


def bring(tmp_path, before: dict[str, str], after: dict[str, str], *, clear: bool = False) -> dict[str, str]:
    """What a target is after it was brought to a fresh state."""
    location, fresh = tmp_path / "static", tmp_path / "fresh"
    location.mkdir()
    write(location, before)
    write(fresh, after)
    changes = compare(snapshot(str(location)), snapshot(str(fresh)), str(location), keep_unknown=not clear)
    synchronise(str(fresh), str(location), changes)
    again = compare(snapshot(str(location)), snapshot(str(fresh)), str(location), keep_unknown=not clear)
    assert not (again["added"] or again["modified"] or again["deleted"])
    return tree(location)


FILES_BEFORE = {"same.css": "1", "changed.css": "1", "old.css": "1"}
FILES_AFTER = {"same.css": "1", "changed.css": "2", "x/y/new.css": "1", "link": "->same.css"}


def test_synchronise_keeps_what_it_does_not_know(tmp_path):
    assert bring(tmp_path, FILES_BEFORE, FILES_AFTER) == FILES_AFTER | {"old.css": "1"}


def test_synchronise_can_clear(tmp_path):
    assert bring(tmp_path, FILES_BEFORE, FILES_AFTER, clear=True) == FILES_AFTER


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": "1"}, {"a": "->b", "b": "1"}, id="a file becomes a link"),
        pytest.param({"a": "->b"}, {"a": "1"}, id="a link becomes a file"),
        pytest.param({"a": "1"}, {"a/b": "1"}, id="a file becomes a folder"),
        pytest.param({"a/b": "1"}, {"a": "1"}, id="a folder becomes a file"),
    ],
)
def test_synchronise_can_clear_what_is_of_another_kind(tmp_path, before, after):
    assert bring(tmp_path, before, after, clear=True) == after


def test_a_file_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    """A reader has the old file open, or a link to it; writing into it would show half of the new one."""
    location = tmp_path / "static"
    write(location, {"a.css": "old"})
    os.link(location / "a.css", tmp_path / "seen")
    write(tmp_path / "fresh", {"a.css": "new"})
    os.chmod(tmp_path / "fresh" / "a.css", 0o644)
    synchronise(str(tmp_path / "fresh"), str(location), {"added": [], "modified": ["a.css"], "deleted": []})
    assert (tmp_path / "seen").read_text() == "old"
    assert tree(location) == {"a.css": "new"}
    assert stat.S_IMODE((location / "a.css").stat().st_mode) == 0o644
