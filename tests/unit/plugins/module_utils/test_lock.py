# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _lock
from ansible_collections.emperor.web.plugins.module_utils._lock import (
    LEASE,
    STEP,
    VARIABLE,
    Busy,
    Holder,
    Lock,
    Lost,
    end_orphans,
    environment_of,
    gone,
    locked,
    lost,
    processes_with,
    run_of,
    started_at,
    step_variable,
)

# Processes are found by it on the whole machine, where these tests may run on another Python at the same time.
TOKEN = f"f00d{os.getpid()}"
ELSEWHERE = Holder(TOKEN, "ann", "laptop", "another system", 4711, "12345", "v1.4.2")


@pytest.fixture
def lock(tmp_path):
    return Lock("shop", str(tmp_path / "shop"))


@pytest.fixture
def mine():
    return run_of(os.getpid())


@pytest.fixture
def start():
    """Start processes that do nothing; they are ended."""
    processes = []

    def started(**environment: str) -> subprocess.Popen:
        process = subprocess.Popen(["sleep", "600"], env=os.environ | environment)
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.wait()


def dead_run() -> Holder:
    """A run of this system that has ended."""
    process = subprocess.Popen(["sleep", "600"])
    holder = run_of(process.pid)
    process.kill()
    process.wait()
    return holder


def change(lock: Lock, **values) -> None:
    record = json.loads(Path(lock.path).read_text()) | values
    Path(lock.path).write_text(json.dumps(record))


def test_taken_kept_and_given_back(lock, mine):
    assert lock.acquire(mine)
    first = lock.holder()
    assert (first.token, first.pid, first.by) == (mine.token, os.getpid(), mine.by)
    assert os.stat(lock.path).st_mode & 0o7777 == 0o640
    assert not lock.acquire(replace(mine, what="later")), "it was there already"
    assert lock.holder().since == first.since and lock.holder().seen >= first.seen
    assert lock.renew(mine.token).since == first.since
    assert not lock.release("another")
    assert lock.release(mine.token)
    assert lock.holder() is None and not lock.release(mine.token)


def test_nothing_to_give_back_where_there_is_no_app(lock, mine):
    assert not lock.release(mine.token)
    assert not os.path.exists(lock.root)


def test_another_run_has_it(lock, mine):
    lock.acquire(ELSEWHERE)
    change(lock, since=0)
    with pytest.raises(Busy) as busy:
        lock.acquire(mine)
    said = str(busy.value)
    assert "app shop is being deployed by ann from laptop (pid 4711) since 1970-01-01 00:00:00 UTC, v1.4.2; " in said
    assert "lock_wait" in said and lock.path in said
    assert busy.value.holder.token == TOKEN
    assert lock.holder().token == TOKEN


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '{"token": "x"}', "null", '"x"'])
def test_what_is_no_record_holds_nothing(lock, mine, text):
    os.makedirs(lock.root)
    Path(lock.path).write_text(text)
    assert lock.holder() is None
    assert lock.acquire(mine)


def test_record_of_a_later_version_is_understood(lock, mine):
    lock.acquire(ELSEWHERE)
    change(lock, mood="good")
    with pytest.raises(Busy):
        lock.acquire(mine)


def test_run_of_this_system_that_has_ended(lock, mine):
    dead = dead_run()
    assert gone(dead) and not gone(mine) and not gone(ELSEWHERE)
    lock.acquire(dead)
    assert lock.acquire(mine)


def test_process_id_that_is_used_again_is_another_run(mine):
    assert gone(replace(mine, started="1"))


