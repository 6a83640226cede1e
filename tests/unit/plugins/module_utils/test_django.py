# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _django_check, _django_migration_guard
from ansible_collections.emperor.web.plugins.module_utils import (
    _module_django_check as django_check,
)
from ansible_collections.emperor.web.plugins.module_utils import (
    _module_django_collectstatic as django_collectstatic,
)
from ansible_collections.emperor.web.plugins.module_utils import (
    _module_django_migrate as django_migrate,
)
from ansible_collections.emperor.web.plugins.module_utils._django import TAKE_PROGRAM, DjangoModule, explain, program
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

from ...releases import deploying, finish, history, mark_of, work_on


def error(kind: str, message: str, missing: str | None = None) -> dict:
    where = {"traceback": "", "settings": "shop.prod", "app": "blog" if missing == "blog" else ""}
    where |= {"cause": "", "denied": False}
    return {"type": kind, "message": message, "missing_module": missing, "explained": kind == "NoSettings"} | where


@pytest.mark.parametrize(
    ("action", "raised", "expected"),
    [
        pytest.param(
            "check",
            error("ModuleNotFoundError", "No module named 'shop.prod'", "shop.prod"),
            "the settings module shop.prod cannot be imported (ModuleNotFoundError: No module named 'shop.prod'); "
            "check the option settings, or DJANGO_SETTINGS_MODULE in manage.py and the environment",
            id="settings",
        ),
        pytest.param(
            "check",
            error("ModuleNotFoundError", "No module named 'shop'", "shop"),
            "the settings module shop.prod cannot be imported (ModuleNotFoundError: No module named 'shop'); check the "
            "option settings, or DJANGO_SETTINGS_MODULE in manage.py and the environment",
            id="package of the settings",
        ),
        pytest.param(
            "check",
            error("ModuleNotFoundError", "No module named 'django'", "django"),
            "Django is not installed in the virtual environment (ModuleNotFoundError: No module named 'django'); add "
            "it to the project's requirements",
            id="Django",
        ),
        pytest.param(
            "migrate",
            error("ModuleNotFoundError", "No module named 'sho'", "sho"),
            "ModuleNotFoundError: No module named 'sho'; a package is missing from the project's requirements, or "
            "the module's name is wrong",
            id="another package",
        ),
        pytest.param(
            "check",
            error("ModuleNotFoundError", "No module named 'blog'", "blog"),
            "INSTALLED_APPS has blog, which cannot be imported (ModuleNotFoundError: No module named 'blog'); add its "
            "package to the project's requirements, or mend the name",
            id="app",
        ),
        pytest.param(
            "check", error("KeyError", "'SECRET_KEY'"), "the project does not start: KeyError: 'SECRET_KEY'", id="start"
        ),
        pytest.param(
            "check",
            error("ValueError", "Unable to configure handler 'file'")
            | {"cause": "PermissionError: [Errno 13] Permission denied: '/src/debug.log'", "denied": True},
            "the project does not start: ValueError: Unable to configure handler 'file' (PermissionError: [Errno 13] "
            "Permission denied: '/src/debug.log'). The user that runs the project has no right to that. The code of a "
            "release is read-only; let the settings name a file or folder that belongs to the user",
            id="log in the sources",
        ),
        pytest.param(
            "migrate",
            error("OperationalError", "no such table"),
            "the migration failed: OperationalError: no such table",
            id="migration",
        ),
        pytest.param(
            "migrate", error("NoSettings", "no settings module: x"), "no settings module: x", id="no settings"
        ),
        pytest.param(
            "collectstatic", error("OSError", "full"), "collectstatic failed: OSError: full", id="static files"
        ),
        pytest.param("migrate", error("Explained", "do this") | {"explained": True}, "do this", id="explained"),
    ],
)
def test_a_failure_is_explained(action, raised, expected):
    assert explain(action, raised) == expected


