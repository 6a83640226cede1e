# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import time
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder, Lock
from ansible_collections.emperor.web.plugins.module_utils._outcome import failed_before_switch, note_migrations
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

from ...releases import deploying, finish, history, mark_of, work_on

OLD, NEW = "aaaaaaaa-00000001", "bbbbbbbb-00000002"
SECRET = "s3cret-of-the-shop"


@pytest.fixture
def layout(tmp_path):
    """An app whose old release is live and whose new one is on its way."""
    layout = Layout(str(tmp_path / "shop"))
    finish(layout, OLD)
    finish(layout, NEW, revision="bbbbbbbb", version="v2")
    os.symlink(f"releases/{OLD}", layout.current)
    deploying(layout, NEW)
    return layout


def fail(layout: Layout, release: str = NEW, *, check: bool = False, **changes) -> list[str]:
    """Have a step of the release fail; returns the warnings."""
    told: list[str] = []
    module = SimpleNamespace(check_mode=check, no_log_values={SECRET}, warn=told.append)
    failure = {"step": "check", "reason": "DEBUG is on.\nSet it to False"} | changes
    failed_before_switch(module, f"{layout.release(release)}/env", **failure)
    return told


def test_it_is_marked_and_in_the_history(layout, monkeypatch):
    holder = work_on(layout, monkeypatch)
    assert fail(layout, seconds={"check": 1.5}) == []
    mark, (entry,) = mark_of(layout, NEW), history(layout)
    assert mark == {"time": mark["time"], "reason": "DEBUG is on.", "step": "check"}
    assert mark["time"] == pytest.approx(time.time(), abs=60)
    assert os.stat(layout.failure(NEW)).st_mode & 0o777 == 0o640
    assert entry == {
        "time": entry["time"],
        "action": "release",
        "release": NEW,
        "previous": OLD,
        "revision": "bbbbbbbb",
        "version": "v2",
        "by": holder.by,
        "result": "failed",
        "reason": "DEBUG is on.",
        "step": "check",
        "seconds": {"check": 1.5},
    }


def test_the_first_release_has_none_before_it(layout, monkeypatch):
    os.unlink(layout.current)
    work_on(layout, monkeypatch)
    fail(layout)
    assert history(layout)[0]["previous"] == ""


def test_no_secret_stays_on_the_host(layout, monkeypatch):
    work_on(layout, monkeypatch)
    fail(layout, reason=f"bad key {SECRET}")
    assert mark_of(layout, NEW)["reason"] == history(layout)[0]["reason"] == "bad key ********"


def alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)


def lock_is_given_back(layout: Layout, _monkeypatch: pytest.MonkeyPatch) -> None:
    os.unlink(Lock("shop", layout.root).path)


def another_run_has_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_is_given_back(layout, monkeypatch)
    Lock("shop", layout.root).acquire(Holder("f00d", "ann", "laptop", "another system", 4711, "1"))


def live_already(layout: Layout, _monkeypatch: pytest.MonkeyPatch) -> None:
    os.unlink(layout.current)
    os.symlink(f"releases/{NEW}", layout.current)


def deployed_long_ago(layout: Layout, _monkeypatch: pytest.MonkeyPatch) -> None:
    """As the release that a rollback goes to."""
    os.unlink(layout.pending(NEW))


@pytest.mark.parametrize(
    "otherwise",
    [alone, lock_is_given_back, another_run_has_it, live_already, deployed_long_ago],
    ids=lambda how: how.__name__,
)
def test_nothing_is_noted_of_what_is_not_being_deployed(layout, monkeypatch, otherwise):
    work_on(layout, monkeypatch)
    otherwise(layout, monkeypatch)
    fail(layout)
    assert (mark_of(layout, NEW), history(layout)) == ({}, [])


def test_check_mode_notes_nothing(layout, monkeypatch):
    work_on(layout, monkeypatch)
    fail(layout, check=True)
    assert (mark_of(layout, NEW), history(layout)) == ({}, [])


@pytest.mark.parametrize("file", [None, "/etc/environment"])
def test_a_file_that_is_none_of_a_release(layout, monkeypatch, file):
    work_on(layout, monkeypatch)
    failed_before_switch(SimpleNamespace(check_mode=False), file, step="check", reason="x")
    assert history(layout) == []


def test_a_history_that_cannot_be_written_is_a_warning(layout, monkeypatch):
    work_on(layout, monkeypatch)

    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Layout, "record", refuse)
    (told,) = fail(layout)
    assert "releases.jsonl could not be written: No space left on device" in told


# Migrations that were applied before a later step failed.


DONE = [
    {"app": "shop", "name": "0002_size", "backwards": True},
    {"app": "shop", "name": "0003_colour", "backwards": False},
]
NAMES = ["shop.0002_size (undone)", "shop.0003_colour"]


def note(layout: Layout, *done: dict, check: bool = False) -> None:
    note_migrations(SimpleNamespace(check_mode=check), f"{layout.release(NEW)}/env", list(done))


def test_what_was_migrated_is_in_the_history_of_a_later_step(layout, monkeypatch):
    work_on(layout, monkeypatch)
    note(layout, DONE[0])
    note(layout, DONE[1])
    fail(layout, step="before_switch")
    fail(layout, step="migrate", migrations=["auth.0001_initial"])
    assert [line["migrations"] for line in history(layout)] == [NAMES, [*NAMES, "auth.0001_initial"]]


def test_a_later_run_has_not_done_it(layout, monkeypatch):
    """It finds nothing to migrate, and its line must not say that it did."""
    work_on(layout, monkeypatch)
    note(layout, *DONE)
    fail(layout)
    os.unlink(Lock("shop", layout.root).path)
    monkeypatch.setenv(VARIABLE, "f00d")
    Lock("shop", layout.root).acquire(Holder("f00d", "ann", "laptop", "another system", 4711, "1"))
    fail(layout)
    first, second = history(layout)
    assert first["migrations"] == NAMES and "migrations" not in second


@pytest.mark.parametrize("check", [False, True])
def test_nothing_is_noted_where_nothing_is_done_or_deployed(layout, monkeypatch, check):
    work_on(layout, monkeypatch)
    note(layout, *(DONE if check else ()), check=check)
    assert os.path.getsize(layout.pending(NEW)) == 0
    deployed_long_ago(layout, monkeypatch)
    note(layout, *DONE)
    assert not os.path.exists(layout.pending(NEW))
