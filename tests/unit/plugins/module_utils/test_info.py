# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils._info import AppInfo, moment, release_before
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

from ...releases import finish


def entry(release: str, previous: str = "", result: str = "live", **more) -> dict:
    return {"time": 1763842503.5, "release": release, "previous": previous, "result": result} | more


@pytest.mark.parametrize(
    ("history", "before"),
    [
        ([], ""),
        ([entry("a")], ""),
        ([entry("a"), entry("b", "a")], "a"),
        ([entry("b", "a"), entry("b", "b")], "a"),  # its vassal was written again
        ([entry("b", "a"), entry("c", "b", "failed")], "a"),
        ([entry("b", "a"), entry("a", "b"), entry("b", "a"), entry("c", "b"), entry("b", "c")], "c"),
        ([entry("b", "a"), entry("b", "c", "failed")], "a"),
    ],
)
def test_the_release_before(history, before):
    assert release_before(history, "b") == before


def test_a_time_is_utc():
    assert moment(0) == "1970-01-01T00:00:00Z"


@pytest.fixture
def app(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path / "shop"))
    for number, name in enumerate(("aa", "bb", "cc")):
        finish(layout, name, number, app="shop", revision=f"r{name}", version=f"v{number}")
    os.makedirs(layout.release("half"))
    os.symlink("releases/bb", layout.current)
    for line in (entry("aa"), entry("bb", "aa", by="ann", migrations=["shop.0002_x"]), entry("cc", "bb", "failed")):
        layout.record(line)
    for name in ("bb", "cc"):  # a live one may have a mark when a run was killed right after its switch
        Path(layout.failure(name)).write_text("{}")
    return layout


def report(app: Layout, **changes) -> dict:
    given = {"entries": 10, "question": None} | changes
    return AppInfo("shop", os.path.dirname(app.root), "/nowhere").report(**given)


def test_report(app):
    found = report(app)
    known = (
        "live",
        "previous",
        "version",
        "revision",
        "by",
        "since",
        "maintenance",
        "lock",
        "vassals",
        "health",
        "migrations",
    )
    assert [found[name] for name in known] == [
        "bb",
        "aa",
        "v1",
        "rbb",
        "ann",
        "2025-11-22T20:15:03Z",
        False,
        {},
        [],
        {},
        ["shop.0002_x"],
    ]
    assert [(one["release"], one["live"], one["was_live"], one["failed"]) for one in found["releases"]] == [
        ("cc", False, False, True),
        ("bb", True, True, False),
        ("aa", False, True, False),
    ]
    assert [one["release"] for one in found["history"]] == ["aa", "bb", "cc"]


def test_the_history_is_as_long_as_asked_for(app):
    assert [one["release"] for one in report(app, entries=1)["history"]] == ["cc"]
    assert report(app, entries=0)["history"] == []


def test_half_a_line_of_history_is_left_out(app):
    with open(app.log, "a") as handle:
        handle.write('{"time": 1, "rele')
    assert report(app)["live"] == "bb"


@pytest.mark.parametrize(
    ("text", "lock"),
    [(json.dumps({"by": "bob"}), {"by": "bob"}), ("bob", {"text": "bob"}), ("[1]", {"text": "[1]"}), ("", {})],
)
def test_a_lock_is_shown_as_it_is(app, text, lock):
    Path(app.lock).write_text(text)
    assert report(app)["lock"] == lock


def test_an_app_that_is_not_there(tmp_path):
    found = AppInfo("shop", str(tmp_path), str(tmp_path)).report(10, {"host": "x"})
    assert (found["live"], found["releases"], found["history"], found["health"]) == ("", [], [], {})


def test_a_live_release_that_does_not_answer(app):
    question = {"host": "x", "script_name": "", "path": "/", "status": {200}, "https": False, "timeout": 1}
    health = report(app, question=question)["health"]
    assert (health["healthy"], health["status"]) == (False, 0)
    assert "No such file" in health["problem"]
