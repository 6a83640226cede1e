# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.modules import django_migrate
from ansible_collections.emperor.web.plugins.modules.django_migrate import diff_of

ARGUMENTS = {"project": "/srv/x", "settings": "shop.settings", "python": sys.executable}


def step(name: str, *operations: str, backwards: bool = False) -> dict:
    return {"app": "shop", "name": name, "backwards": backwards, "operations": list(operations)}


@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        pytest.param([], "", "", id="nothing"),
        pytest.param(
            [step("0001_initial", "Create model Item", "Create index"), step("0002_slug", "Add field slug")],
            "",
            "shop.0001_initial\n    Create model Item\n    Create index\nshop.0002_slug\n    Add field slug\n",
            id="forwards",
        ),
        pytest.param(
            [step("0002_slug", "Add field slug", backwards=True), step("0001_initial", backwards=True)],
            "shop.0002_slug\n    Add field slug\nshop.0001_initial\n",
            "",
            id="backwards",
        ),
    ],
)
def test_diff(plan, before, after):
    header = "migrations of database other"
    expected = {"before_header": header, "after_header": header, "before": before, "after": after}
    assert diff_of(plan, "other") == expected


@pytest.fixture
def database(monkeypatch):
    """A database that keeps what was applied, behind the project's Django."""

    class Database:
        waiting = [step("0001_initial", "Create model Item")]
        vendor = "sqlite"
        asked: list = []

    def ask(self, action, **job):
        Database.asked.append((action.__name__.rpartition("_")[2], job))
        plan, applied = list(Database.waiting), []
        if not self.check_mode:
            applied = [{"app": entry["app"], "name": entry["name"], "seconds": 0.1, "fake": False} for entry in plan]
            Database.waiting = []
        return {"plan": plan, "vendor": Database.vendor, "name": "/srv/db", "applied": applied, "unapplied": []}

    monkeypatch.setattr(DjangoModule, "ask", ask)
    return Database


def test_check_mode_foretells_the_real_run_and_a_second_one_changes_nothing(run_module, database):
    foretold = run_module(django_migrate, ARGUMENTS, check=True)
    real = run_module(django_migrate, ARGUMENTS)
    again = run_module(django_migrate, ARGUMENTS)
    assert [result["changed"] for result in (foretold, real, again)] == [True, True, False]
    assert foretold["plan"] == real["plan"] != again["plan"]
    assert foretold["diff"] == real["diff"]
    assert foretold["applied"] == []
    assert real["applied"][0]["name"] == "0001_initial"
    assert again["diff"]["after"] == ""


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        ("sqlite", {"alias": "default", "vendor": "sqlite", "name": "/srv/db"}),
        ("postgresql", {"alias": "default", "vendor": "postgresql"}),
    ],
)
def test_the_name_of_a_database_is_shown_where_it_is_a_path(run_module, database, vendor, expected):
    database.vendor = vendor
    result = run_module(django_migrate, ARGUMENTS)
    assert result["database"] == expected
    assert "name" not in result and "vendor" not in result


def test_the_options_reach_the_project(run_module, database):
    given = {"app": "shop", "migration": "zero", "database": "other", "fake": True, "skip_checks": True}
    result = run_module(django_migrate, ARGUMENTS | given)
    assert database.asked[-1] == ("migrate", given)
    assert result["database"]["alias"] == "other"
    assert result["diff"]["after_header"] == "migrations of database other"


def test_a_migration_needs_its_app(run_module, database):
    assert (
        "missing parameter(s) required by 'migration': app"
        in run_module(django_migrate, ARGUMENTS | {"migration": "0003"})["msg"]
    )


def test_check_mode_before_the_build_predicts_nothing(run_module, database, tmp_path):
    arguments = {"project": "/x", "settings": "x", "virtualenv": str(tmp_path / "venv")}
    result = run_module(django_migrate, arguments, check=True)
    assert result["predicted"] is False
    assert (result["changed"], result["plan"], result["applied"], result["unapplied"]) == (False, [], [], [])
