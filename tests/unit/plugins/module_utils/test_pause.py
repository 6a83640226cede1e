# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pause of a process that takes the signal as uWSGI's master does; a whole one is paused in molecule/operate."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _pause
from ansible_collections.emperor.web.plugins.module_utils._pause import Pause, PauseError, read_stats
from ansible_collections.emperor.web.plugins.modules import uwsgi_pause

ME = pwd.getpwuid(os.getuid()).pw_name
MASTER = """
import json, os, signal, socket, sys
path, state, threads = sys.argv[1:]
toggled = []
signal.signal(signal.SIGTSTP, lambda *_: toggled.append(1))
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
while True:
    connection, _address = server.accept()
    status = state or ("pause" if len(toggled) % 2 else "idle")
    worker = {"pid": 0, "status": status, "last_spawn": 0, "cores": [{}] * int(threads)}
    about = {"pid": os.getpid(), "signals": len(toggled), "workers": [worker]}
    connection.sendall(json.dumps(about).encode())
    connection.close()
"""


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    """A short path, as those of sockets have to be."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def master(folder):
    """Start a master whose workers are in a state, of their own accord if none is given."""
    started = []

    def start(state: str = "", threads: int = 1) -> str:
        path = str(folder / "x.stats")
        started.append(subprocess.Popen([sys.executable, "-c", MASTER, path, state, str(threads)]))
        deadline = time.monotonic() + 20
        while not read_stats(path) and time.monotonic() < deadline:
            time.sleep(0.02)
        return path

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def systemd(monkeypatch):
    """Notes what systemd is asked for; rc is what its timer says."""
    asked = SimpleNamespace(commands=[], rc=0)

    def run(command, **_options):
        asked.commands.append(command)
        return SimpleNamespace(returncode=asked.rc if command[0] == "systemd-run" else 0, stderr="no timers here")

    monkeypatch.setattr(_pause.subprocess, "run", run)
    monkeypatch.setattr(_pause, "_EVIDENCE_SECONDS", 0.3)
    return asked


def signals(path: str) -> int:
    return read_stats(path)["signals"]


def test_pause_and_its_end(master, folder, systemd):
    path, pause = master(), Pause(ME, str(folder))
    pause.start(path, 20, 5)
    assert (pause.is_paused(), signals(path)) == (True, 1)
    timer = next(command for command in systemd.commands if command[0] == "systemd-run")
    assert {"--on-active=20s", f"--unit=emperor-resume-{ME}"} < set(timer)
    assert pause.end() is True
    assert (pause.is_paused(), signals(path)) == (False, 2)
    assert pause.end() is False
    assert signals(path) == 2, "one more signal would pause it again"


def test_the_timer_ends_it_without_the_collection(master, folder, systemd, monkeypatch):
    path = master()
    Pause(ME, str(folder)).start(path, 20, 5)
    command = systemd.commands[-1]
    monkeypatch.undo()
    command = command[command.index(sys.executable) :]
    said = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _run in range(2)]
    assert said == ["resumed\n", "was not paused\n"]
    assert signals(path) == 2


def test_requests_that_take_longer_end_the_pause(master, folder, systemd):
    path, pause = master(state="busy"), Pause(ME, str(folder))
    with pytest.raises(PauseError, match=r"still being worked on after 0.2 s.*drain"):
        pause.start(path, 20, 0.2)
    assert (pause.is_paused(), signals(path)) == (False, 2)


def test_a_record_without_a_pause_is_not_believed(master, folder, systemd):
    """Its writer died before it could send the signal."""
    path, pause = master(), Pause(ME, str(folder))
    pid = read_stats(path)["pid"]
    (folder / f"{ME}.pause").write_text(json.dumps({"pid": pid, "started": _pause.started(pid), "stats": path}))
    assert pause.end() is True
    assert (pause.is_paused(), signals(path)) == (False, 0)


def test_a_record_of_a_master_that_is_gone_counts_for_nothing(folder):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (ended.pid, os.getpid()):  # and of one whose number another process has now
        (folder / f"{ME}.pause").write_text(json.dumps({"pid": pid, "started": "1", "stats": "/nowhere"}))
        pause = Pause(ME, str(folder))
        assert (pause.is_paused(), pause.end()) == (False, False)
        assert os.listdir(folder) == [f"{ME}.pause-lock"]


def test_what_was_paused_by_hand_is_not_let_go_on(master, folder, systemd):
    path, pause = master(), Pause(ME, str(folder))
    os.kill(read_stats(path)["pid"], signal.SIGTSTP)
    pause.start(path, 20, 5)
    assert (signals(path), pause.end(), signals(path)) == (1, True, 2)


@pytest.mark.parametrize(("rc", "threads", "message"), [(1, 1, "no timers here"), (0, 2, "have threads")])
def test_a_pause_that_might_not_end_or_not_hold_is_not_begun(master, folder, systemd, rc, threads, message):
    path, pause = master(threads=threads), Pause(ME, str(folder))
    systemd.rc = rc
    with pytest.raises(PauseError, match=message):
        pause.start(path, 20, 5)
    assert (pause.is_paused(), signals(path)) == (False, 0)


def test_a_process_of_somebody_else_is_not_signalled(master, folder, systemd):
    path, pause = master(), Pause("nobody", str(folder))
    with pytest.raises(PauseError, match="which its statistics name, is not one of user nobody"):
        pause.start(path, 20, 5)
    assert (pause.is_paused(), signals(path)) == (False, 0)


def test_a_vassal_that_does_not_answer(folder, systemd):
    socket.socket(socket.AF_UNIX).bind(str(folder / "x.stats"))
    with pytest.raises(PauseError, match="does not answer"):
        Pause(ME, str(folder)).start(str(folder / "x.stats"), 20, 5)


def test_the_module(run_module, master, folder, systemd):
    (folder / "app").mkdir()
    os.symlink("releases/x", folder / "current")
    os.symlink(master(), folder / "app/x.stats")
    arguments = {"name": ME, "root": str(folder), "run_directory": str(folder / "app")}
    foretold = run_module(uwsgi_pause, arguments, check=True)
    assert signals(str(folder / "x.stats")) == 0
    paused = [run_module(uwsgi_pause, arguments) for _run in range(2)]
    running = [run_module(uwsgi_pause, arguments | {"state": "running"}) for _run in range(2)]
    assert [one["changed"] for one in [foretold, *paused, *running]] == [True, True, False, True, False]
    assert paused[0]["release"] == "x"
    assert signals(str(folder / "x.stats")) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seconds": 46}, "seconds is 46; give 1 to 45"),
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": 5, "drain": 6}, "drain is 6; give 1 to 5"),
        ({}, "no release is live"),
    ],
)
def test_what_the_module_refuses(run_module, folder, given, message):
    result = run_module(uwsgi_pause, {"name": ME, "root": str(folder)} | given)
    assert result["failed"] and message in result["msg"]