def test_the_program_is_complete_and_carries_any_text():
    job = {"action": "check", "settings": 'it\'s "quoted" \\ é \n {x} %s', "tags": [], "wsgi": None, "deploy": True}
    text = program(job, ("_django_check",))
    *runner, call, end = text.split("\n")
    assert end == ""
    compile(text, "<stdin>", "exec")
    got = []
    exec(call, {"main": lambda *given: got.extend(given), "json": json})
    assert got == [job, {"_django_check": inspect.getsource(_django_check)}]
    compile("\n".join(runner), "<stdin>", "exec", dont_inherit=True)


def test_the_program_carries_the_files_that_are_imported():
    parts = ("_django_migration_guard", "_django_check")
    call = program({"action": "check"}, parts).rstrip().split("\n")[-1]
    got = []
    exec(call, {"main": lambda *given: got.extend(given), "json": json})
    assert got[1] == dict(zip(parts, map(inspect.getsource, (_django_migration_guard, _django_check)), strict=True))


# Asking an interpreter.


@pytest.fixture
def stub(tmp_path):
    """An interpreter that does what a piece of Python says; `job` is what it was asked, `answer` answers."""

    def make(text: str) -> dict:
        interpreter = tmp_path / "venv" / "bin" / "python"
        interpreter.parent.mkdir(parents=True)
        (tmp_path / "project").mkdir()
        interpreter.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys, time\n"
            "sent = sys.stdin.read()\n"
            "main = lambda job, parts: globals().update(job=job)\n"
            "exec(sent.rstrip().splitlines()[-1])\n"
            "def answer(result):\n"
            "    os.write(job['reply_fd'], json.dumps({'secrets': []} | result).encode())\n"
            f"{text}\n"
        )
        interpreter.chmod(0o755)
        return {"project": str(tmp_path / "project"), "settings": "shop.settings", "virtualenv": str(tmp_path / "venv")}

    return make


def asking(action: str = "check", **job):
    """A module that asks one thing and returns the answer."""

    def main() -> None:
        django = DjangoModule({})
        django.skip_unbuilt(changed=False)
        django.module.exit_json(changed=False, answer=django.ask(action, (), **job))

    return main


def test_the_interpreter_is_asked_in_the_project_with_its_environment_only(run_module, stub, monkeypatch):
    monkeypatch.setenv("PERSONAL", "x")
    arguments = stub("answer({'result': [sys.argv[1:], os.getcwd(), dict(os.environ), job]})")
    argv, cwd, environment, job = run_module(
        asking(tags=["models"]), arguments | {"environment": {"DEBUG": False, "COLOR": "blue"}}
    )["answer"]
    venv = arguments["virtualenv"]
    assert argv == ["-u", "-c", TAKE_PROGRAM]
    assert cwd == arguments["project"]
    assert environment == {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": venv,
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEBUG": "false",
        "COLOR": "blue",
    }
    del job["reply_fd"]
    expected = {"action": "check", "check_mode": False, "tags": ["models"], "project": cwd, "settings": "shop.settings"}
    assert job == expected


def test_what_the_project_prints_is_no_answer(run_module, stub):
    arguments = stub("print('{\"result\": 1}'); print('noise', file=sys.stderr); answer({'result': 2}); print('more')")
    assert run_module(asking(), arguments)["answer"] == 2


@pytest.mark.parametrize(("action", "umask"), [("check", 0o027), ("migrate", 0o027), ("collectstatic", 0o022)])
def test_only_static_files_are_for_everybody(run_module, stub, action, umask):
    assert run_module(asking(action), stub("answer({'result': os.umask(0)})"))["answer"] == umask


def test_check_mode_is_passed_on(run_module, stub):
    assert run_module(asking(), stub("answer({'result': job['check_mode']})"), check=True)["answer"] is True


def test_no_answer_is_reported_with_what_was_said(run_module, stub):
    result = run_module(asking(), stub("print('out'); print('Fatal Python error', file=sys.stderr); sys.exit(3)"))
    assert result["msg"] == "the interpreter ended with status 3 before it could answer: Fatal Python error"
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out\n", "Fatal Python error\n")
    assert result["cmd"][1:] == ["-u", "-c", TAKE_PROGRAM]


