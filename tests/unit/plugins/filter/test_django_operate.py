# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks for operators choose, refuse and show."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.filter._django_choose import django_choose
from ansible_collections.emperor.web.plugins.filter._django_status import django_status
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps
from ansible_collections.emperor.web.plugins.modules import django_release_info

from ...releases import INFO

NAMES = ["shop", "blog"]


@pytest.mark.parametrize(
    ("app", "one", "chosen"),
    [("", False, NAMES), ("blog", False, ["blog"]), ("blog, shop", False, ["blog", "shop"]), ("shop", True, ["shop"])],
)
def test_apps_are_chosen(app, one, chosen):
    assert django_choose(NAMES, app, one) == chosen


def test_the_only_app_need_not_be_named():
    assert django_choose(["shop"], "", one=True) == ["shop"]


@pytest.mark.parametrize(
    ("app", "one", "message"),
    [
        ("wiki", False, "app wiki is not among the apps of this host; it has shop, blog"),
        ("", True, "say which app is meant, with -e app=NAME; this host has shop, blog"),
        ("shop,blog", True, "say which app is meant"),
    ],
)
def test_apps_that_cannot_be_chosen_are_refused(app, one, message):
    with pytest.raises(AnsibleFilterError, match=message):
        django_choose(NAMES, app, one)


def test_what_needs_a_live_release_is_refused_without():
    live = [{"name": "shop", "live": "1"}, {"name": "blog", "live": ""}]
    assert django_choose(NAMES, "shop", live=live) == ["shop"]
    with pytest.raises(AnsibleFilterError, match="no release of blog is live, so there is no site; deploy it first"):
        django_choose(NAMES, "", live=live)


STATUS = INFO | {
    "since": "2026-11-22T20:15:03Z",
    "by": "ann",
    "revision": "cccc",
    "version": "v3",
    "migrations": [],
    "asleep": False,
    "maintenance": False,
    "lock": {},
    "processes": [],
    "timers": [],
    "health": {"healthy": True, "status": 200, "problem": "", "seconds": 0.01},
    "vassals": [
        {"release": "cccc-3", "answers": True, "paused": False, "workers": 4, "busy": 1, "waiting": 0},
        {"release": "bbbb-2", "answers": False, "paused": False, "workers": 0, "busy": 0, "waiting": 0},
    ],
}
ASKED = {"app": "shop", "plan": [{}, {}], "unknown": ["shop.0009_x"]}


def shown(changes: dict, *asked: dict) -> dict[str, str]:
    head, *rows = django_status([STATUS | changes], {"shop": ["a.example.com", "b.example.com"]}, list(asked))
    assert head == "shop  a.example.com, b.example.com"
    return {row[2:13].strip(): row[13:] for row in rows}


def test_status():
    assert shown({}, ASKED) == {
        "live": "cccc-3  v3  since 2026-11-22T20:15:03Z  by ann",
        "revision": "cccc",
        "before": "bbbb-2  v2",
        "health": "well, 200 in 0.01 s",
        "migrations": "2 pending, 1 applied that the live release does not have",
        "vassals": "cccc-3: 4 workers, 1 busy, 0 waiting; bbbb-2: does not answer",
        "failed": "aaaa-1, eeee-1",
    }


@pytest.mark.parametrize(
    ("changes", "asked", "label", "text"),
    [
        ({"maintenance": True}, ASKED, "site", "closed for maintenance"),
        ({"lock": {"by": "bob", "pid": 7}}, ASKED, "lock", "by bob, pid 7"),
        ({"previous": "9999"}, ASKED, "before", "9999, removed"),
        ({"previous": ""}, ASKED, "before", "none"),
        ({"health": {"healthy": False, "problem": "/ answers 500"}}, ASKED, "health", "NOT WELL: / answers 500"),
        ({"health": {}}, ASKED, "health", "not asked"),
        ({"vassals": []}, ASKED, "vassals", "none runs"),
        ({"vassals": [], "asleep": True}, ASKED, "vassals", "asleep"),
        ({"vassals": [], "asleep": True, "health": {}}, ASKED, "health", "not asked, as that would wake it"),
        ({}, {"app": "blog", "plan": []}, "migrations", "not asked"),
        (
            {"migrations": ["a.1", "a.2", "b.1"]},
            {"app": "shop", "plan": []},
            "migrations",
            "0 pending; on the way to it: a.1, a.2, b.1",
        ),
        ({"migrations": [*"abcde"]}, {"app": "blog"}, "migrations", "not asked; on the way to it: 2 others, c, d, e"),
        ({}, {"app": "shop", "msg": "no server\nmore"}, "migrations", "cannot be asked: no server"),
    ],
)
def test_what_is_unusual_is_shown(changes, asked, label, text):
    assert shown(changes, asked)[label] == text


def test_the_page_shows_what_people_see():
    """What is shown of the samples that ansible-doc has is, word for word, the block in docs/releases.md."""
    parts = yaml.safe_load(django_release_info.RETURN)["apps"]["contains"]
    app = {name: about["sample"] for name, about in parts.items()} | {"processes": [], "timers": []}
    before = app["releases"][0] | {"release": app["previous"], "version": "v1.4.1", "live": False}
    app |= {"releases": [*app["releases"], before], "vassals": [app["vassals"][0] | {"busy": 0}]}
    lines = django_status([app], {"shop": ["shop.example.com"]}, [{"app": "shop", "plan": []}])
    page = (Path(__file__).resolve().parents[4] / "docs/releases.md").read_text()
    assert "```\n" + "\n".join(lines) + "\n```\n" in page


def test_an_app_that_was_never_deployed():
    lines = django_status([STATUS | {"live": ""}], {"shop": ["a.example.com"]}, [])
    assert lines == ["shop  a.example.com", "  live       no release; it has not been deployed"]


# What the inventory says about maintenance.


def maintenance(**given) -> dict:
    app = {"name": "shop", "source": "x", "domains": ["shop.example.com"], "maintenance": given}
    return django_apps([app])[0]["maintenance"]


def test_maintenance_has_defaults():
    assert maintenance() == {"page": "", "retry_after": 300, "allow": []}


def test_maintenance_is_as_given(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>Bin gleich zurück</p>")
    found = maintenance(page=str(page), retry_after=60, allow=["203.0.113.7", "2001:db8::/32"])
    assert found == {
        "page": "<p>Bin gleich zurück</p>",
        "retry_after": 60,
        "allow": ["203.0.113.7/32", "2001:db8::/32"],
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"page": "/nowhere/page.html"}, "/nowhere/page.html of app shop cannot be read on the controller"),
        ({"allow": ["office"]}, "'office', which is no address or network"),
        ({"allow": ["10.0.0.1/8"]}, "10.0.0.1/8"),
        ({"retry_after": 0}, "retry_after of app shop is 0"),
    ],
)
def test_maintenance_that_cannot_work_is_refused(given, message):
    with pytest.raises(AnsibleFilterError, match=message):
        maintenance(**given)
