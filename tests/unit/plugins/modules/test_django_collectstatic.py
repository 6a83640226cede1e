# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_django_collectstatic as django_collectstatic
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._django_parts import COLLECTSTATIC, static_code
from ansible_collections.emperor.web.plugins.module_utils._module_django_collectstatic import diff_of

ARGUMENTS = {"project": "/srv/x", "settings": "shop.settings", "python": sys.executable}
NOTHING = {
    "location": "/srv/static",
    "added": [],
    "modified": [],
    "deleted": [],
    "unmodified": 3,
    "post_processed": 0,
    "precompressed": 0,
    "clashes": [],
    "exact": True,
}


@pytest.mark.parametrize(
    ("answer", "before", "after"),
    [
        pytest.param({}, "", "", id="nothing"),
        pytest.param({"added": ["b.css", "a.css"]}, "", "a.css\nb.css\n", id="added"),
        pytest.param({"deleted": ["a.css"]}, "a.css\n", "", id="deleted"),
        pytest.param(
            {"modified": ["b.css"], "added": ["c.css"], "deleted": ["a.css"]},
            "a.css\nb.css\n",
            "b.css (modified)\nc.css\n",
            id="all",
        ),
    ],
)
def test_diff(answer, before, after):
    expected = {"before_header": "/srv/static", "after_header": "/srv/static", "before": before, "after": after}
    assert diff_of(NOTHING | answer) == expected


def test_the_diff_of_a_bucket_has_a_header():
    assert diff_of(NOTHING | {"location": ""})["after_header"] == "static files"


@pytest.fixture
def project(monkeypatch):
    """What the project answers; keeps what it was asked."""
    project = SimpleNamespace(answer={}, asked=[])

    def ask(_self, action, parts, **job):
        assert parts == COLLECTSTATIC
        project.asked.append((action, job))
        return NOTHING | {"warnings": []} | project.answer

    monkeypatch.setattr(DjangoModule, "ask", ask)
    return project


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("answer", "changed"),
    [({}, False), ({"added": ["a"]}, True), ({"modified": ["a"]}, True), ({"deleted": ["a"]}, True)],
    ids=["nothing", "added", "modified", "deleted"],
)
def test_changed_is_what_differs(run_module, project, answer, changed, check):
    project.answer = answer
    result = run_module(django_collectstatic, ARGUMENTS, check=check)
    assert result["changed"] is changed
    assert {name: result[name] for name in NOTHING} == NOTHING | answer
    assert result["diff"]["after_header"] == "/srv/static"


def test_the_options_reach_the_project(run_module, project):
    given = {"clear": True, "link": True, "ignore": ["*.scss"], "prune": True, "precompress": [], "skip_checks": True}
    run_module(django_collectstatic, ARGUMENTS | given)
    assert project.asked == [("collectstatic", given | {"code": static_code()})]


def test_links_are_not_compressed(run_module, project):
    result = run_module(django_collectstatic, ARGUMENTS | {"link": True, "precompress": ["gzip"]})
    assert "precompress cannot be combined with link" in result["msg"]
    assert project.asked == []


def test_check_mode_before_the_build_predicts_nothing(run_module, project, tmp_path):
    arguments = {"project": "/x", "settings": "x", "virtualenv": str(tmp_path / "venv")}
    result = run_module(django_collectstatic, arguments, check=True)
    assert result["predicted"] is False
    assert (result["changed"], result["added"], result["modified"], result["deleted"]) == (False, [], [], [])
    assert project.asked == []
