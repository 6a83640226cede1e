"""Several apps on one host: none reaches another, and one that goes wild takes nothing from the others."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import HOST, Site, run_module, workers

SCENARIO = Path(__file__).parents[1]
LOAD = SCENARIO.parent / "shared/load.py"
TRIES = SCENARIO / "project/attempts.py"
COUNT = int(os.environ.get("EMPEROR_APPS") or 6)
APPS = [*(f"app{number}" for number in range(1, COUNT)), "hostile"]
UNIT = "uwsgi-emperor@hostile"
# The files of the kernel: for cgroup v2, and for v1 that of each controller.
LIMITS = {
    "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    "tasks": ("pids.max", "pids/pids.max"),
    "cpu": ("cpu.max", "cpu/cpu.cfs_quota_us"),
}


# What is where.


def group_file(host, unit: str, name: str) -> str:
    """What the kernel says of a limit; empty where it has no controller for it."""
    group = host.check_output(f"systemctl show --property=ControlGroup --value {unit}")
    unified, legacy = LIMITS[name]
    folder, _slash, file = legacy.partition("/")
    paths = [f"/sys/fs/cgroup{group}/{unified}", f"/sys/fs/cgroup/{folder}{group}/{file}"]
    return host.run(f"cat {' '.join(shlex.quote(path) for path in paths)} 2>/dev/null").stdout.strip()


def controlled(host, name: str) -> bool:
    """Whether the container's systemd is to limit it: this machine has the controller, of a kind that it can use."""
    groups = Path("/sys/fs/cgroup")
    if "EMPEROR_CONTROLLERS" not in os.environ:
        return False
    if (groups / "cgroup.controllers").exists():
        return {"tasks": "pids"}.get(name, name) in (groups / "cgroup.controllers").read_text().split()
    systemd = int(re.search(r"\d+", host.check_output("systemctl --version"))[0])
    return (groups / LIMITS[name][1]).parent.is_dir() and systemd <= 257  # the last one that can use those of v1


def limited(host, name: str) -> bool:
    """Whether the kernel limits it here. Where it could and does not, that is a failure."""
    there = bool(group_file(host, UNIT, name))
    assert there or not controlled(host, name), f"this machine has a cgroup controller for {name}, but no limit"
    return there


def require(host, name: str) -> None:
    if not limited(host, name):
        pytest.skip(f"there is no cgroup controller for {name} that this container's systemd can use")


def facts(host, name: str) -> dict:
    """What an attacker would have to find out first."""
    release = host.check_output(f"basename $(readlink /srv/django/{name}/current)")
    pid = next(worker["pid"] for worker in workers(host, name, release) if worker["pid"])
    return {"name": name, "root": f"/srv/django/{name}", "release": release, "pid": pid}


@pytest.fixture(scope="module")
def apps(host) -> dict[str, dict]:
    """All apps, each with an upload and a database that is its own."""
    for name in APPS:
        shared = f"/srv/django/{name}/shared"
        files = f"umask 027; echo secret > {shared}/media/upload; echo secret >> {shared}/db.sqlite3"
        host.check_output(f"runuser -u {name} -- sh -c '{files}'")
    return {name: facts(host, name) for name in APPS}


def site(address: str, name: str) -> Site:
    return Site(address, f"{name}.example.com")


