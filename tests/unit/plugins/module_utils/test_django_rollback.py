# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which release is gone back to, and what that means for the database."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils._django_rollback import (
    RollbackError,
    back_to,
    choose,
    lacking,
    live_of,
    refusal,
    summary,
    unknown,
)

from ...releases import INFO, known


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("", "bbbb-2"), ("bbbb-1", "bbbb-1"), ("v2", "bbbb-2"), ("aaaa", "aaaa-1"), ("aaaa-1", "aaaa-1")],
)
def test_the_release_to_go_back_to(wanted, found):
    assert choose(INFO, wanted)["release"] == found


OFFER = (
    "bbbb-2 v2 of 2026-11-22T20:00:00Z; bbbb-1 v1 of 2026-11-22T20:00:00Z; aaaa-1 v1 of 2026-11-22T20:00:00Z, failed"
)


@pytest.mark.parametrize(
    ("changes", "wanted", "parts"),
    [
        pytest.param({}, "dddd", ["there is no release dddd", OFFER], id="unknown"),
        pytest.param({}, "cccc-3", ["cccc-3 is live already", OFFER], id="live"),
        pytest.param({}, "v1", ["v1 may be each of bbbb-1, aaaa-1; give"], id="several"),
        pytest.param({"previous": ""}, "", ["no other release was live before cccc-3", OFFER], id="first"),
        pytest.param({"previous": "9999"}, "", ["9999, which was live before, has been removed", OFFER], id="pruned"),
        pytest.param({"previous": "aaaa-1"}, "", ["aaaa-1, which was live before, has failed"], id="failed"),
        pytest.param(
            {},
            "eeee-1",
            ["eeee-1 was never live", "deploy it with version: v1 in the inventory", OFFER],
            id="refused when it was deployed",
        ),
        pytest.param({}, "v4", ["eeee-2 was never live", OFFER], id="never live, by its version"),
        pytest.param({}, "eeee", ["eeee may be each of eeee-1, eeee-2"], id="several that were never live"),
        pytest.param({"previous": "eeee-2"}, "", ["eeee-2 was never live"], id="live, but never well"),
        pytest.param({"live": ""}, "", ["no release is live"], id="none"),
        pytest.param(
            {"previous": "", "releases": INFO["releases"][:1]},
            "",
            ["that were live, with -e release=ID: none"],
            id="only",
        ),
    ],
)
def test_a_release_that_cannot_be_gone_back_to(changes, wanted, parts):
    with pytest.raises(RollbackError) as error:
        choose(INFO | changes, wanted)
    assert [part for part in parts if part not in str(error.value)] == []


def test_what_was_never_live_is_not_offered():
    with pytest.raises(RollbackError) as error:
        choose(INFO, "dddd")
    assert "eeee" not in str(error.value)


def test_the_live_release():
    assert live_of(INFO)["release"] == "cccc-3"
    with pytest.raises(RollbackError, match=r"cccc-3 is live, and its folder has no release\.json; deploy the app"):
        live_of(INFO | {"releases": INFO["releases"][1:]})


@pytest.mark.parametrize(
    ("target", "live", "names"),
    [
        ({}, {}, []),
        ({"unknown": ["shop.0009_x", "blog.0002_y"]}, {"unknown": []}, ["shop.0009_x", "blog.0002_y"]),
        ({"unknown": ["shop.0009_x", "shop.0010_z"]}, {"unknown": ["shop.0010_z"]}, ["shop.0009_x"]),
        ({"unknown": ["old.0001_gone"]}, {"unknown": ["old.0001_gone"]}, []),
    ],
)
def test_migrations_that_only_the_live_release_knows(target, live, names):
    assert unknown(target, live) == names


@pytest.mark.parametrize(
    ("names", "before", "places"),
    [
        ([], {"shop": "0008_w"}, {}),
        (["shop.0009_x", "shop.0010_z"], {"shop": "0008_w", "blog": "0001_a"}, {"shop": "0008_w"}),
        (["new.0001_initial"], {"shop": "0008_w"}, {"new": "zero"}),
        (["new.0001_initial", "shop.0009_x"], {"shop": "0008_w"}, {"new": "zero", "shop": "0008_w"}),
    ],
)
def test_where_their_apps_have_to_be(names, before, places):
    assert back_to(names, before) == places


def test_migrations_that_the_database_lacks():
    assert lacking({}) == lacking({"plan": []}) == []
    assert lacking({"plan": [{"app": "shop", "name": "0007_v"}, {"app": "blog", "name": "0002_y"}]}) == [
        "shop.0007_v",
        "blog.0002_y",
    ]
    assert refusal(INFO["releases"][1], ["shop.0007_v", "blog.0002_y"]) == (
        "app shop: release bbbb-2 needs migrations that the database does not have: shop.0007_v, blog.0002_y. Deploy "
        "it, or apply them on the way with -e rollback_migrations=true"
    )


@pytest.mark.parametrize(
    ("version", "left", "seconds", "lines"),
    [
        ("v2", [], 2.3456, ["shop: release bbbb-2 v2 is live again after 2.3 s"]),
        ("", [], 0, ["shop: release bbbb-2 is live again after 0 s"]),
        (
            "v2",
            ["shop.0009_x", "shop.0010_z"],
            None,
            [
                "shop: release bbbb-2 v2 would be live again",
                "WARNING: the database has migrations that this release does not know: shop.0009_x, shop.0010_z",
            ],
        ),
    ],
)
def test_what_is_told(version, left, seconds, lines):
    before = "before it was cccc-3 v3; the next deploy goes to what the inventory says"
    found = summary(known("bbbb-2", version=version), INFO["releases"][0], left, seconds)
    assert found == [lines[0], before, *lines[1:]]
