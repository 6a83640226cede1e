# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_uwsgi_vassal as uwsgi_vassal
from ansible_collections.emperor.web.plugins.module_utils._health import SwitchError, parse_statuses
from ansible_collections.emperor.web.plugins.module_utils._process import UserError
from ansible_collections.emperor.web.plugins.module_utils._release import Layout
from ansible_collections.emperor.web.plugins.module_utils._switch import Switch
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import UwsgiError

from ...releases import finish, work_on

OLD, NEW = "aaaaaaaa-00000001", "bbbbbbbb-00000002"
DONE = {"served": NEW, "seconds": {"start": 0.5}}


@pytest.fixture
def switch(monkeypatch, tmp_path):
    """A switch that goes as it is told, of an app of which the old release is live."""
    os.symlink(f"releases/{OLD}", tmp_path / "current")
    calls = []

    class Told:
        fails: Exception | None = None
        options: dict = {}
        arguments = {"name": "shop", "release": NEW, "root": str(tmp_path)}
        called = calls

    def act(name):
        def method(self):
            calls.append(name)
            Told.options = self.options
            if Told.fails:
                raise Told.fails
            os.unlink(tmp_path / "current")
            os.symlink(f"releases/{self.release}", tmp_path / "current")
            return DONE

        return method

    monkeypatch.setattr(Switch, "served", lambda self: self.layout.live())
    monkeypatch.setattr(Switch, "needed", lambda self: self.layout.live() != self.release)
    monkeypatch.setattr(Switch, "go", act("go"))
    monkeypatch.setattr(Switch, "confirm_live", act("confirm_live"))
    return Told


def test_check_mode_foretells_the_real_run_and_a_second_one_changes_nothing(run_module, switch):
    foretold = run_module(uwsgi_vassal, switch.arguments, check=True)
    assert switch.called == []
    real = run_module(uwsgi_vassal, switch.arguments)
    again = run_module(uwsgi_vassal, switch.arguments)
    assert [result["changed"] for result in (foretold, real, again)] == [True, True, False]
    assert switch.called == ["go", "confirm_live"]
    assert foretold["diff"] == real["diff"] == {"before": f"live: {OLD}\n", "after": f"live: {NEW}\n"}
    assert "diff" not in again
    for result in (foretold, real):
        assert (result["release"], result["previous"]) == (NEW, OLD)
    assert (real["served"], real["seconds"]) == (NEW, {"start": 0.5})
    assert "served" not in foretold


def test_the_first_release_has_none_before_it(run_module, switch, tmp_path):
    os.unlink(tmp_path / "current")
    result = run_module(uwsgi_vassal, switch.arguments, check=True)
    assert result["previous"] == ""
    assert result["diff"]["before"] == "live: none\n"


def test_a_release_that_does_not_go_live_fails_with_the_log(run_module, switch):
    switch.fails = SwitchError("release x is not healthy: / answers 500", ["KeyError: 'DB'"])
    result = run_module(uwsgi_vassal, switch.arguments)
    assert result["msg"] == "app shop: release x is not healthy: / answers 500"
    assert result["log"] == ["KeyError: 'DB'"]
    assert result["served"] == OLD


@pytest.mark.parametrize(
    "error", [UwsgiError("uwsgi: x"), UserError("user shop does not exist"), OSError(28, "No space left")]
)
def test_other_failures_name_the_app(run_module, switch, error):
    switch.fails = error
    assert run_module(uwsgi_vassal, switch.arguments)["msg"] == f"app shop: {error}"


def test_statuses_are_understood_before_anything_is_done(run_module, switch):
    result = run_module(uwsgi_vassal, switch.arguments | {"health_status": "2xx"})
    assert "health_status: '2xx' is no HTTP status or range; write for example 200-399,401" in result["msg"]
    assert switch.called == []


def test_the_options_reach_the_switch(run_module, switch):
    given = {"health_status": "204", "health_path": "/ready", "host": "x.org", "https": True, "timeout": 5, "drain": 6}
    given |= {
        "script_name": "/shop",
        "health_text": "ok",
        "health_count": 1,
        "settle": 0,
        "probation": 9,
        "probation_errors": 1,
        "overlap": False,
    }
    run_module(uwsgi_vassal, switch.arguments | given)
    assert {name: switch.options[name] for name in given} == given


def test_the_history_gets_what_was_migrated_on_the_way(run_module, switch, monkeypatch, tmp_path):
    layout = Layout(str(tmp_path))
    finish(layout, NEW)
    holder = work_on(layout, monkeypatch)
    note = {"deploy": holder.token, "migrations": ["shop.0009_x (undone)", "shop.0008_y"]}
    Path(layout.pending(NEW)).write_text(json.dumps(note))
    run = switch.arguments | {"lock": "run", "holder": asdict(holder), "migrations": ["shop.0008_y", "auth.0001_z"]}
    run_module(uwsgi_vassal, run)
    assert switch.options["migrations"] == ["shop.0009_x (undone)", "shop.0008_y", "auth.0001_z"]
    Path(layout.pending(NEW)).write_text(json.dumps(note | {"deploy": "another run"}))
    run_module(uwsgi_vassal, run)
    assert switch.options["migrations"] == ["shop.0008_y", "auth.0001_z"]


def test_a_wrong_path_is_no_healthy_answer_by_default(run_module, switch):
    run_module(uwsgi_vassal, switch.arguments)
    statuses = parse_statuses(switch.options["health_status"])
    assert {200, 302, 401, 403} <= statuses
    assert not {400, 404, 500, 502, 503} & statuses


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("health_count", 0, "health_count is 0, it has to be 1 or more"),
        ("settle", -1, "settle is -1, it has to be 0 or more"),
        ("probation_errors", 0, "probation_errors is 0, it has to be 1 or more"),
        ("health_path", "healthz", "health_path: 'healthz' is no path; write for example /healthz"),
        ("script_name", "/shop/", "script_name: '/shop/' is no path; write for example /shop"),
    ],
)
def test_values_that_mean_nothing_are_refused(run_module, switch, option, value, said):
    assert run_module(uwsgi_vassal, switch.arguments | {option: value})["msg"] == f"app shop: {said}"
    assert switch.called == []


@pytest.mark.parametrize("missing", ["name", "release"])
def test_what_is_required(run_module, switch, missing):
    arguments = {name: value for name, value in switch.arguments.items() if name != missing}
    assert f"missing required arguments: {missing}" in run_module(uwsgi_vassal, arguments)["msg"]