def test_half_an_answer_is_none(run_module, stub):
    """The kernel may end an interpreter that runs out of memory while it writes."""
    result = run_module(asking(), stub("""os.write(job['reply_fd'], b'{"result": {"mess'); os.kill(os.getpid(), 9)"""))
    assert "the interpreter ended with status -9 before it could answer" in result["msg"]


def test_a_project_that_hangs_is_ended(run_module, stub):
    started = time.monotonic()
    result = run_module(asking(), stub("print('waiting', flush=True); time.sleep(60)") | {"timeout": 1})
    assert time.monotonic() - started < 10
    assert result["msg"] == "Django did not finish within 1 s and was ended; see timeout"
    assert result["stdout"] == "waiting\n"


# What the runner answers when the project raises.
RAISED = {
    "type": "OperationalError",
    "message": "locked",
    "missing_module": None,
    "explained": False,
    "cause": "",
    "denied": False,
    "settings": "",
    "app": "",
    "traceback": "Traceback ...",
}


def test_an_error_is_explained_with_what_was_done_before_it(run_module, stub):
    partial = {"applied": [{"app": "shop", "name": "0001"}], "unapplied": []}
    result = run_module(asking("migrate"), stub(f"answer({ {'error': RAISED, 'partial': partial}!r})"))
    assert result["msg"] == "the migration failed: OperationalError: locked"
    assert result["traceback"] == "Traceback ..."
    assert result["applied"] == [{"app": "shop", "name": "0001"}]
    assert result["rc"] == 0


@pytest.mark.parametrize(
    "module", [django_check, django_migrate, django_collectstatic], ids=lambda module: module.__name__.split(".")[-1]
)
def test_all_that_a_failure_returns_is_documented(run_module, stub, module):
    result = run_module(module, stub(f"answer({ {'error': RAISED, 'partial': {}}!r})"))
    assert result["traceback"] == "Traceback ..."


def test_an_environment_file_is_read_and_given_variables_win(run_module, stub, tmp_path):
    path = tmp_path / "env"
    path.write_text(json.dumps({"A": "file", "B": "file", "PATH": "/opt/bin"}))
    arguments = stub("answer({'result': [os.environ.get(name) for name in ('A', 'B', 'PATH')]})")
    arguments |= {"environment_file": str(path), "environment": {"B": "given"}}
    assert run_module(asking(), arguments)["answer"] == ["file", "given", "/opt/bin"]


def test_secrets_of_the_environment_file_do_not_get_out(run_module, stub, tmp_path):
    path = tmp_path / "env"
    path.write_text(json.dumps({"SECRET_KEY": "s3cret-one", "DB_URL": "postgres://u:s3cret-two@db/x", "PORT": "0"}))
    text = "print(dict(os.environ)); sys.exit('bad key s3cret-one at s3cret-two')"
    result = run_module(asking(), stub(text) | {"environment_file": str(path)})
    assert "bad key ****" in result["msg"]
    assert "s3cret" not in json.dumps(result)
    assert "'PORT': '0'" in result["stdout"]


def test_secrets_of_the_settings_do_not_get_out(run_module, stub):
    text = (
        "print('key s3cret-from-a-file'); answer({'result': ['s3cret-from-a-file'], 'secrets': ['s3cret-from-a-file']})"
    )
    result = run_module(asking(), stub(text))
    assert result["answer"] == ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"]