def test_zombie_is_no_run(start):
    process = start()
    assert started_at(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert started_at(process.pid) == ""


def test_run_that_the_controller_knows_to_be_dead(lock, mine):
    lock.acquire(ELSEWHERE)
    assert lock.acquire(mine, ended=TOKEN)


@pytest.mark.parametrize("away", [LEASE + 1, -LEASE - 60])
def test_run_that_was_not_here_for_long(lock, mine, away):
    lock.acquire(ELSEWHERE)
    change(lock, seen=time.time() - away)
    assert lock.acquire(mine)


def test_host_that_was_restarted_has_no_run(lock, mine):
    lock.acquire(ELSEWHERE)
    change(lock, host_system="before the boot")
    assert lock.acquire(mine)


def test_program_that_is_just_being_started_is_known_by_its_environment(start):
    """For a moment the kernel tells nothing of it: neither what it was started with nor its arguments."""
    for _attempt in range(50):
        process = start(**{VARIABLE: TOKEN})
        assert processes_with(VARIABLE)[process.pid] == TOKEN


def test_what_has_no_environment_is_not_waited_for():
    empty = subprocess.Popen(["sleep", "600"], env={})
    dead = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    try:
        began = time.monotonic()
        assert (environment_of(str(empty.pid)), environment_of(str(dead.pid))) == (b"", b"")
        assert time.monotonic() - began < 1
    finally:
        empty.kill()
        empty.wait()
        dead.wait()
    assert environment_of(str(dead.pid)) == b""


@pytest.mark.parametrize("ended", ["", TOKEN])
def test_task_that_is_still_at_work_keeps_the_lock(lock, mine, start, ended):
    lock.acquire(ELSEWHERE)
    change(lock, seen=0)
    process = start(**{VARIABLE: TOKEN})
    assert processes_with(VARIABLE)[process.pid] == TOKEN
    with pytest.raises(Busy, match="still runs on the host" if ended else "a task of it runs on the host"):
        lock.acquire(mine, ended=ended)
    process.kill()
    process.wait()
    assert lock.acquire(mine, ended=ended)


def test_what_a_killed_module_left_running_is_ended(lock, mine, start):
    dead = dead_run()
    orphan = start(**{STEP: f"{lock.root} {dead.pid} {dead.started}"})
    others = start(**{STEP: f"{lock.root}-2 {dead.pid} {dead.started}"}), start(**step_variable(lock.root))
    lock.acquire(mine)
    assert orphan.wait(10) == -signal.SIGKILL
    assert [process.poll() for process in others] == [None, None]
    assert end_orphans(lock.root) == []


def test_what_an_orphan_starts_while_they_are_looked_for_is_ended(lock, mine, start, monkeypatch):
    dead = dead_run()
    step = {STEP: f"{lock.root} {dead.pid} {dead.started}"}
    orphans = [start(**step)]

    def listed_too_early(variable: str) -> dict[int, str]:
        found = processes_with(variable)
        if len(orphans) < 3:
            orphans.append(start(**step))
        return found

    monkeypatch.setattr(_lock, "processes_with", listed_too_early)
    lock.acquire(mine)
    assert [orphan.wait(10) for orphan in orphans] == [-signal.SIGKILL] * 3


def test_what_a_killed_run_was_about_to_put_in_place_is_removed(lock, mine):
    os.makedirs(lock.root)
    Path(lock.root, ".secret_key.x1.tmp").touch()
    Path(lock.root, "current.4711.tmp").symlink_to("releases/nowhere")
    lock.acquire(mine)
    assert os.listdir(lock.root) == ["deploy.lock"]


def test_only_one_of_many_gets_it(lock):
    got = []

    def want(number: int) -> None:
        try:
            lock.acquire(replace(ELSEWHERE, token=str(number)))
            got.append(number)
        except Busy:
            pass

    threads = [threading.Thread(target=want, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and lock.holder().token == str(got[0])


def test_run_that_lost_it_goes_no_further(lock, mine, monkeypatch):
    file = os.path.join(lock.root, "releases", "1-2", "env")
    assert lost(file) == "", "a task outside of a run"
    monkeypatch.setenv(VARIABLE, mine.token)
    assert lost("/etc/environment") == "" and lost(None) == ""
    lock.acquire(mine)
    assert lost(file) == ""
    lock.release(mine.token)
    assert "the run that took it has ended" in lost(file)
    lock.acquire(ELSEWHERE)
    assert "it is held by ann from laptop" in lost(file)
    with pytest.raises(Lost, match="releases.jsonl"):
        lock.renew(mine.token)


# The modules' way to it.


class Failed(Exception):
    pass


def module(**options) -> SimpleNamespace:
    def fail(**result):
        raise Failed(result)

    check = options.pop("check", False)
    params = {"name": "shop", "lock": "task", "lock_wait": 0, "holder": None, "ended": None} | options
    return SimpleNamespace(params=params, check_mode=check, fail_json=fail)


def test_for_one_task(lock):
    with locked(module(), lock.root, what="v1") as holder:
        assert lock.holder().what == "v1" and lock.holder().pid == os.getpid()
        assert holder.token == lock.holder().token
    assert lock.holder() is None
    with pytest.raises(ZeroDivisionError), locked(module(), lock.root):
        raise ZeroDivisionError
    assert lock.holder() is None


def test_for_a_run(lock, mine):
    run = {"lock": "run", "holder": asdict(mine)}
    with pytest.raises(Failed, match="not this run's any more"), locked(module(**run), lock.root):
        pass
    for _twice in range(2):
        with locked(module(**run), lock.root, what="v1", take=True):
            pass
        assert lock.holder().what == "v1"
    with locked(module(**run), lock.root, what="the switch") as holder:
        assert holder.what == "v1"
    with locked(module(holder=asdict(mine)), lock.root):
        pass
    assert lock.holder(), "a task gives back only what it took"


def test_for_the_last_task_of_a_run(lock, mine):
    last = {"lock": "last", "holder": asdict(mine)}
    with pytest.raises(Failed, match="not this run's any more"), locked(module(**last), lock.root):
        pass
    lock.acquire(mine)
    with locked(module(check=True, **last), lock.root):
        pass
    with pytest.raises(ZeroDivisionError), locked(module(**last), lock.root):
        raise ZeroDivisionError
    assert lock.holder(), "the run may have something to put right"
    with locked(module(**last), lock.root):
        assert lock.holder().token == mine.token
    assert lock.holder() is None
    with locked(module(**last), lock.root, take=True):
        assert lock.holder().token == mine.token
    assert lock.holder() is None


def test_another_run_is_named(lock):
    lock.acquire(ELSEWHERE)
    with pytest.raises(Failed) as failed, locked(module(), lock.root):
        pass
    assert Holder(**failed.value.args[0]["busy"]).token == TOKEN


def test_check_mode_takes_none(lock):
    lock.acquire(ELSEWHERE)
    before = Path(lock.path).read_text()
    with locked(module(check=True), lock.root):
        assert Path(lock.path).read_text() == before


def test_folder_that_cannot_be_written(lock):
    Path(lock.root).touch()
    with pytest.raises(Failed, match="app shop: "), locked(module(), lock.root):
        pass


def test_system_without_proc(monkeypatch):
    """As on macOS, where the controller may be."""
    real = os.path.isdir
    monkeypatch.setattr(_lock.os.path, "isdir", lambda path: real(path) and path != "/proc/self")
    program = "import sys; print('Sun Nov 22 12:03:10 2026' if sys.argv[-1] == '4711' else '')"
    run = subprocess.run
    monkeypatch.setattr(
        _lock.subprocess, "run", lambda argv, **how: run([sys.executable, "-c", program, argv[-1]], **how)
    )
    assert (started_at(4711), started_at(4712)) == ("Sun Nov 22 12:03:10 2026", "")
    monkeypatch.setattr(_lock, "boot_id", lambda: "")
    assert _lock.this_system() == _lock.this_system() != ""
