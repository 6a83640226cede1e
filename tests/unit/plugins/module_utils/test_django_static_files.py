# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
import time

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _django_static_changes as moving
from ansible_collections.emperor.web.plugins.module_utils import _django_static_files as files
from ansible_collections.emperor.web.plugins.module_utils._django_static_changes import contents
from ansible_collections.emperor.web.plugins.module_utils._django_static_files import OURS, content, scan

from ...folders import tree, write


def wanted(folder) -> dict[str, tuple]:
    return {
        name: (content(os.path.join(folder, name), found[0]), found[1]) for name, found in scan(str(folder)).items()
    }


def test_a_scan_finds_files_and_links_and_nothing_of_ours(tmp_path):
    named = {"a.css": "x", "b/c.js": "y", "link": "->a.css", "folder": "->b", "broken": "->nowhere"}
    write(tmp_path, named | {f"{OURS}.json": "{}", f"{OURS}-1/static/a.css": "x"})
    assert set(scan(str(tmp_path))) == set(named)


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert scan(str(tmp_path / "nowhere")) == {}


def test_only_what_is_neither_known_nor_of_another_size_is_read(tmp_path, monkeypatch):
    one = write(tmp_path / "1", {"known": "1", "size": "22", "read": "3", "stray": "4"})
    two = write(tmp_path / "2", {"known": "9", "size": "2", "read": "9"})
    stamps, read = scan(str(one)), []
    monkeypatch.setattr(moving, "content", lambda path, _mode: read.append(os.path.basename(path)) or "digest")
    found = contents(
        str(one), stamps, dict.fromkeys(scan(str(two)), ("", 1)), {"known": ("remembered", stamps["known"])}
    )
    assert found == {"known": "remembered", "size": "of another size", "read": "digest"}
    assert read == ["read"]


def test_no_file_is_stamped_earlier_than_its_clock_says(tmp_path):
    """What is remembered rests on it; the clock of time.time_ns() is ahead of the stamps, by 27 ms on a busy host."""
    for number in range(2000):
        before = files.stamping_time()
        path = tmp_path / str(number % 7)
        path.write_text(str(number))
        assert before <= path.stat().st_ctime_ns <= time.time_ns()


def test_a_late_clock_is_waited_for_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(moving, "stamping_time", lambda: time.time_ns() - 100_000_000)
    start = time.monotonic()
    moving.wait_ticks(2)
    assert time.monotonic() - start > 0.13
    monkeypatch.setattr(moving, "stamping_time", lambda: 0)
    start = time.monotonic()
    moving.wait_ticks(2, limit=0.1)
    assert time.monotonic() - start >= 0.1


def bring(tmp_path, before: dict[str, str], after: dict[str, str], *, clear: bool = False) -> dict[str, str]:
    """What a target is after it was brought to a fresh state."""
    location, fresh = tmp_path / "static", tmp_path / "fresh"
    location.mkdir()
    write(location, before)
    new = wanted(write(fresh, after))
    stamps = scan(str(location))
    gone = stamps.keys() - new.keys() if clear else set()
    changes = moving.compare(contents(str(location), stamps, new, {}), new, gone)
    moving.synchronise(str(fresh), str(location), changes)
    stamps = scan(str(location))
    again = moving.compare(
        contents(str(location), stamps, new, {}), new, stamps.keys() - new.keys() if clear else set()
    )
    assert not (again["added"] or again["modified"] or again["deleted"])
    return tree(location)


BEFORE = {"same.css": "1", "changed.css": "1", "old.css": "1"}
AFTER = {"same.css": "1", "changed.css": "2", "x/y/new.css": "1", "x/z.css": "1", "link": "->same.css"}


@pytest.mark.parametrize(("clear", "kept"), [(False, {"old.css": "1"}), (True, {})])
def test_a_target_becomes_what_is_fresh(tmp_path, clear, kept):
    assert bring(tmp_path, BEFORE, AFTER, clear=clear) == AFTER | kept


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": "1"}, {"a": "->b", "b": "1"}, id="a file becomes a link"),
        pytest.param({"a": "->b"}, {"a": "1"}, id="a link becomes a file"),
        pytest.param({"a": "1"}, {"a/b": "1"}, id="a file becomes a folder"),
        pytest.param({"a/b": "1"}, {"a": "1"}, id="a folder becomes a file"),
    ],
)
def test_what_is_of_another_kind_is_replaced_when_all_is_cleared(tmp_path, before, after):
    assert bring(tmp_path, before, after, clear=True) == after


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    """A reader has the old file open, or a link to it; writing into it would show half of the new one."""
    location = write(tmp_path / "static", {"a.css": "old"})
    os.link(location / "a.css", tmp_path / "seen")
    write(tmp_path / "fresh", {"a.css": "new"})
    os.chmod(tmp_path / "fresh" / "a.css", 0o644)
    moving.synchronise(str(tmp_path / "fresh"), str(location), {"added": [], "modified": ["a.css"], "deleted": []})
    assert (tmp_path / "seen").read_text() == "old"
    assert tree(location) == {"a.css": "new"}
    assert stat.S_IMODE((location / "a.css").stat().st_mode) == 0o644


def test_a_failure_in_the_middle_tells_what_was_done(tmp_path, monkeypatch):
    location = write(tmp_path / "static", {"a": "1", "b": "1", "manifest": "1", "gone": "1"})
    fresh = write(tmp_path / "fresh", {"a": "2", "b": "2", "manifest": "2"})
    replace = os.replace

    def fail(source, target):
        if target.endswith("/manifest"):
            raise OSError(errno.EROFS, "Read-only file system", target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    changes = {"added": [], "modified": ["a", "b", "manifest"], "deleted": ["gone"]}
    with pytest.raises(OSError, match="the file system is read-only .*mount it writable") as failure:
        moving.synchronise(str(fresh), str(location), changes, "manifest")
    assert failure.value.partial_result == {"added": [], "modified": ["a", "b"], "deleted": []}
    # The manifest comes last, and what it named before is still there.
    assert tree(location) == {"a": "2", "b": "2", "manifest": "1", "gone": "1"}


def test_a_file_outside_of_the_target_is_carried_over(tmp_path):
    """A manifest that a storage keeps with the code."""
    location, fresh = write(tmp_path / "static", {}), tmp_path / "work" / "fresh"
    location.mkdir()
    fresh.mkdir(parents=True)
    name = str(tmp_path / "code" / "staticfiles.json")
    with open(moving.outside(str(fresh), name), "w") as waiting:
        waiting.write("{}")
    moving.synchronise(str(fresh), str(location), {"added": [name], "modified": [], "deleted": []}, name)
    assert tree(tmp_path / "code") == {"staticfiles.json": "{}"}


def test_another_file_system_is_reached_by_a_copy(tmp_path, monkeypatch):
    location, fresh = write(tmp_path / "static", {"a": "1"}), write(tmp_path / "fresh", {"a": "2"})
    replace = os.replace

    def fail(source, target):
        if str(fresh) in str(source):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    moving.synchronise(str(fresh), str(location), {"added": [], "modified": ["a"], "deleted": []})
    assert tree(location) == {"a": "2"}


def test_two_runs_on_a_target_wait_for_each_other(tmp_path):
    import threading

    order = []

    def second() -> None:
        with files.reserved(str(tmp_path)):
            order.append("second")

    with files.reserved(str(tmp_path)):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