@pytest.fixture
def on_its_way(tmp_path):
    """An app with a release that is about to be deployed, and the file of its environment."""
    layout = Layout(str(tmp_path / "shop"))
    finish(layout, "a-1")
    return layout, deploying(layout, "a-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sys.exit('bad key s3cret-one')",
            "the interpreter ended with status 1 before it could answer: bad key ********",
        ),
        (
            f"answer({ {'error': RAISED, 'partial': {}, 'secrets': ['locked']}!r})",
            "the project does not start: OperationalError: ********",
        ),
    ],
    ids=["no answer", "an error"],
)
def test_a_release_fails_with_a_step_of_its_deployment(run_module, stub, on_its_way, monkeypatch, text, said):
    layout, path = on_its_way
    Path(path).write_text(json.dumps({"SECRET_KEY": "s3cret-one"}))
    arguments = stub(text) | {"environment_file": path}
    run_module(asking(), arguments)
    assert (mark_of(layout, "a-1"), history(layout)) == ({}, []), "a task of its own deploys nothing"
    work_on(layout, monkeypatch)
    run_module(asking(), arguments, check=True)
    assert (mark_of(layout, "a-1"), history(layout)) == ({}, [])
    run_module(asking(), arguments)
    mark, (entry,) = mark_of(layout, "a-1"), history(layout)
    assert (mark["step"], mark["reason"]) == (entry["step"], entry["reason"]) == ("check", said)
    assert list(entry["seconds"]) == ["check"]


def test_what_was_applied_before_a_migration_failed_is_in_the_history(run_module, stub, on_its_way, monkeypatch):
    layout, path = on_its_way
    Path(path).write_text("{}")
    work_on(layout, monkeypatch)
    partial = {"applied": [{"app": "shop", "name": "0001_initial"}], "unapplied": []}
    arguments = stub(f"answer({ {'error': RAISED, 'partial': partial}!r})") | {"environment_file": path}
    run_module(asking("migrate"), arguments)
    (entry,) = history(layout)
    assert (entry["step"], entry["migrations"]) == ("migrate", ["shop.0001_initial"])


def test_a_bad_environment_file_is_named(run_module, stub, tmp_path):
    (tmp_path / "env").write_text("nonsense")
    result = run_module(asking(), stub("answer({'result': 1})") | {"environment_file": str(tmp_path / "env")})
    assert result["msg"] == f"environment_file {tmp_path}/env, line 1: expected NAME=value"


def test_check_mode_stops_before_what_is_not_built_yet(run_module, tmp_path):
    arguments = {
        "project": "/nowhere",
        "settings": "x",
        "virtualenv": str(tmp_path / "venv"),
        "environment_file": str(tmp_path / "env"),  # made by the same earlier task
    }
    result = run_module(asking(), arguments, check=True)
    assert result["predicted"] is False
    assert result["changed"] is False
    assert f"{tmp_path}/venv/bin/python does not exist yet" in result["msg"]


def test_a_missing_interpreter_is_named(run_module, tmp_path):
    arguments = {"project": str(tmp_path), "settings": "x", "python": str(tmp_path / "python")}
    result = run_module(asking(), arguments)
    assert result["msg"] == f"{tmp_path}/python is no interpreter; give virtualenv or python of the project"


def test_a_missing_project_is_named(run_module, tmp_path):
    arguments = {"project": str(tmp_path / "nowhere"), "settings": "x", "python": "/bin/sh"}
    result = run_module(asking(), arguments)
    assert f"project {tmp_path}/nowhere is no folder; give the one that has manage.py" in result["msg"]


def test_an_unknown_user_is_named(run_module, stub):
    result = run_module(asking(), stub("answer({'result': 1})") | {"user": "no-such-user-here"})
    assert "user no-such-user-here does not exist on this host" in result["msg"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "one of the following is required: virtualenv, python"),
        ({"virtualenv": "/a", "python": "/b"}, "mutually exclusive"),
    ],
)
def test_exactly_one_interpreter(run_module, given, said):
    assert said in run_module(asking(), {"project": "/x", "settings": "x"} | given)["msg"]


def test_the_interpreter_needs_no_virtual_environment(run_module, stub):
    arguments = stub("answer({'result': 'VIRTUAL_ENV' in os.environ})")
    arguments["python"] = os.path.join(arguments.pop("virtualenv"), "bin", "python")
    assert run_module(asking(), arguments)["answer"] is False
