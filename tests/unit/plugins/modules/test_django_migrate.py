# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_django_migrate as django_migrate
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._module_django_migrate import diff_of

ARGUMENTS = {"project": "/srv/x", "settings": "shop.settings", "python": sys.executable}


NOTHING: dict = {"plan": [], "tables": [], "pruned": [], "recorded": [], "unsafe": []}


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
    assert diff_of(NOTHING | {"plan": plan}, "other") == expected


def test_diff_of_what_is_no_migration():
    answer = NOTHING | {"pruned": ["shop.0001_old"], "recorded": ["shop.0001_squashed"], "tables": ["flat_label"]}
    found = diff_of(answer, "default")
    assert found["before"] == "record of shop.0001_old\n"
    assert found["after"] == "record of shop.0001_squashed\ntable flat_label\n"


def test_diff_with_sql():
    plan = [step("0002_slug", "Add field slug") | {"sql": ["-- Add field slug", "ALTER TABLE x"]}]
    assert (
        diff_of(NOTHING | {"plan": plan}, "x")["after"] == "shop.0002_slug\n    -- Add field slug\n    ALTER TABLE x\n"
    )


@pytest.fixture
def database(monkeypatch):
    """A database that keeps what was applied, behind the project's Django."""

    class Database:
        waiting = [step("0001_initial", "Create model Item")]
        vendor = "sqlite"
        more: dict = {}
        asked: list = []

    def ask(self, action, parts, **job):
        Database.asked.append((action, job))
        plan, applied = list(Database.waiting), []
        if not self.check_mode:
            applied = [{"app": entry["app"], "name": entry["name"], "seconds": 0.1, "fake": False} for entry in plan]
            Database.waiting = []
        done = {"applied": applied, "unapplied": [], "before": {"shop": "zero"}}
        return NOTHING | {"plan": plan, "vendor": Database.vendor, "name": "/srv/db"} | done | Database.more

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
    given |= {"allow": ["shop.0002_slug"], "lock_wait": 1, "lock_timeout": 0, "statement_timeout": 7}
    result = run_module(django_migrate, ARGUMENTS | given)
    action, job = database.asked[-1]
    assert action == "migrate"
    assert {name: job[name] for name in given} == given
    assert job["diff"] is True
    assert result["database"]["alias"] == "other"
    assert result["diff"]["after_header"] == "migrations of database other"


@pytest.mark.parametrize("what", ["tables", "pruned", "recorded"])
def test_all_that_is_done_is_a_change(run_module, database, what):
    database.waiting, database.more = [], {what: ["x"]}
    assert run_module(django_migrate, ARGUMENTS)["changed"] is True


def test_other_databases_are_warned_of():
    said: list[str] = []
    others = [{"alias": "a", "unapplied": ["shop.0001"]}, {"alias": "b", "unapplied": []}]
    others.append({"alias": "c", "unapplied": [], "error": "no way"})
    django_migrate.warn_of_others(SimpleNamespace(module=SimpleNamespace(warn=said.append)), others)
    assert said == [
        "database a lacks 1 migrations, the first is shop.0001; apply them with database: a",
        "database c was not looked at: no way",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"allow": ["shop"]}, "allow has shop; an entry is app.migration_name"),
        ({"allow": ["all", "shop.0002-x"]}, "allow has shop.0002-x"),
        ({"lock_timeout": -1}, "lock_timeout is -1; give seconds, 0 or more"),
        (
            {"targets": {"shop": "zero"}, "app": "shop"},
            "targets names apps and their migrations itself, so it goes without app",
        ),
        ({"targets": {"shop": None}}, "targets has no migration for shop; write its name"),
        (
            {"prune": True, "app": "shop", "fake_initial": True},
            "prune does nothing else, so it goes without fake_initial",
        ),
        ({"run_syncdb": True, "app": "shop", "migration": "0001"}, "run_syncdb makes all tables"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_asked(run_module, database, options, says):
    database.asked.clear()
    assert says in run_module(django_migrate, ARGUMENTS | options)["msg"]
    assert database.asked == []


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
