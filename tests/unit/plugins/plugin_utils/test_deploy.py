# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError
from ansible_collections.emperor.web.plugins.action import django_hook, django_rollback, uwsgi_vassal
from ansible_collections.emperor.web.plugins.module_utils._lock import Holder, run_of
from ansible_collections.emperor.web.plugins.plugin_utils import _deploy
from ansible_collections.emperor.web.plugins.plugin_utils._deploy import DeployAction

ELSEWHERE = Holder("f00d", "ann", "laptop", "another system", 4711, "12345", "v1.4.2")
BUSY = {"failed": True, "msg": "app shop is being deployed by ann", "busy": asdict(ELSEWHERE)}
DONE = {"changed": True}


@pytest.fixture
def action(monkeypatch):
    """Run the plugin; the module gives the answers one after the other. Returns the result and the module's calls."""
    monkeypatch.setattr(_deploy, "_PAUSE", 0.01)

    def run(*answers: dict, playbook: int | None = None, **arguments) -> tuple[dict, list[dict]]:
        plugin = uwsgi_vassal.ActionModule.__new__(uwsgi_vassal.ActionModule)
        plugin._task = SimpleNamespace(environment=[{"LANG": "C"}])
        plugin._playbook = playbook or os.getppid()
        calls: list[dict] = []

        def execute(module_args, task_vars):
            calls.append(dict(module_args))
            return dict(answers[min(len(calls), len(answers)) - 1])

        monkeypatch.setattr(plugin, "_execute_module", execute)
        result = plugin.run_locked({"name": "shop"} | arguments, {})
        token = calls[0]["holder"]["token"]
        assert plugin._task.environment == [{"LANG": "C"}, {"EMPEROR_DEPLOY": token}]
        assert result["deploy"] == token
        return result, calls

    return run


def test_module_learns_which_run_this_is(action):
    result, [call] = action(DONE)
    assert result["changed"] is True
    assert call["holder"] == asdict(run_of(os.getppid()))


def test_another_run_is_waited_for(action):
    result, calls = action(BUSY, BUSY, BUSY, DONE)
    assert "failed" not in result and len(calls) == 4
    assert [call.get("ended") for call in calls] == [None] * 4, "nobody here knows whether it is dead"


def test_the_wait_has_an_end(action):
    result, calls = action(BUSY, lock_wait=0.2)
    assert result["failed"] and len(calls) > 1
    assert result["msg"] == "app shop is being deployed by ann (waited 0 s)"
    assert result["locked_by"].startswith("ann from laptop (pid 4711)")
    assert "busy" not in result


def test_no_wait_is_no_wait(action):
    _result, calls = action(BUSY, lock_wait=0)
    assert len(calls) == 1


def test_dead_run_of_this_controller_is_taken_over_at_once(action):
    process = subprocess.Popen(["sleep", "600"])
    dead = run_of(process.pid)
    process.kill()
    process.wait()
    started = time.monotonic()
    result, calls = action({**BUSY, "busy": asdict(dead)}, DONE, lock_wait=0)
    assert result["changed"] is True and time.monotonic() - started < 5
    assert [call.get("ended") for call in calls] == [None, dead.token]


def test_task_whose_playbook_was_killed_goes_no_further(action):
    with pytest.raises(AnsibleError, match="ansible-playbook was killed"):
        action(DONE, playbook=1 << 22)


@pytest.mark.parametrize("plugin", [django_hook, django_rollback, uwsgi_vassal])
def test_modules_that_need_the_lock_get_it(plugin):
    assert issubclass(plugin.ActionModule, DeployAction)
