# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from copy import deepcopy
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.emperor.web.plugins.action.settled import ActionModule

HOST = {"name": "host", "module": "host_info"}
RELEASE = {"name": "release", "module": "django_release", "options": {"state": "resolved"}}


@pytest.fixture
def action(monkeypatch):
    """Run the plugin; the module gives the answer. Returns the result, and the steps that the module got."""
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments, **_more: {})

    def run(steps: object, answer: dict | None = None) -> tuple[dict, list[dict]]:
        plugin = ActionModule.__new__(ActionModule)
        plugin._task = SimpleNamespace(environment=[], args={"steps": steps})
        plugin._playbook = os.getppid()
        given: list[dict] = []

        def execute(module_args, task_vars):
            given.extend(module_args["steps"] or [])
            return deepcopy(answer)

        monkeypatch.setattr(plugin, "_execute_module", execute)
        return plugin.run(), given

    return run


def answered(by_step: dict, *differs: str, **more) -> dict:
    return {"changed": False, "differs": list(differs), "by_step": by_step} | more


def test_results_are_as_those_of_tasks(action):
    by_step = {"host": {"": {"systemd": True}}, "release": {"shop": {"revision": "a"}, "blog": {"revision": "b"}}}
    steps = [HOST, RELEASE | {"apps": {"shop": {}, "blog": {}}}]
    result, _given = action(steps, answered(by_step))
    assert result["settled"] is True and "by_step" not in result
    assert result["results"]["host"] == {"systemd": True}
    told = result["results"]["release"]["results"]
    assert told == [{"app": "shop", "revision": "a"}, {"app": "blog", "revision": "b"}]


def test_a_step_that_did_not_come_to_its_end_has_no_result(action):
    by_step = {"host": {"": {"failed": True, "msg": "no"}}, "release": {"shop": {"revision": "a"}}}
    steps = [HOST, RELEASE | {"apps": {"shop": {}, "blog": {}}}]
    result, _given = action(steps, answered(by_step, "host: no"))
    assert (result["settled"], result["results"], result["differs"]) == (False, {}, ["host: no"])


def test_a_step_without_apps_is_whole(action):
    assert action([RELEASE | {"apps": {}}], answered({"release": {}}))[0]["results"]["release"]["results"] == []


def test_warnings_are_told_only_where_no_task_will(action):
    by_step = {"host": {"": {"warnings": ["odd"]}}}
    assert action([HOST], answered(by_step, warnings=["python3"]))[0]["warnings"] == ["python3", "odd"]
    assert action([HOST], answered(by_step, "host: would be changed"))[0].get("warnings", []) == []


def test_each_run_has_one_name(action):
    first, second = (action([HOST], answered({"host": {"": {}}}))[0]["deploy"] for _ in range(2))
    assert first and first == second


def test_sources_on_the_controller_are_told_by_their_digests(action, tmp_path):
    (tmp_path / "manage.py").write_text("")
    apps = {
        "shop": {"name": "shop", "source": str(tmp_path)},
        "blog": {"name": "blog", "source": "https://a:b@x/y.git"},
    }
    _result, [step] = action([RELEASE | {"apps": apps}], answered({"release": {}}))
    shop, blog = step["apps"]["shop"], step["apps"]["blog"]
    assert len(shop["revision"]) > 30 and shop["archive"] is None and shop["state"] == "resolved"
    assert (blog["source"], blog["login"]) == ("https://x/y.git", "a:b")


def test_sources_that_are_wrong_here_are_all_told(action, tmp_path):
    apps = {app: {"name": app, "source": str(tmp_path / app)} for app in ("shop", "blog")}
    result, given = action([RELEASE | {"apps": apps}])
    assert result["failed"] and given == []
    assert "app shop: source" in result["msg"] and "app blog: source" in result["msg"]


@pytest.mark.parametrize("steps", [None, [RELEASE | {"apps": "x"}], [HOST | {"module": "x"}]])
def test_what_the_module_refuses_is_the_answer(action, steps):
    assert action(steps, {"failed": True, "msg": "no"})[0] == {"failed": True, "msg": "no"}
