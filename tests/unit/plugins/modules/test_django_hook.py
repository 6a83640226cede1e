# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import getpass
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_django_hook, _module_django_migrate
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._lock import Lock
from ansible_collections.emperor.web.plugins.module_utils._release import Layout
from ansible_collections.emperor.web.plugins.modules import django_hook

from ...releases import deploying, finish, history, mark_of, work_on

LAUNCHER = Path(__file__).resolve().parents[4] / "roles/uwsgi/files/run.py"
RELEASE = "3f2a9c1b-7d04e6aa"
SECRET = "s3cret-of-the-shop"
ENVIRONMENT = {"PATH": os.environ["PATH"], "API_TOKEN": SECRET, "EMPEROR_RELEASE": RELEASE, "TRICKY": "100% $(id)\n"}


@pytest.fixture
def hook(run_module, monkeypatch, tmp_path):
    """Run commands for a release that is there, with the launcher that hosts have."""
    folder = Path(finish(Layout(str(tmp_path)), RELEASE, app=getpass.getuser(), project="site"))
    (folder / "src/site").mkdir(parents=True)
    (folder / "env").write_text(json.dumps(ENVIRONMENT))
    monkeypatch.setattr(_module_django_hook, "LAUNCHER", str(LAUNCHER))
    monkeypatch.setattr(_module_django_hook.run_hooks, "__kwdefaults__", {"launcher": str(LAUNCHER)})

    def run(*commands: str, check: bool = False, **options) -> dict:
        arguments = {"name": "shop", "root": str(tmp_path), "release": RELEASE, "step": "before_switch"}
        return run_module(django_hook, arguments | {"commands": list(commands)} | options, check=check)

    return run


def test_commands_run_in_the_environment_and_folder_of_the_release(hook, tmp_path):
    result = hook('printf %s "$TRICKY$EMPEROR_RELEASE"', "pwd; env >&2")
    assert result["changed"] is True
    first, second = result["commands"]
    assert first["stdout"] == f"100% $(id)\n{RELEASE}"
    assert second["stdout"] == f"{tmp_path}/releases/{RELEASE}/src/site\n"
    names = {line.partition("=")[0] for line in second["stderr"].splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_", "TERM", ""} <= {*ENVIRONMENT, "EMPEROR_STEP"}
    assert not (tmp_path / "deploy.lock").exists()


def test_a_secret_is_not_shown(hook):
    result = hook('echo "token $API_TOKEN"')
    assert SECRET not in str(result)
    assert result["commands"][0]["stdout"].startswith("token ***")


@pytest.mark.parametrize(
    ("live", "said"), [("other", f"; {RELEASE} does not go live"), (RELEASE, f"; release {RELEASE} is live already")]
)
def test_a_failure_says_what_failed_and_what_is_live(hook, tmp_path, live, said):
    (tmp_path / "current").symlink_to(f"releases/{live}")
    result = hook("touch first", 'echo "bad $API_TOKEN" >&2; exit 7', "touch third")
    assert result["failed"] and result["rc"] == 7
    assert result["msg"].startswith("app shop: hook before_switch: echo")
    assert "ended with 7: bad ***" in result["msg"] and result["msg"].endswith(said)
    assert SECRET not in str(result)
    assert os.listdir(tmp_path / "releases" / RELEASE / "src/site") == ["first"]
    assert not (tmp_path / "deploy.lock").exists()


def test_a_release_fails_with_a_hook_of_its_deployment(hook, tmp_path, monkeypatch):
    layout = Layout(str(tmp_path))
    deploying(layout, RELEASE)
    hook("exit 7")
    assert (mark_of(layout, RELEASE), history(layout)) == ({}, []), "a task of its own deploys nothing"
    holder = work_on(layout, monkeypatch)
    hook('echo "bad $API_TOKEN" >&2; exit 7', lock="run", holder=asdict(holder))
    mark, (entry,) = mark_of(layout, RELEASE), history(layout)
    assert (mark["step"], entry["step"], entry["result"]) == ("before_switch", "before_switch", "failed")
    assert mark["reason"] == entry["reason"] and "ended with 7: bad ***" in mark["reason"]
    assert list(entry["seconds"]) == ["before_switch"]


def test_the_history_of_a_failed_hook_has_what_was_migrated_before(hook, run_module, tmp_path, monkeypatch):
    layout = Layout(str(tmp_path))
    environment_file = deploying(layout, RELEASE)
    holder = work_on(layout, monkeypatch)
    applied = {"app": "shop", "name": "0009_colour", "backwards": False, "operations": []}
    answer = dict.fromkeys(("tables", "pruned", "recorded", "unsafe", "unapplied"), [])
    answer |= {"plan": [applied], "applied": [applied], "before": {}, "vendor": "sqlite", "name": "/srv/db"}
    monkeypatch.setattr(DjangoModule, "ask", lambda *_arguments, **_job: dict(answer))
    project = {"project": "/srv/x", "python": sys.executable, "environment_file": environment_file}
    assert run_module(_module_django_migrate, project)["changed"]
    hook("exit 7", step="after_migrate", lock="run", holder=asdict(holder))
    (entry,) = history(layout)
    assert (entry["step"], entry["migrations"]) == ("after_migrate", ["shop.0009_colour"])


def test_a_command_that_does_not_end_is_ended(hook):
    result = hook("sleep 600 & wait", timeout=1)
    assert "did not finish within 1 s and was ended" in result["msg"]


def test_check_mode_lists_the_commands(hook, tmp_path):
    result = hook("touch first", "touch second", check=True)
    assert result["changed"] is True
    assert result["diff"]["after"] == "before_switch: touch first\nbefore_switch: touch second\n"
    assert os.listdir(tmp_path / "releases" / RELEASE / "src/site") == []


def test_no_commands_are_no_change(hook):
    result = hook()
    assert (result["changed"], result["commands"]) == (False, [])


def test_a_release_that_is_not_there(hook):
    result = hook("true", release="nothing")
    assert "release nothing does not exist or was never finished; build it with django_release" in result["msg"]


def test_a_host_without_the_launcher(hook, monkeypatch):
    monkeypatch.setattr(_module_django_hook, "LAUNCHER", "/nowhere/run.py")
    assert "/nowhere/run.py does not exist; use the role emperor.web.uwsgi on this host first" in hook("true")["msg"]


def test_a_run_that_lost_the_lock_runs_nothing(hook, tmp_path):
    result = hook("touch first", lock="run")
    assert "the deploy lock of app shop is not this run's any more" in result["msg"]
    assert os.listdir(tmp_path / "releases" / RELEASE / "src/site") == []
    assert Lock("shop", str(tmp_path)).holder() is None
