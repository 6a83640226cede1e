"""What visitors lose when a part of the host dies, restarts or is upgraded under them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import HOST
from test_release import QUIET, deploy
from visitors import LINK, Visitors

SERVICE = "uwsgi-emperor@probe"
RUN = "/run/emperor/probe"
VASSALS = "/etc/uwsgi/emperor/probe"
BEFORE, AFTER = 2, 9  # seconds of load before a fault, and after it
ASK = """
import urllib.request
urllib.request.urlopen(urllib.request.Request("http://127.0.0.1/", headers={"Host": "probe.example.com"}), timeout=5)
"""
READ_STATS = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    print(b"".join(iter(lambda: connection.recv(65536), b"")).decode())
"""


def wait(ready: Callable[[], bool], otherwise: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def live(host) -> str:
    return host.check_output(f"readlink {LINK}").rpartition("/")[2]


def stats(host) -> dict:
    return json.loads(host.check_output("python3 -c %s %s", READ_STATS, f"{RUN}/{live(host)}.stats"))


def emperor(host) -> str:
    return host.check_output(f"systemctl show --property=MainPID --value {SERVICE}")


def kill_worker(host) -> None:
    host.check_output(f"kill -KILL {stats(host)['workers'][0]['pid']}")


def kill_master(host) -> None:
    host.check_output(f"kill -KILL {stats(host)['pid']}")


def kill_emperor(host) -> None:
    before = emperor(host)
    host.check_output(f"kill -KILL {before}")
    wait(lambda: emperor(host) not in ("0", before), "the Emperor does not come back")


def run_commands(*commands: str):
    def fault(host) -> None:
        for command in commands:
            host.check_output(command)

    return fault


def crash_neighbour(host) -> None:
    """A vassal whose app does not import, beside the good one: its Emperor starts it again and again."""
    folder = "/etc/uwsgi/emperor/neighbour"
    change = "s/^module = .*/module = nowhere:application/; /^(socket|stats) =/s/[^/]*$/&.broken/"
    host.check_output(f"sed -E '{change}' {folder}/*.ini > /root/broken.ini")
    host.check_output(f"install -m 640 -g neighbour /root/broken.ini {folder}/broken.ini")


def restore_neighbour(host) -> None:
    log = host.check_output("journalctl --unit uwsgi-emperor@neighbour --no-pager --lines 200")
    host.check_output("rm /etc/uwsgi/emperor/neighbour/broken.ini")
    assert log.count("no app loaded") >= 2, "it crashed again and again"


APT = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --reinstall"
PROMISED = {  # what a quiet machine has to keep to; the seconds are those from the first to the last that is lost
    "kill -9 of the vassal's master": {"lost": 10},
    "kill -9 of the Emperor": {"seconds": 3},
}
# What is done, how many requests it may cost, and how to clear away. Where something has to start again, the bound is
# several times what a quiet machine loses (docs/performance.md): on a busy one each start takes its time.
FAULTS = {
    "kill -9 of a worker": (kill_worker, 1, None),
    "kill -9 of the vassal's master": (kill_master, 100, None),
    "kill -9 of the Emperor": (kill_emperor, 400, None),
    "reload of Nginx": (run_commands("systemctl reload nginx"), 0, None),
    "restart of Nginx": (run_commands("systemctl restart nginx"), 1000, None),
    "neighbour that crash-loops": (crash_neighbour, 0, restore_neighbour),
    "reinstallation of uWSGI": (run_commands(f"{APT} uwsgi-core uwsgi-plugin-python3"), 0, None),
    "reinstallation of Nginx": (run_commands(f"{APT} nginx"), 0, None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_lost_requests(host, name):
    fault, allowed, clear = FAULTS[name]
    release, began = live(host), emperor(host)
    with Visitors(host, "--rate=100") as visitors:
        time.sleep(BEFORE)
        at = time.time()
        fault(host)
        time.sleep(AFTER)
    if clear:
        clear(host)
    failed = [record for record in visitors.records if record.failed]
    gap = max(r.start for r in failed) - min(r.start for r in failed) if failed else 0
    shorts = [r.latency for r in visitors.records if r.kind in ("kept", "new") and not r.failed and r.start >= at]
    print(
        f"| {name} | {len(failed)} of {len(visitors.records)} | {gap:.1f} | {max(shorts):.1f} "
        f"| {visitors.summary['retried']} | {visitors.summary['errors']}"
    )
    assert len(failed) <= allowed, visitors.summary["errors"]
    found = {"lost": len(failed), "seconds": gap}
    for what, bound in PROMISED.get(name, {}).items():
        assert not QUIET or found[what] <= bound, visitors.summary["errors"]
    assert {record.release for record in visitors.records if not record.failed} == {release}
    last = [record for record in visitors.records if record.start > at + AFTER - 3]
    assert last and not any(record.failed for record in last), "the site is whole again"
    assert (emperor(host) == began) is (name != "kill -9 of the Emperor"), "no Emperor restarts but one that was killed"


def test_restart_of_the_host_in_the_middle_of_a_switch(host):
    before = live(host)
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(deploy, 101, "page hangs")
        wait(lambda: len(host.check_output(f"ls {VASSALS}").split()) == 2, "the second vassal never came")
        subprocess.run(["docker", "restart", "--time=60", HOST], check=True, capture_output=True)
        assert not playing.result().ok
    wait(lambda: host.run("python3 -c %s", ASK).rc == 0, "the site does not come back after a boot")
    with Visitors(host, "--rate=50") as visitors:
        time.sleep(5)
    assert [record for record in visitors.records if record.failed] == []
    assert {record.release for record in visitors.records} == {before} == {live(host)}
    repaired = deploy(102, "good")
    assert repaired.ok, repaired.said[-3000:]
    assert live(host) != before
    assert host.check_output(f"ls {VASSALS}") == f"{live(host)}.ini"
