"""Visitors come in without a break through twenty releases, and none of them notices more than the new pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import servers
from visitors import Record, Visitors, percentile

sys.path.insert(0, str(Path(__file__).parents[1]))
import project

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
SOURCE = PROJECT / f".cache/release-{os.environ['EMPEROR_HOST']}"
SCENARIO = PROJECT / "molecule/release"
STEADY = 20  # seconds without a release, before the first
INSTANT, UNNOTICED = 0.1, 0.4  # seconds
RATE = 260  # short requests a second
KINDS = (
    ["good", "settings", "good", "page fails", "good", "good", "urls", "good", "wsgi", "good"]
    + ["good", "uwsgi", "good", "page hangs", "good", "good", "page fails", "uwsgi", "good", "good"]
)  # fmt: skip
# Fewer releases for a quick look: all twenty take a quarter of an hour.
KINDS = KINDS[: int(os.environ.get("EMPEROR_RELEASES", len(KINDS)))]
REQUESTS = 5_000 * len(KINDS)
QUIET = len(KINDS) >= 20  # all of them are for a machine with nothing else to do


@dataclass
class Release:
    """One run of the playbook."""

    number: int
    kind: str
    began: float
    ended: float
    ok: bool
    said: str


@dataclass
class Run:
    """All that happened."""

    releases: list[Release]
    records: list[Record]
    summary: dict
    history: list[dict]
    servers: tuple[dict, dict]

    @property
    def lives(self) -> list[tuple[float, float, str]]:
        """From when to when which release was the live one, as the link itself showed."""
        links = self.summary["links"]
        ends = [moment for moment, _name in links[1:]] + [float("inf")]
        return [(began, ended, name) for (began, name), ended in zip(links, ends, strict=True)]


def deploy(number: int, kind: str) -> Release:
    """Change the sources and run the playbook, and give way: in life the controller is another machine."""
    project.write(SOURCE, number, kind)
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", SCENARIO / "inventory.yml", "emperor.web.deploy"]
    began = time.time()
    done = subprocess.run(["nice", *command], capture_output=True, text=True, check=False)
    return Release(number, kind, began, time.time(), done.returncode == 0, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def run(host) -> Run:
    lines = host.check_output("cat /srv/django/probe/releases.jsonl").count("\n") + 1
    before = servers(host, "probe")
    with Visitors(host, f"--rate={RATE}", "--slow-every=2.5") as visitors:
        time.sleep(STEADY)
        releases = [deploy(number, kind) for number, kind in enumerate(KINDS, 1)]
        deadline = time.monotonic() + 300
        while visitors.count() < REQUESTS and time.monotonic() < deadline:
            time.sleep(2)
    history = [
        json.loads(line) for line in host.check_output("cat /srv/django/probe/releases.jsonl").splitlines()[lines:]
    ]
    found = Run(releases, visitors.records, visitors.summary, history, (before, servers(host, "probe")))
    print(json.dumps({key: value for key, value in visitors.summary.items() if key != "seconds"}, indent=1))
    for release in releases:
        print(f"{release.number:3} {release.kind:12} {release.ended - release.began:5.1f} s", *windows(found, release))
    return found


def windows(run: Run, release: Release) -> list[str]:
    return [
        f"{name} {max(latencies, default=0) * 1000:.0f} ms"
        for name, latencies in (
            ("longest while it ran", short(run, release.began, release.ended)),
            *(("around the switch", short(run, at - 1, at + 1)) for at in switches(run, release)),
        )
    ]


def switches(run: Run, release: Release) -> list[float]:
    return [began for began, _ended, _name in run.lives[1:] if release.began <= began <= release.ended]


def short(run: Run, began: float, ended: float) -> list[float]:
    """Latencies of the short requests of a time."""
    return [r.latency for r in run.records if r.kind in ("kept", "new") and began <= r.start < ended]


def test_no_request_failed(run):
    failed = [record for record in run.records if record.failed]
    assert failed == [], f"{len(failed)} of {len(run.records)}"
    assert len(run.records) >= REQUESTS
    assert run.summary["retried"] == 0


def test_no_release_reloaded_nginx_or_restarted_the_emperor(run):
    before, after = run.servers
    assert after == before


def test_every_kind_of_visitor_was_there(run):
    kinds = {record.kind for record in run.records}
    assert kinds == {"kept", "new", "slow", "upload"}
    for release in run.releases:
        for at in switches(run, release):
            under_way = {r.kind for r in run.records if r.start < at < r.start + r.latency}
            assert under_way >= {"slow", "upload"}, (
                f"nothing slow was under way when release {release.number} went live"
            )


def test_good_releases_went_live_and_broken_ones_failed_with_their_cause(run):
    for release in run.releases:
        if release.kind == "good":
            assert release.ok, release.said[-3000:]
        else:
            assert not release.ok, f"release {release.number} ({release.kind}) should have failed"
            assert project.BROKEN[release.kind][2] in release.said, release.said[-3000:]
        assert len(switches(run, release)) == (release.kind == "good"), release.number


def test_history_has_what_went_live(run):
    live = [entry["release"] for entry in run.history if entry["result"] == "live"]
    assert live == [name for _began, _ended, name in run.lives[1:]]
    assert len(live) == KINDS.count("good")


def test_each_answer_is_of_a_release_that_was_live_then(run):
    """A broken release was never the live one, so this says too that none of them has answered."""
    early = 0.1  # the link is looked at every 10 ms, by a program that waits for its turn
    strays = []
    for record in run.records:
        ended = record.start + record.latency
        if not any(name == record.release and began - early <= ended and record.start <= until + early
                   for began, until, name in run.lives):  # fmt: skip
            strays.append(record)
    assert strays == []


def test_nobody_waited_for_a_switch(run):
    """Longest against three times the steady p99, or against what the same playbook does where it does not switch.

    On a machine that others share any request may wait for a processor, the more while an app starts. So a few releases
    keep to what nobody notices: what a switch costs each time shows in the best, what it may cost in the worst. All
    twenty releases are for a quiet machine, where there is no excuse.
    """
    steady = percentile(sorted(short(run, run.releases[0].began - STEADY, run.releases[0].began)), 99)
    broken = [max(short(run, release.began, release.ended)) for release in run.releases if release.kind != "good"]
    around = [max(short(run, at - 1, at + 1)) for release in run.releases for at in switches(run, release)]
    print(f"steady p99 {steady:.4f}, around switches {sorted(around)}, while broken releases ran {sorted(broken)}")
    assert min(around) <= max(INSTANT, *broken)
    assert max(around) <= max(UNNOTICED, *broken)
    assert not QUIET or max(around) <= 3 * steady