def tried(host, pairs: list[tuple]) -> list[dict[str, str]]:
    """The outcomes of each pair, without the sandbox of an Emperor: as hooks, timers and manage.py run."""
    done = subprocess.run(
        ["docker", "exec", "--interactive", HOST, "python3", "/root/attempts.py"],
        input=json.dumps(pairs), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tries(host):
    subprocess.run(["docker", "cp", str(TRIES), f"{HOST}:/root/attempts.py"], check=True, capture_output=True)
    return lambda pairs: tried(host, pairs)


def succeeded(outcome: dict[str, str]) -> set[str]:
    return {name for name, result in outcome.items() if result == "yes"}


# Isolation.


def test_every_app_is_there(address, apps):
    assert len(apps) == COUNT
    assert [site(address, name).get("/").status for name in APPS] == [200] * COUNT


# Without a sandbox the names of apps and processes are no secret.
NAMES = {"see that it is there", "see its process"}


def test_no_app_reaches_another(apps, tries):
    pairs = [(mine, apps[mine], apps[other]) for mine in APPS for other in APPS if mine != other]
    for (mine, _facts, victim), outcome in zip(pairs, tries(pairs), strict=True):
        assert succeeded(outcome) - NAMES == set(), (mine, victim["name"], outcome)


def test_no_app_reaches_another_from_within_a_worker(address, apps):
    for victim in APPS[:-1]:
        path = f"/attempt?apps={quote(json.dumps([apps['hostile'], apps[victim]]))}"
        answer = site(address, "hostile").get(path)
        assert answer.status == 200
        assert succeeded(json.loads(answer.text)) == set(), (victim, answer.text)


OWN = {
    "see that it is there",
    "list its sockets",
    "read the environment of its release",
    "read its code",
    "read an upload",
    "read its database",
    "change its database",
    "have a page of it",
    "read its statistics",
    "read its Emperor's statistics",
    "see its process",
    "read the environment of its process",
    "signal its process",
}


def test_the_same_attempts_succeed_where_they_are_allowed(address, apps, tries):
    """Else nobody would know whether they failed for the right reason."""
    mine = apps["app1"]
    by_root, by_itself = tries([("root", mine, mine), ("app1", mine, mine)])
    assert succeeded(by_root) == set(by_root), by_root
    assert succeeded(by_itself) == OWN, by_itself
    path = f"/attempt?apps={quote(json.dumps([apps['hostile'], apps['hostile']]))}"
    within = json.loads(site(address, "hostile").get(path).text)
    assert succeeded(within) == OWN, within


# One that goes wild.


class Visitors:
    """Requests to an innocent app, from entry to exit."""

    def __init__(self, host) -> None:
        self.host = host
        self.summary: dict = {}

    def __enter__(self) -> Visitors:
        options = (
            "--host app1.example.com --rate 25 --slow-every 0 --upload-every 0 --log /root/log --summary /root/summary"
        )
        self.host.check_output(
            f"rm -f /root/summary; systemd-run --quiet --collect --unit=visitors python3 /root/load.py {options}"
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self.host.check_output("systemctl stop visitors")
        self.summary = json.loads(self.host.file("/root/summary").content_string)

    @property
    def slow(self) -> float:
        return self.summary["p99"]


@pytest.fixture(scope="module")
def usual(host) -> float:
    """What 99 of 100 visitors of the innocent app wait at most while all is quiet."""
    subprocess.run(["docker", "cp", str(LOAD), f"{HOST}:/root/load.py"], check=True, capture_output=True)
    with Visitors(host) as visitors:
        time.sleep(20)
    assert visitors.summary["count"] > 400 and not visitors.summary["failed"], visitors.summary["errors"]
    return visitors.slow


def assert_unharmed(visitors: Visitors, usual: float) -> None:
    """Everybody was answered, and about as fast.

    Fifty apps have the machine for themselves; where other scenarios run beside this one, it has other things to do.
    """
    count = visitors.summary["count"]
    print(f"p99 {usual * 1000:.0f} ms before, {visitors.slow * 1000:.0f} ms during, of {count} requests")
    assert not visitors.summary["failed"], visitors.summary["errors"]
    assert visitors.summary["count"] > 50
    quiet = COUNT >= 50
    assert visitors.slow <= (3 * usual + 0.1 if quiet else 10 * usual + 0.5), (visitors.slow, usual)


def restarted(host, name: str) -> float:
    """The seconds that a restart of an Emperor took; systemd would kill it after 45, and its default is 90."""
    began = time.monotonic()
    host.check_output(f"systemctl restart uwsgi-emperor@{name}")
    seconds = time.monotonic() - began
    assert seconds < 25
    assert "timed out" not in host.check_output(f"journalctl --unit uwsgi-emperor@{name} --lines 100 --output cat")
    return seconds


def value(host, name: str) -> int:
    return int(group_file(host, UNIT, name).split()[0])


def test_limits_are_in_force(host, apps):
    for name, wanted in {"memory": 256 << 20, "tasks": 64, "cpu": 100000}.items():
        assert not limited(host, name) or value(host, name) == wanted
    vassal = host.check_output(f"cat /proc/{apps['hostile']['pid']}/limits")
    assert next(line for line in vassal.splitlines() if line.startswith("Max open files")).split()[3:5] == [
        "2048",
        "2048",
    ]


def test_one_that_leaks_memory_ends_at_its_limit(host, address, usual):
    require(host, "memory")
    with Visitors(host) as visitors:
        answers = [site(address, "hostile").wait("/leak?mb=2000", seconds=0) for _attempt in range(3)]
        time.sleep(2)
    assert {answer.status for answer in answers} <= {500, 502}, "a worker that is killed answers nobody"
    assert "killed" in host.check_output(f"journalctl --unit {UNIT} --lines 50 --output cat")
    assert_unharmed(visitors, usual)
    assert site(address, "hostile").wait("/").text == "well"


def test_one_that_forks_without_end_ends_at_its_limit(host, address, usual):
    require(host, "tasks")
    with Visitors(host) as visitors:
        answer = site(address, "hostile").get("/fork?seconds=6")
        time.sleep(6)
    done = json.loads(answer.text)
    assert "Resource temporarily unavailable" in done["error"] and done["tasks"] <= 64, done
    assert done["children"] > 40, done
    assert_unharmed(visitors, usual)
    assert site(address, "hostile").wait("/").text == "well"


def test_one_whose_queue_is_full_keeps_nobody_else_waiting(host, address, usual):
    statuses: list[int | str] = []

    def ask() -> None:
        try:
            statuses.append(site(address, "hostile").get("/sleep?seconds=4").status)
        except OSError as error:
            statuses.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for _n in range(60)]
    with Visitors(host) as visitors:
        for thread in threads:
            thread.start()
        time.sleep(6)
    assert_unharmed(visitors, usual)
    # Two are at work, the queue has room for 16 or 17, and those who did not fit in are told so at once.
    assert Counter(statuses)[502] >= 30, Counter(statuses)
    waiting = sum(thread.is_alive() for thread in threads)
    assert waiting >= 8, "nobody waits, so a restart has nothing to wait for"
    seconds = restarted(host, "hostile")
    for thread in threads:
        thread.join(30)
    print(f"restarted in {seconds:.1f} s while {waiting} waited; the answers: {Counter(statuses)}")
    assert len(statuses) == 60 and set(statuses) <= {200, 502}, Counter(statuses)
    assert site(address, "hostile").wait("/").text == "well"


def test_one_that_dies_at_its_start_over_and_over(host, address, apps, usual):
    """A vassal that is broken, as a deploy that was killed may leave one: its Emperor tries again and again."""
    folder = "/etc/uwsgi/emperor/hostile"
    good, bad = f"{folder}/{apps['hostile']['release']}.ini", f"{folder}/broken.ini"
    broken = (
        f"sed -e 's/^module = .*/module = does_not_exist/' -e 's/{apps['hostile']['release']}[.]s/broken.s/' {good}"
    )
    with Visitors(host) as visitors:
        host.check_output(f"{broken} > {bad}.new; chgrp hostile {bad}.new; chmod 640 {bad}.new; mv {bad}.new {bad}")
        time.sleep(10)
        assert site(address, "hostile").get("/").text == "well", "its own live release is not harmed either"
        host.check_output(f"rm {bad}")
    log = host.check_output(f"journalctl --unit {UNIT} --lines 300 --output cat")
    assert log.count("no app loaded. GAME OVER") > 1 or log.count("does_not_exist") > 1, log[-2000:]
    assert_unharmed(visitors, usual)


# The unit.


def emperor(**options: object) -> dict:
    """What uwsgi_emperor returns for the hostile app."""
    entry = {"name": "hostile", "root": "/srv/django/hostile", "writable": ["/srv/django/hostile/shared"]}
    entry |= {"hidden": ["/srv/django"], "limits": {"memory": "256M", "cpu": 100, "tasks": 64, "open_files": 2048}}
    return run_module(SCENARIO / "inventory.yml", "uwsgi_emperor", {"emperors": [entry | options]})


def test_limits_of_a_running_app_change_at_once(host):
    require(host, "memory")
    process = host.check_output(f"systemctl show --property=MainPID --value {UNIT}")
    before = emperor()
    assert not before["changed"], before
    assert before["limits"]["hostile"] == {
        "memory": 256 << 20, "memory_swap": None, "cpu": 100, "tasks": 64, "open_files": 2048
    }  # fmt: skip
    other = {"memory": "320M", "tasks": 96, "open_files": 2048}
    done = emperor(limits=other)
    assert done["changed"] and done["limits"]["hostile"]["memory"] == 320 << 20, done
    assert (value(host, "memory"), value(host, "tasks")) == (320 << 20, 96)
    assert done["limits"]["hostile"]["cpu"] is None, "a limit that is no longer given is gone"
    assert not emperor(limits=other)["changed"]
    # Somebody else's change is found and mended.
    host.check_output(f"systemctl set-property --runtime {UNIT} MemoryMax=100M")
    assert value(host, "memory") == 100 << 20
    assert emperor(limits=other)["changed"]
    assert value(host, "memory") == 320 << 20
    assert emperor()["changed"]
    assert (value(host, "memory"), value(host, "cpu")) == (256 << 20, 100000)
    assert host.check_output(f"systemctl show --property=MainPID --value {UNIT}") == process, "it was not restarted"


def test_a_queue_that_the_kernel_does_not_give_is_refused_and_one_that_it_can_is_read_back(host):
    path = "/proc/sys/net/core/somaxconn"
    usual = host.check_output(f"cat {path}")
    wanted = int(usual) + 904
    if host.run(f"sh -c 'echo {usual} > {path}'").rc:
        refused = emperor(listen=wanted)
        assert refused["failed"]
        assert f"listen is {wanted}, but the kernel gives queues of {usual} at most" in refused["msg"], refused
        assert host.check_output(f"cat {path}") == usual
        assert host.run("mount -o remount,rw /proc/sys").rc == 0
    done = emperor(listen=wanted)
    assert done["changed"] and path in done["changes"], done
    assert host.check_output(f"cat {path}") == str(wanted)
    assert f"net.core.somaxconn = {wanted}\n" in host.file("/etc/sysctl.d/60-emperor-web.conf").content_string
    assert not emperor(listen=wanted)["changed"]


def test_emperors_stop_soon_and_leave_nobody_behind(host, address):
    for name in ("hostile", "app1"):
        began = time.monotonic()
        host.check_output(f"systemctl stop uwsgi-emperor@{name}")
        assert time.monotonic() - began < 25
        assert host.run(f"find /proc -maxdepth 1 -user {name}").stdout == ""
        assert "timed out" not in host.check_output(f"journalctl --unit uwsgi-emperor@{name} --lines 40")
        assert host.check_output(f"systemctl show --property=Result --value uwsgi-emperor@{name}") == "success"
        host.check_output(f"systemctl start uwsgi-emperor@{name}")
        assert site(address, name).wait("/").status == 200
        restarted(host, name)
        assert site(address, name).wait("/").status == 200


def test_emperors_start_at_boot_and_log_by_name(host):
    for name in APPS:
        assert host.service(f"uwsgi-emperor@{name}").is_enabled
        assert "spawned uWSGI worker" in host.check_output(f"journalctl --identifier {name} --output cat --lines 2000")
