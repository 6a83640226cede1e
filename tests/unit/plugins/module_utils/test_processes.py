# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to units that are not as they should be, and when a process counts as one that stays."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _journal, _processes
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._process_units import Units, for_module
from ansible_collections.emperor.web.plugins.module_utils._processes import (
    ProcessesError,
    check_schedules,
    ending,
    iso,
    path_of,
    plan,
    releases_in_use,
    report,
    units_of,
    watch,
)

WORKER, JOB, TIMER = "django@shop:worker.service", "django@shop:x.service", "django@shop:x.timer"
APP = {"processes": {"worker": "celery worker"}, "timers": {"x": {"command": "x", "schedule": "daily"}}}
UP = {"ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "NRestarts": "0"}
JOB_RUNS = {"ActiveState": "activating", "SubState": "start", "UnitFileState": "disabled"}
DOWN = {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "enabled"}
NEW = {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"}
AGAIN = {"ActiveState": "activating", "SubState": "auto-restart", "UnitFileState": "enabled"}


def wanted(release: str = "r1", root: str = "/srv/django/shop", **app) -> dict[str, str]:
    return dict(Units(**for_module("shop", root, app or APP), release=release).texts())


def states(**changes: dict[str, str]) -> dict[str, dict[str, str]]:
    return {WORKER: UP, JOB: NEW, TIMER: UP} | {
        {"worker": WORKER, "job": JOB, "timer": TIMER}[name]: state for name, state in changes.items()
    }


@pytest.mark.parametrize(
    ("want", "found", "state", "changes"),
    [
        pytest.param(wanted(), wanted(), states(), [], id="as it should be"),
        pytest.param(wanted(), wanted(), states(job=JOB_RUNS), [], id="a job runs"),
        pytest.param(
            wanted(),
            {},
            states(worker=NEW, timer=NEW),
            [f"{WORKER} written", f"{JOB} written", f"{TIMER} written", f"{WORKER} enabled", f"{TIMER} enabled"]
            + [f"{WORKER} started", f"{TIMER} started"],
            id="new",
        ),
        pytest.param(
            wanted("r2"), wanted(), states(job=JOB_RUNS), [f"{WORKER} written", f"{WORKER} restarted"], id="a release"
        ),
        pytest.param(wanted(), wanted(), states(worker=DOWN), [f"{WORKER} started"], id="stopped"),
        pytest.param(wanted(), wanted(), states(worker=AGAIN), [f"{WORKER} restarted"], id="dies again and again"),
        pytest.param(wanted(), wanted(), states(timer=NEW), [f"{TIMER} enabled", f"{TIMER} started"], id="timer off"),
        pytest.param(
            wanted(**APP | {"timers": {"x": {"command": "x", "schedule": "weekly"}}}),
            wanted(),
            states(),
            [f"{TIMER} written", f"{TIMER} restarted"],
            id="another schedule",
        ),
        pytest.param(
            {}, wanted(), states(job=JOB_RUNS), [f"{unit} removed" for unit in (WORKER, JOB, TIMER)], id="not wanted"
        ),
        pytest.param(
            wanted(processes={"x": "celery worker"}),
            wanted(timers=APP["timers"]),
            states(),
            [f"{JOB} removed", f"{TIMER} removed", f"{JOB} written", f"{JOB} enabled", f"{JOB} started"],
            id="a timer becomes a process",
        ),
    ],
)
def test_what_differs_is_put_right(want, found, state, changes):
    assert plan(want, found, state).changes() == changes


def test_a_process_is_stopped_before_its_unit_is_written_and_a_job_is_not():
    assert plan(wanted("r2"), wanted(), states(job=JOB_RUNS)).stop == [WORKER]
    assert plan({}, wanted(), states(job=JOB_RUNS)).stop == [WORKER, TIMER]
    assert plan({}, wanted(), states(job=JOB_RUNS), {JOB}).stop == [WORKER, JOB, TIMER]
    assert plan(wanted("r2"), wanted(), states(worker=DOWN)).stop == []


@pytest.fixture
def systemd(monkeypatch):
    """systemctl shows the given states, one set after the other and the last one from then on."""
    shown: list[dict[str, str]] = []

    def run(argv, **_options):
        if argv[0] == "journalctl":
            lines = [f"line {number}" for number in range(100)] + ["ImportError: no shop"]
            return Result(argv, 0, "\n".join(lines) if argv[1].startswith("_SYSTEMD_UNIT") else "", "")
        state = shown.pop(0) if len(shown) > 1 else shown[0]
        return Result(argv, 0, "".join(f"{key}={value}\n" for key, value in state.items()), "")

    for module in (_journal, _processes):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(_processes, "_PAUSE", 0.01)
    return shown


def since(seconds: float, **changes: str) -> dict[str, str]:
    return UP | {"ActiveEnterTimestampMonotonic": str(int((time.monotonic() - seconds) * 1e6))} | changes


def test_a_process_that_stays_up_is_waited_for(systemd):
    systemd += [AGAIN | {"NRestarts": "0", "SubState": "start"}, since(0)]
    began = time.monotonic()
    watch({WORKER: 1})
    assert 0.9 < time.monotonic() - began < 5


def test_a_process_that_had_to_be_started_again_is_waited_for_longer(systemd):
    systemd += [since(8, NRestarts="1")]
    began = time.monotonic()
    watch({WORKER: 2})
    assert 1.5 < time.monotonic() - began < 8


def test_a_process_that_has_been_up_is_not_waited_for(systemd):
    systemd += [since(400, NRestarts="7")]
    began = time.monotonic()
    watch({WORKER: 60})
    watch({})
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (AGAIN | {"NRestarts": "0", "ExecMainCode": "1", "ExecMainStatus": "1"}, "it ended with status 1; its last"),
        (DOWN | {"NRestarts": "0", "ExecMainCode": "2", "ExecMainStatus": "9"}, "it was ended by signal 9; its last"),
        (UP | {"NRestarts": "3"}, "it is running; its last"),
    ],
)
def test_a_process_that_does_not_stay_up_is_told_of(systemd, end, said):
    systemd += [since(1), since(1), end]
    with pytest.raises(ProcessesError) as error:
        watch({WORKER: 60})
    assert f"{WORKER} did not stay up, {said} lines:\nline 86\n" in str(error.value)
    assert "\nline 99\nImportError: no shop\n" in str(error.value)
    assert error.value.units == [WORKER]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"ExecMainCode": "0"}, ""),
        ({"ExecMainCode": "1", "ExecMainStatus": "0", "Result": "success"}, "ended with status 0"),
        ({"ExecMainCode": "2", "ExecMainStatus": "15", "Result": "timeout"}, "took too long and was ended"),
        ({"ExecMainCode": "3", "ExecMainStatus": "11"}, "was ended by signal 11"),
    ],
)
def test_how_a_process_ended(state, words):
    assert ending(state) == words


