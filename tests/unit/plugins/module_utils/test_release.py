# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import re

import pytest
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, release_id, release_of

from ...releases import finish, manifest

REVISION = "3f2a9c1b5d7e8f90112233445566778899aabbcc"
IDENTITY = {
    "name": "shop",
    "uwsgi": {"processes": 4, "route": ["a", "b"]},
    "extras": ["s3"],
    "environment": {"SECRET_KEY": "k", "GREETING": "é 한글 \udce9"},
    "python": "3.12",
}


def test_an_id_starts_with_the_revision_and_is_fit_for_a_path():
    assert re.fullmatch(r"3f2a9c1b-[0-9a-f]{8}", release_id(REVISION, IDENTITY))


def test_the_same_input_is_the_same_release_in_any_order():
    shuffled = {name: IDENTITY[name] for name in reversed(IDENTITY)}
    shuffled["environment"] = dict(reversed(IDENTITY["environment"].items()))
    assert release_id(REVISION, shuffled) == release_id(REVISION, IDENTITY)


def test_an_id_does_not_depend_on_the_run():
    """Ids are names on hosts: another way to count them would build every release again."""
    assert release_id("a" * 40, {"name": "shop", "environment": {"A": "é"}}) == "aaaaaaaa-c2465ed9"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"environment": IDENTITY["environment"] | {"GREETING": "é 한글"}}, id="an environment value"),
        pytest.param({"environment": IDENTITY["environment"] | {"MORE": ""}}, id="one more variable"),
        pytest.param({"uwsgi": {"processes": "4", "route": ["a", "b"]}}, id="type of an option"),
        pytest.param({"uwsgi": {"processes": 4, "route": ["b", "a"]}}, id="order of a list"),
        pytest.param({"python": "3.13"}, id="Python"),
        pytest.param({"settings": "shop.settings"}, id="one more option"),
    ],
)
def test_a_change_is_another_release(change):
    assert release_id(REVISION, IDENTITY | change) != release_id(REVISION, IDENTITY)


def test_another_revision_with_the_same_start_is_another_release():
    assert release_id(REVISION[:-1] + "0", IDENTITY) != release_id(REVISION, IDENTITY)


# The folders of an app.


@pytest.fixture
def layout(tmp_path):
    return Layout(str(tmp_path))


def test_a_new_app_has_nothing(layout):
    assert layout.live() is None
    assert layout.finished() == []
    assert layout.last_live(2) == []


@pytest.mark.parametrize("target", ["releases/a-1", "/srv/django/shop/releases/a-1"])
def test_live_is_what_current_names(layout, target):
    os.symlink(target, layout.current)
    assert layout.live() == "a-1"


def test_a_folder_in_place_of_the_link_is_no_live_release(layout):
    os.mkdir(layout.current)
    assert layout.live() is None


def test_a_manifest_is_read_as_it_was_written(layout):
    os.makedirs(layout.release("a-1"))
    written = manifest("a-1", 5.25, source="git@example.com:é.git", uwsgi={"processes": 2, "route": ["x"]})
    written.write(layout.release("a-1"))
    assert layout.manifest("a-1") == written


def test_what_has_no_manifest_was_never_finished(layout):
    finish(layout, "b-2", 2.0)
    finish(layout, "a-1", 10.0)
    os.makedirs(layout.release("c-3"))
    with open(os.path.join(layout.releases, "notes.txt"), "w", encoding="utf-8"):
        pass
    assert layout.manifest("c-3") is None
    assert layout.manifest("nowhere") is None
    assert [found.id for found in layout.finished()] == ["b-2", "a-1"]


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("/srv/django/shop/releases/a-1/env", ("/srv/django/shop", "a-1")),
        ("/srv/django/shop/current/env", None),
        ("/etc/environment", None),
        ("", None),
        (None, None),
    ],
)
def test_the_release_of_an_environment(file, found):
    assert release_of(file) == (found and (Layout(found[0]), found[1]))


def live(layout, *names):
    for name in names:
        layout.record({"release": name, "result": "live"})


def test_the_releases_that_were_live_last(layout):
    live(layout, "a", "b", "c")
    layout.record({"release": "d", "result": "failed"})
    live(layout, "b")
    assert layout.last_live(2) == ["b", "c"]
    assert layout.last_live(9) == ["b", "c", "a"]


def test_a_line_of_the_history_has_what_it_was_given(layout):
    layout.record({"release": "a", "result": "failed", "reason": "línea 1"})
    with open(layout.log, encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == [{"release": "a", "result": "failed", "reason": "línea 1"}]
    assert os.stat(layout.log).st_mode & 0o007 == 0


TORN = '{"release": "c", "resu'


def test_a_torn_line_is_passed_over(layout):
    live(layout, "a", "b")
    with open(layout.log, "a", encoding="utf-8") as log:
        log.write(TORN)
    assert layout.last_live(2) == ["b", "a"]


def test_a_torn_line_does_not_swallow_the_next_one(layout):
    live(layout, "a")
    with open(layout.log, "a", encoding="utf-8") as log:
        log.write(TORN)
    live(layout, "d")
    assert layout.last_live(2) == ["d", "a"]
