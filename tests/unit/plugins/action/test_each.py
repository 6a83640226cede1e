# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.emperor.web.plugins.action.each import ActionModule
from ansible_collections.emperor.web.plugins.module_utils._each import told
from ansible_collections.emperor.web.plugins.module_utils._lock import Holder
from ansible_collections.emperor.web.plugins.plugin_utils import _deploy
from ansible_collections.emperor.web.plugins.plugin_utils._answers import combined

BUSY = {"failed": True, "msg": "app shop is being deployed by ann"}
BUSY |= {"busy": asdict(Holder("f00d", "ann", "laptop", "another system", 4711, "12345", "v1.4.2"))}


@pytest.fixture
def action(monkeypatch):
    """Run the plugin; the module gives the answers by app one after the other. Returns the result and its calls."""
    monkeypatch.setattr(_deploy, "_PAUSE", 0.01)
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments, **_more: {})

    def run(arguments: dict, *answers: dict) -> tuple[dict, list[dict]]:
        plugin = ActionModule.__new__(ActionModule)
        plugin._task = SimpleNamespace(environment=[], args=arguments)
        plugin._playbook = os.getppid()
        calls: list[dict] = []

        def execute(module_args, task_vars):
            calls.append(module_args)
            return deepcopy(answers[len(calls) - 1])

        monkeypatch.setattr(plugin, "_execute_module", execute)
        return plugin.run(), calls

    return run


def test_options_of_all_and_of_each(action):
    arguments = {
        "module": "django_check",
        "options": {"deploy": True, "wsgi": "a"},
        "apps": {"shop": {"wsgi": "b"}, "blog": {}},
    }
    by_app = {"shop": {"changed": False}, "blog": {"changed": False, "warnings": ["odd"]}}
    answer = {"by_app": by_app, "invocation": "x", "warnings": ["discovered python3"]}
    result, [call] = action(arguments, answer)
    assert call["apps"] == {"shop": {"deploy": True, "wsgi": "b"}, "blog": {"deploy": True, "wsgi": "a"}}
    assert call["options"] == {}
    assert [entry["app"] for entry in result["results"]] == ["shop", "blog"]
    assert result["invocation"] == "x" and "by_app" not in result
    assert result["warnings"] == ["discovered python3", "app blog: odd"]


def test_what_the_module_refuses_is_the_answer(action):
    refused = {"failed": True, "msg": "value of module must be one of"}
    assert action({"module": "command", "apps": {"shop": {}}}, refused)[0] == refused
    assert action({"module": "django_check", "apps": {"shop": "x"}}, refused)[0] == refused
    assert action({"module": "django_check", "apps": ["shop"]}, refused)[0] == refused


def test_apps_wait_for_their_locks_one_after_the_other(action):
    arguments = {"module": "django_release", "options": {"state": "unlocked"}, "apps": {"shop": {}, "blog": {}}}
    done = {"changed": True}
    result, calls = action(
        arguments, {"by_app": {"shop": BUSY}}, {"by_app": {"shop": BUSY}}, {"by_app": {"shop": done, "blog": done}}
    )
    assert [list(call["apps"]) for call in calls] == [["shop", "blog"]] * 3
    assert "failed" not in result and all(entry["deploy"] for entry in result["results"])


def test_apps_that_are_done_are_not_done_again(action):
    arguments = {"module": "uwsgi_vassal", "apps": {"shop": {}, "blog": {}, "wiki": {}}}
    done = {"changed": True}
    result, calls = action(
        arguments, {"by_app": {"shop": done, "blog": BUSY}}, {"by_app": {"blog": done, "wiki": done}}
    )
    assert [list(call["apps"]) for call in calls] == [["shop", "blog", "wiki"], ["blog", "wiki"]]
    assert [entry["app"] for entry in result["results"]] == ["shop", "blog", "wiki"]


def test_a_source_that_is_not_there_stops_no_other_app(action, tmp_path):
    apps = {
        "shop": {"name": "shop", "source": str(tmp_path / "none")},
        "blog": {"name": "blog", "source": "https://u:p@git.example.com/b"},
    }
    result, [call] = action({"module": "django_release", "apps": apps}, {"by_app": {"blog": {"changed": True}}})
    assert list(call["apps"]) == ["blog"]
    assert (call["apps"]["blog"]["source"], call["apps"]["blog"]["login"]) == ("https://git.example.com/b", "u:p")
    assert result["failed"] and result["changed"]
    assert result["msg"].startswith(f"app shop: source {tmp_path}/none does not exist on the controller")
    assert [entry["app"] for entry in result["results"]] == ["shop"]


def test_one_answer_of_all():
    answers = {
        "shop": {"changed": True, "diff": {"before": "a", "after": "b"}, "warnings": ["odd"]},
        "blog": {"changed": False, "diff": {}},
    }
    assert combined(answers) == {
        "changed": True,
        "results": [{"app": "shop", "changed": True}, {"app": "blog", "changed": False}],
        "diff": [{"before": "a", "after": "b"}],
        "warnings": ["app shop: odd"],
    }


def test_one_failure_says_all_that_the_module_said():
    answers = {"shop": {"failed": True, "msg": "no", "traceback": "T", "changed": False}, "blog": {"changed": True}}
    result = combined(answers)
    assert (result["failed"], result["changed"], result["msg"], result["traceback"]) == (
        True,
        True,
        "app shop: no",
        "T",
    )
    assert [entry["app"] for entry in result["results"]] == ["shop"]


def test_several_failures_are_told_in_one_message():
    result = combined({app: {"failed": True, "msg": f"{app} is bad"} for app in ("shop", "blog", "wiki")})
    assert result["msg"] == "app shop: shop is bad; app blog: blog is bad; app wiki: wiki is bad"


def test_failures_that_are_tolerated_are_results():
    result = combined({"shop": {"failed": True, "msg": "no"}, "blog": {"changed": True}}, tolerate=True)
    assert "failed" not in result and result["changed"]
    assert result["results"] == [{"app": "shop", "failed": True, "msg": "no"}, {"app": "blog", "changed": True}]


def test_a_message_that_names_its_app_is_left_as_it_is():
    assert told("shop", "app shop is busy") == "app shop is busy"
    assert told("shop", "busy") == "app shop: busy"