@pytest.mark.parametrize(
    ("text", "time"), [("Mon 2026-11-23 05:57:31 UTC", "2026-11-23T05:57:31Z"), ("", ""), ("n/a", ""), (None, "")]
)
def test_times(text, time):
    assert iso(text) == time


@pytest.mark.parametrize(
    ("rc", "out", "err", "message"),
    [
        (1, "", "Failed to parse calendar specification 'x': Invalid argument", "'x': Failed .*OnCalendar= of systemd"),
        (0, "Normalized form: 2020-01-01\n    Next elapse: never\n", "", "never comes again"),
        (0, "    Next elapse: Mon 2026-11-23 00:00:00 UTC\n", "", ""),
    ],
)
def test_schedules(monkeypatch, rc, out, err, message):
    monkeypatch.setattr(_processes, "run", lambda argv, **_options: Result(argv, rc, out, err))
    if not message:
        check_schedules(["x"])
        return
    with pytest.raises(ProcessesError, match=message):
        check_schedules(["x"])


@pytest.fixture
def units(tmp_path: Path) -> str:
    """A folder with the units of an app, and with one of another."""
    folder = str(tmp_path / "units")
    for unit, text in (wanted(root=str(tmp_path / "shop")) | {"django@shop-b:worker.service": "x"}).items():
        os.makedirs(os.path.dirname(path_of(unit, folder)), exist_ok=True)
        Path(path_of(unit, folder)).write_text(text)
    return folder


def test_the_units_of_an_app_are_found(units, tmp_path):
    assert units_of("shop", units) == wanted(root=str(tmp_path / "shop"))
    assert units_of("blog", units) == {}


def test_what_is_told_of_an_app(units, monkeypatch, tmp_path):
    shown = {
        WORKER: UP | {"ActiveEnterTimestamp": "Mon 2026-11-23 05:57:31 UTC", "MainPID": "7", "NRestarts": "2"},
        JOB: {"ActiveState": "failed", "ExecMainCode": "1", "ExecMainStatus": "3", "Result": "exit-code"},
        TIMER: {"LastTriggerUSec": "Mon 2026-11-23 05:00:00 UTC", "NextElapseUSecRealtime": "n/a"},
    }
    monkeypatch.setattr(_processes, "states_of", lambda names: {name: shown[name] for name in names})
    told = report(Units("shop", str(tmp_path / "shop")), units)
    process = {"name": "worker", "unit": WORKER, "release": "r1", "state": "running", "since": "2026-11-23T05:57:31Z"}
    assert told["processes"] == [process | {"pid": 7, "restarts": 2, "ended": ""}]
    timer = {"name": "x", "unit": TIMER, "schedule": ["daily"], "running": False, "last": "2026-11-23T05:00:00Z"}
    assert told["timers"] == [timer | {"ended": "ended with status 3", "failed": True, "next": ""}]


def test_releases_that_are_in_use(units, monkeypatch, tmp_path):
    root = tmp_path / "shop"
    for release in ("r2", "r3", "r4", "r5"):
        (root / "releases" / release / "src").mkdir(parents=True)
    shown = {WORKER: DOWN | {"StatusText": "release r4"}, JOB: JOB_RUNS | {"StatusText": "release r5"}, TIMER: UP}
    monkeypatch.setattr(_processes, "states_of", lambda names: {name: shown[name] for name in names})
    works = subprocess.Popen(["sleep", "60"], cwd=root / "releases/r2/src")
    started = subprocess.Popen(["sleep", "60"], env={"EMPEROR_RELEASE": "r3"})
    try:
        assert {"r1", "r2", "r3", "r5"} <= releases_in_use(Units("shop", str(root)), units)
        assert "r4" not in releases_in_use(Units("shop", str(root)), units)
    finally:
        for process in (works, started):
            process.kill()
            process.wait()
