# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The units of an app that sleeps, and the program that they run."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _emperor, _lock, _sleep
from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor, retire_units
from ansible_collections.emperor.web.plugins.module_utils._process import Result

PROGRAM = Path(__file__).resolve().parents[4] / "roles" / "uwsgi" / "files" / "sleep.py"


def test_nobody_but_the_web_server_may_ask(tmp_path):
    emperor = Emperor("shop", "/srv/django/shop", sleep=900, web_group="web", units="/units")
    texts = {path: text for path, text, _mode in emperor.files()}
    listening = texts["/units/emperor-wake@shop.socket"].splitlines()
    assert {"ListenStream=/run/emperor/shop.wake", "SocketGroup=web", "SocketMode=0660"} <= set(listening)
    service = texts["/units/emperor-wake@shop.service"]
    assert "--exit-idle-time=900s" in service and '"/srv/django/shop/current/live.sock"' in service
    assert "{" not in service
    assert emperor.wanted_unit == "emperor-wake@shop.socket"


def test_an_app_that_is_always_awake_has_none_of_it():
    emperor = Emperor("shop", "/srv/django/shop")
    assert not [path for path, _text, _mode in emperor.files() if "wake" in path]
    assert emperor.wanted_unit == "uwsgi-emperor@shop.service"


@pytest.fixture
def units(monkeypatch):
    """What systemd says of units, and what it was told."""
    known: dict[str, tuple[str, str]] = {}
    ran: list[str] = []

    def run(argv, **_options):
        ran.append(" ".join(argv[1:]))
        shown = [f"ActiveState={known[unit][0]}\nUnitFileState={known[unit][1]}" for unit in argv[3:] if unit in known]
        return Result(argv, 0, "\n\n".join(shown), "")

    monkeypatch.setattr(_emperor, "run", run)
    monkeypatch.setattr(_emperor, "_ending_workers", list)
    return known, ran


def test_an_emperor_that_may_sleep_starts_at_no_boot(units):
    known, ran = units
    emperor = Emperor("shop", "/srv/django/shop", sleep=5)
    known[emperor.unit] = ("active", "enabled")
    assert retire_units([emperor], dry_run=True) == [f"{emperor.unit} disabled"]
    assert len(ran) == 1
    retire_units([emperor], dry_run=False)
    assert ran[-1] == f"disable {emperor.unit}", "the proxy stops it when nobody asks"
    known[emperor.unit] = ("active", "disabled")
    assert retire_units([emperor], dry_run=False) == []


def test_the_socket_of_one_that_sleeps_no_more_is_taken_away(units, tmp_path):
    known, ran = units
    emperor = Emperor("shop", "/srv/django/shop", units=str(tmp_path))
    paths = [str(tmp_path / f"emperor-wake@shop.{kind}") for kind in ("socket", "service")]
    for path in paths:
        Path(path).write_text("")
    known["emperor-wake@shop.socket"] = ("active", "enabled")
    done = ["emperor-wake@shop.socket stopped", "emperor-wake@shop.socket disabled", *(f"{p} removed" for p in paths)]
    assert retire_units([emperor], dry_run=True) == retire_units([emperor], dry_run=False) == done
    assert not any(map(os.path.exists, paths))
    assert ran[-1] == "daemon-reload"
    assert retire_units([emperor], dry_run=False) == []


def test_one_is_asleep_when_its_socket_is_held_and_its_emperor_is_silent(tmp_path):
    run = str(tmp_path / "shop")
    assert not _sleep.is_asleep(run)
    Path(f"{run}.wake").write_text("")
    assert _sleep.is_asleep(run)


# The program.


@pytest.fixture
def program(monkeypatch, tmp_path):
    """The program with its folder in a test's; what it tells systemctl is in C(told)."""
    spec = importlib.util.spec_from_file_location("sleep_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.told = []
    module.enabled = 1
    monkeypatch.setattr(module, "RUN", str(tmp_path))
    monkeypatch.setattr(module, "WAKE_SECONDS", 0.2)

    def systemctl(*arguments: str) -> int:
        module.told.append(" ".join(arguments))
        return module.enabled if "is-enabled" in arguments else 0

    monkeypatch.setattr(module, "systemctl", systemctl)
    monkeypatch.delenv("SERVICE_RESULT", raising=False)
    (tmp_path / "shop.wake").write_text("")
    return module


ASKED = "--quiet is-enabled uwsgi-emperor@shop.service"


def test_it_goes_by_the_same_names_as_the_deploy_lock(program):
    assert (program.LEASE, program.VARIABLE) == (_lock.LEASE, _lock.VARIABLE)


def test_an_idle_app_is_stopped(program, tmp_path):
    program.rest("shop", str(tmp_path))
    assert program.told == [ASKED, "stop uwsgi-emperor@shop.service"]


@pytest.mark.parametrize("reason", ["pause", "deploy", "task of a deploy"])
def test_one_that_something_works_with_stays_awake(program, tmp_path, reason, monkeypatch):
    if reason == "pause":
        (tmp_path / "shop.pause").write_text("{}")
    else:
        seen = time.time() - (0 if reason == "deploy" else 2 * _lock.LEASE)
        (tmp_path / "deploy.lock").write_text(json.dumps({"token": "t0k3n", "seen": seen}))
        monkeypatch.setattr(program, "works", lambda variable: variable == b"EMPEROR_DEPLOY=t0k3n")
    program.rest("shop", str(tmp_path))
    assert program.told == [ASKED, "start --no-block emperor-wake@shop.service"]
    (tmp_path / "shop.wake").unlink()
    program.rest("shop", str(tmp_path))
    assert program.told[-1] == "stop uwsgi-emperor@shop.service", "it is being removed"


@pytest.mark.parametrize(
    "lock",
    ["", "{", "[]", '{"token": "x"}', '{"token": "nobody has it", "seen": 1.0}'],
    ids=["empty", "torn", "list", "without a time", "long ago"],
)
def test_a_lock_that_nobody_holds_keeps_none_awake(program, tmp_path, lock):
    (tmp_path / "deploy.lock").write_text(lock)
    program.rest("shop", str(tmp_path))
    assert program.told[-1] == "stop uwsgi-emperor@shop.service"


def test_one_that_is_always_awake_by_now_is_not_stopped(program, tmp_path):
    program.enabled = 0
    program.rest("shop", str(tmp_path))
    assert program.told == [ASKED]


def test_after_a_failure_of_the_proxy_systemd_starts_it_again(program, tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICE_RESULT", "signal")
    program.rest("shop", str(tmp_path))
    assert program.told == []


def test_waking_waits_for_the_live_release_and_not_for_ever(program, tmp_path, capsys):
    program.wake("shop", str(tmp_path))
    assert (program.told, capsys.readouterr().out) == (["start uwsgi-emperor@shop.service"], "")
    os.makedirs(tmp_path / "releases/3f2a")
    os.symlink("releases/3f2a", tmp_path / "current")
    os.symlink(tmp_path / "3f2a.sock", tmp_path / "releases/3f2a/live.sock")
    program.wake("shop", str(tmp_path))
    assert "shop takes no connections after 0.2 s" in capsys.readouterr().out
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "3f2a.sock"))
        listening.listen()
        program.wake("shop", str(tmp_path))
    assert capsys.readouterr().out == ""
