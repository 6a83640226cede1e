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
from ansible_collections.emperor.web.plugins.action.steps import ActionModule
from ansible_collections.emperor.web.plugins.module_utils._each import told
from ansible_collections.emperor.web.plugins.module_utils._lock import Holder, run_of
from ansible_collections.emperor.web.plugins.plugin_utils import _deploy
from ansible_collections.emperor.web.plugins.plugin_utils._answers import combined

BUSY = {"failed": True, "msg": "app shop is being deployed by ann"}
BUSY |= {"busy": asdict(Holder("f00d", "ann", "laptop", "another system", 4711, "12345", "v1.4.2"))}


@pytest.fixture
def action(monkeypatch):
    """Run the plugin; the module gives the answers one after the other. Returns the result and its calls."""
    monkeypatch.setattr(_deploy, "_PAUSE", 0.01)
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments, **_more: {})

    def run(steps: object, *answers: dict) -> tuple[dict, list[dict]]:
        plugin = ActionModule.__new__(ActionModule)
        plugin._task = SimpleNamespace(environment=[], args={"steps": steps})
        plugin._playbook = os.getppid()
        calls: list[dict] = []

        def execute(module_args, task_vars):
            calls.append(deepcopy(module_args))
            return deepcopy(answers[len(calls) - 1])

        monkeypatch.setattr(plugin, "_execute_module", execute)
        result = plugin.run()
        token = run_of(os.getppid()).token
        assert "deploy" not in result or plugin._task.environment == [{"EMPEROR_DEPLOY": token}]
        return result, calls

    return run


def answered(by_step: dict, ended: str = "", **more) -> dict:
    changed = any(answer.get("changed") for answers in by_step.values() for answer in answers.values())
    return {"changed": changed, "by_step": by_step, "ended": ended} | more


def step(name: str, module: str, **more) -> dict:
    return {"name": name, "module": module} | more


DONE = {"changed": True}
CHECK = step("check", "django_check", options={"deploy": True}, apps={"shop": {"wsgi": "b"}, "blog": {}})
FILES = step("files", "system_files", options={"files": []})


def test_results_are_as_those_of_tasks(action):
    by_step = {
        "check": {"shop": {"changed": False}, "blog": {"changed": False, "warnings": ["odd"]}},
        "files": {"": {"changed": True, "files": ["/x"], "diff": {"before": "", "after": "a"}}},
    }
    result, [call] = action([CHECK, FILES], answered(by_step, invocation="x", warnings=["discovered python3"]))
    assert call["steps"] == [CHECK, FILES] and call["known"] == {}
    assert [entry["app"] for entry in result["results"]["check"]["results"]] == ["shop", "blog"]
    assert result["results"]["files"] == {"changed": True, "files": ["/x"]}
    assert result["changed"] is True and result["invocation"] == "x" and "by_step" not in result
    assert result["diff"] == [{"before": "", "after": "a"}]
    assert result["warnings"] == ["discovered python3", "app blog: odd"]
    assert result["deploy"] == run_of(os.getppid()).token


def test_modules_under_the_lock_learn_which_run_this_is(action):
    hook = step("hook", "django_hook", options={"lock": "run"}, apps={"shop": {}})
    _result, [call] = action([FILES, hook], answered({"files": {"": {}}, "hook": {"shop": {}}}))
    assert "holder" not in call["steps"][0]["options"]
    assert call["steps"][1]["options"]["holder"]["token"] == run_of(os.getppid()).token


@pytest.mark.parametrize(
    "steps",
    [
        None,
        ["x"],
        [{"name": "a"}],
        [step("a", "django_check", options="x")],
        [step("a", "django_check", apps=["shop"])],
        [step("a", "django_check", apps={"shop": "x"})],
        [step("a", "command")],
    ],
)
def test_what_the_module_refuses_is_the_answer(action, steps):
    refused = {"failed": True, "msg": "no"}
    assert action(steps, refused)[0] == refused


def test_a_failure_is_that_of_the_step_without_the_results_of_others(action):
    failed = {"failed": True, "msg": "no", "traceback": "T", "changed": False}
    by_step = {"files": {"": DONE}, "check": {"shop": failed, "blog": {"changed": False}}, "late": {}}
    steps = [FILES, CHECK, step("late", "django_check", apps={"shop": {}})]
    result, _calls = action(steps, answered(by_step, "check"))
    assert (result["failed"], result["changed"], result["failed_step"]) == (True, True, "check")
    assert (result["msg"], result["traceback"]) == ("app shop: no", "T")
    assert list(result["results"]) == ["check"]
    assert [entry["app"] for entry in result["results"]["check"]["results"]] == ["shop"]
    result, _calls = action([FILES], answered({"files": {"": {"failed": True, "msg": "full", "rc": 2}}}, "files"))
    assert (result["failed"], result["msg"], result["rc"], result["results"]) == (True, "full", 2, {})


def test_a_failure_that_is_tolerated_is_a_result(action):
    by_step = {"check": {"shop": {"failed": True, "msg": "no"}, "blog": {}}}
    result, _calls = action([CHECK | {"tolerate": True}], answered(by_step))
    assert "failed" not in result and result["results"]["check"]["results"][0]["msg"] == "no"


BUILD = step("build", "django_release", options={"state": "present", "lock": "run"}, apps={"shop": {}, "blog": {}})


def test_apps_wait_for_their_locks_and_what_was_done_is_not_done_again(action):
    steps = [FILES, BUILD, CHECK]
    waiting = answered({"files": {"": DONE}, "build": {"shop": DONE, "blog": BUSY}, "check": {}}, "build")
    rest = answered({"files": {"": DONE}, "build": {"shop": DONE, "blog": DONE}, "check": {"shop": {}, "blog": {}}})
    result, calls = action(steps, waiting, waiting, rest)
    assert [list(call["steps"][1]["apps"]) for call in calls] == [["shop", "blog"], ["blog"], ["blog"]]
    assert calls[1]["known"] == {"files": {"": DONE}, "build": {"shop": DONE}, "check": {}}
    assert "failed" not in result
    assert [entry["app"] for entry in result["results"]["build"]["results"]] == ["shop", "blog"]
    assert [entry["app"] for entry in result["results"]["check"]["results"]] == ["shop", "blog"]


def test_who_does_not_get_the_lock_fails(action):
    busy = answered({"build": {"shop": BUSY}, "check": {}}, "build")
    steps = [BUILD | {"options": {"lock_wait": 0}}, CHECK]
    result, calls = action(steps, busy, answered({"build": {"blog": BUSY}, "check": {}}, "build"))
    assert len(calls) == 2 and result["failed"] and result["failed_step"] == "build"
    assert "app shop is being deployed by ann (waited 0 s)" in result["msg"]


def test_a_lock_that_a_later_step_waits_for(action):
    ended = step("ended", "django_processes", options={"apps": []})
    by_step = {"build": {"shop": DONE, "blog": DONE}, "ended": {"": BUSY}}
    result, calls = action(
        [BUILD, ended], answered(by_step, "ended"), answered(by_step | {"ended": {"": {"changed": True}}})
    )
    assert len(calls) == 2 and "failed" not in result and result["results"]["ended"]["changed"]


def test_what_may_wait_is_not_waited_for_once_a_step_has_failed(action):
    failed = {"check": {"shop": {"failed": True, "msg": "no"}, "blog": {}}, "build": {}}
    result, calls = action([CHECK, BUILD], answered(failed, "check"))
    assert len(calls) == 1 and (result["failed_step"], result["msg"]) == ("check", "app shop: no")
    pruned = step(
        "pruned", "django_release", options={"state": "pruned", "lock": "last"}, apps={"shop": {}, "blog": {}}
    )
    failed = {"build": {"shop": {"failed": True, "msg": "no"}, "blog": DONE}, "pruned": {}}
    result, calls = action([BUILD, pruned], answered(failed, "build"))
    assert len(calls) == 1 and result["failed_step"] == "build"
    failed = {"build": {"shop": DONE, "blog": DONE}, "check": {"shop": {"failed": True, "msg": "no"}}, "pruned": {}}
    result, calls = action([BUILD, CHECK, pruned], answered(failed, "check"))
    assert len(calls) == 1 and result["failed_step"] == "check"


def test_sources_that_the_host_lacks_are_sent(action, tmp_path, monkeypatch):
    (tmp_path / "manage.py").write_text("")
    apps = {"shop": {"name": "shop", "source": str(tmp_path)}}
    sent = []
    shell = SimpleNamespace(join_path=lambda *parts: "/".join(parts), tmpdir="/tmp/x")
    monkeypatch.setattr(ActionModule, "_make_tmp_path", lambda _self: None)
    monkeypatch.setattr(ActionModule, "_connection", SimpleNamespace(_shell=shell), raising=False)
    monkeypatch.setattr(ActionModule, "_transfer_file", lambda _self, _local, remote: sent.append(remote) or remote)
    wanting = answered({"build": {"shop": {"wants_archive": True}}, "check": {}}, "build")
    built = answered({"build": {"shop": DONE}, "check": {"shop": {}, "blog": {}}})
    result, calls = action([BUILD | {"apps": apps}, CHECK], wanting, built)
    assert sent == ["/tmp/x/source-0"] and calls[1]["steps"][0]["apps"]["shop"]["archive"] == "/tmp/x/source-0"
    assert "failed" not in result and result["results"]["build"]["results"][0]["changed"]


def test_sources_that_are_wrong_here_are_all_told_and_the_host_is_not_asked(action, tmp_path):
    apps = {app: {"name": app, "source": str(tmp_path / app)} for app in ("shop", "blog")}
    result, calls = action([BUILD | {"apps": apps}])
    assert result["failed"] and calls == []
    assert "app shop: source" in result["msg"] and "app blog: source" in result["msg"]


def test_logins_are_taken_out_of_sources(action):
    apps = {"blog": {"name": "blog", "source": "https://u:p@git.example.com/b"}}
    _result, [call] = action([BUILD | {"apps": apps}], answered({"build": {"blog": DONE}}))
    given = call["steps"][0]["apps"]["blog"]
    assert (given["source"], given["login"]) == ("https://git.example.com/b", "u:p")


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
