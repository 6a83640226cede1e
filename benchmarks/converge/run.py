#!/usr/bin/env python3
"""Measure how long this collection takes for a site, beside pyinfra and a stock combination of roles.

    run.py [--rounds N] [--output FILE]
    run.py --profile               where the time of our second run and of a release goes, task by task
    run.py --hosts 1,2,5           second runs of so many hosts at a time, and nothing else
    run.py --delay 50,150          second runs, besides, with the host so many milliseconds away, there and back
    run.py --smoke                 one round: shows that this still works, the figures mean nothing

Every way puts the example project live, from the same Git repository, on a container of its own, over SSH: ours is
emperor.web.site, the others are in benchmarks/peers. Each has to serve the page first. Then each round has all of them
do a second run, one after the other, and who is first changes; then each puts a change of code and a new dependency
live and takes them back, while a visitor asks ten times a second. Every run opens its own connection.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
import hosts
import tasks
from common import RESULTS, Server, lab, machine, make_key, plot, publish, revision
from figures import BACK, CODE, DEPENDENCY, FIRST, SECOND, UNWATCHED, Samples
from hosts import Odd, Watch, git_server, make_repository, relay, verify
from ways import (
    MITOGEN,
    OURS,
    OURS_MITOGEN,
    PYINFRA,
    PYINFRA_ALL,
    PYINFRA_NEW,
    RELEASE,
    ROLLBACK,
    SITE,
    STOCK,
    Done,
    PyinfraNew,
    Setting,
    Target,
    Way,
    all_ways,
)

NAMES = {OURS: "ours", PYINFRA_ALL: "pyinfra", STOCK: "stock", OURS_MITOGEN: "mitogen"}
KINDS = {"code": CODE, hosts.UNWATCHED: UNWATCHED, "dependency": DEPENDENCY}


class Benchmark:
    """The ways with their hosts, and the samples that they gave."""

    def __init__(self, setting: Setting, given: argparse.Namespace) -> None:
        self.setting, self.stay, self.smoke, self.only = setting, given.keep, given.smoke, given.only
        self.image = given.image or lab.default_image()
        self.ways: dict[Way, list[Target]] = {}
        self.samples: Samples = {}
        self.changed: dict[str, list[int]] = {}
        self.commands: Samples = {}
        self.left_out: dict[str, str] = {}

    def keep(self, case: str, way: Way, seconds: float) -> None:
        self.samples.setdefault(case, {}).setdefault(way.name, []).append(seconds)

    def first_run(self, way: Way, servers: list[Server]) -> None:
        """From a bare host to a page; a way that cannot is left out, with its reason, when it is no main one."""
        targets = [Target(server, server.address) for server in servers]
        try:
            done = way.run(SITE, "v1", targets)
            for server in servers:
                verify(way.name, server.address, "v1")
        except (lab.Missing, Odd) as reason:
            if way.name != OURS_MITOGEN:
                raise
            lab.say(f"{way.name} cannot run: {reason}")
            self.left_out[way.name] = str(reason)
            return
        lab.say(f"  {way.name}: first run {done.seconds:.1f} s")
        if len(servers) == 1:
            self.keep(FIRST, way, done.seconds)
        self.ways[way] = targets
        if way.name == PYINFRA_ALL:
            self.ways[PyinfraNew(PYINFRA_NEW, self.setting)] = targets

    def second_run(self, way: Way, targets: list[Target]) -> Done:
        """Ours has to report no change, with whatever it runs its tasks by."""
        done = way.run(SITE, "v1", targets)
        if way.name in (OURS, OURS_MITOGEN) and done.changed:
            raise Odd(f"a second run of {way.name} has changed something:\n{done.output[-4000:]}")
        self.changed.setdefault(way.name, []).append(done.changed)
        return done

    def second_runs(self, number: int) -> None:
        for way in turned(list(self.ways), number):
            seconds = self.second_run(way, self.ways[way]).seconds
            self.keep(SECOND, way, seconds)
            lab.say(f"  {way.name}: second run {seconds:.1f} s")

    def releases(self, number: int) -> None:
        for way in turned(self.main_ways(), number):
            for kind, case in KINDS.items():
                if kind == hosts.UNWATCHED and way.name != OURS:
                    continue
                version = f"{kind}-{number}"
                self.release(way, RELEASE, case, version)
                # Only ours has the one more, so it is in no row.
                back = f"{BACK} after {kind}" if kind == hosts.UNWATCHED else BACK
                self.release(way, ROLLBACK, back, "v1")

    def release(self, way: Way, what: str, case: str, version: str) -> None:
        """Until every visitor has the version; the end of the command is noted too."""
        targets = self.ways[way]
        watch = Watch(targets[0].address, version)
        watch.start()
        done = way.run(what, version, targets)
        live = watch.live()
        verify(way.name, targets[0].address, version)
        self.keep(case, way, live)
        self.commands.setdefault(case, {}).setdefault(way.name, []).append(done.seconds)
        lab.say(f"  {way.name}: {case} {live:.1f} s, end of the command {done.seconds:.1f} s")

    def main_ways(self) -> list[Way]:
        return [way for way in self.ways if way.name not in (PYINFRA_NEW, OURS_MITOGEN)]

    def prepare(self, stack: ExitStack, rounds: int, count: int = 1, only: tuple[str, ...] = ()) -> None:
        """Hosts for all ways, and the repository that they read."""
        place = self.setting.place
        served = make_repository(place, rounds)
        for way in all_ways(self.setting):
            wanted = (not only or way.name in only) and re.search(self.only, way.name)
            if not wanted or (self.smoke and way.name == OURS_MITOGEN):
                lab.say(f"  {way.name} is left out of this run")
                continue
            servers = [Server(f"emperor-benchmark-converge-{NAMES[way.name]}-{n}") for n in range(1, count + 1)]
            for server in servers:
                if not self.stay:
                    stack.callback(lab.down, server.name)
                server.start(self.image, self.setting.key)
            if not self.setting.source:
                self.setting.source = stack.enter_context(git_server(served, servers[0].gateway))
            self.first_run(way, servers)
        if not self.ways:
            raise lab.Missing(f"no way is left to measure; --only {self.only!r} matches none of them")


def turned(ways: list[Way], number: int) -> list[Way]:
    """In another order each round, so that nobody is always first; there may be none, as of releases by Mitogen."""
    first = number % max(len(ways), 1)
    return ways[first:] + ways[:first]


# What grows.


def by_hosts(benchmark: Benchmark, counts: list[int], rounds: int) -> dict[str, dict[float, list[float]]]:
    found: dict[str, dict[float, list[float]]] = {}
    for number in range(rounds):
        for way in turned(benchmark.main_ways(), number):
            for count in counts:
                seconds = benchmark.second_run(way, benchmark.ways[way][:count]).seconds
                found.setdefault(way.name, {}).setdefault(count, []).append(seconds)
                lab.say(f"  {way.name}, {count} hosts: {seconds:.1f} s")
    return found


def by_delay(benchmark: Benchmark, delays: list[int], rounds: int) -> dict[str, dict[float, list[float]]]:
    found: dict[str, dict[float, list[float]]] = {way: {0: s} for way, s in benchmark.samples[SECOND].items()}
    for number in range(rounds):
        for way in turned(list(benchmark.ways), number):
            server = benchmark.ways[way][0].server
            for delay in delays:
                with relay(server, delay) as port:
                    seconds = benchmark.second_run(way, [Target(server, "127.0.0.1", port)]).seconds
                found[way.name].setdefault(delay, []).append(seconds)
                lab.say(f"  {way.name}, {delay} ms: {seconds:.1f} s")
    return found


def grown(report: dict[str, Any], what: str, output: Path, found: dict[str, dict[float, list[float]]]) -> str:
    """Note it, draw it, and return its table."""
    report[what] = found
    picture = output.with_name(f"{output.stem}-{what.split(',')[0].replace(' ', '-')}.svg")
    picture.write_text(plot(what, found))
    return f"{figures.growth_table(what, found)}\n\npicture: {picture}"


# Altogether.


def measure(benchmark: Benchmark, given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What is to be reported, and its text."""
    rounds = 1 if given.smoke else given.rounds
    releases = 1 if given.smoke else given.rounds if given.releases is None else given.releases
    report: dict[str, Any] = {}
    with ExitStack() as stack:
        lab.say("Preparing the hosts, each with its first run …")
        if given.hosts:
            benchmark.prepare(stack, 1, max(given.hosts), only=(OURS, PYINFRA_ALL, STOCK))
            text = [grown(report, "hosts at a time", given.output, by_hosts(benchmark, given.hosts, rounds))]
        elif given.profile:
            benchmark.prepare(stack, 1, only=(OURS,))
            (way,) = benchmark.ways
            benchmark.second_run(way, benchmark.ways[way])
            target = benchmark.ways[way][0]
            cases = {SECOND: (SITE, "v1"), next(iter(KINDS.values())): (RELEASE, f"{next(iter(KINDS))}-0")}
            report["tasks"] = {case: tasks.measure(way, *run, target) for case, run in cases.items()}
            text = [f"{case}:\n\n{tasks.table(found)}" for case, found in report["tasks"].items()]
        else:
            benchmark.prepare(stack, releases)
            steps = (("Second runs", benchmark.second_runs, rounds), ("Releases", benchmark.releases, releases))
            for what, step, count in steps:
                for number in range(count):
                    lab.say(f"{what}, round {number + 1} of {count} …")
                    step(number)
            report["rows"] = figures.evaluate(benchmark.samples)
            text = [figures.table(report["rows"]), changes(benchmark)]
            if given.delay:
                found = by_delay(benchmark, given.delay, rounds)
                text.append(grown(report, "round trip, ms", given.output, found))
        server = next(iter(benchmark.ways.values()))[0].server
        report["versions"] = {
            "emperor.web": revision(),
            "ansible-core": lab.run(benchmark.setting.tools / "bin/ansible", "--version")
            .stdout.split("]")[0]
            .split()[-1],
            **dict(requirement.split("==") for requirement in (PYINFRA, MITOGEN)),
            **server.versions(),
        }
    report |= {"samples": benchmark.samples, "commands": benchmark.commands, "left_out": benchmark.left_out}
    text += [f"{name} could not run: {reason}" for name, reason in benchmark.left_out.items()]
    return report, "\n\n".join(text)


def changes(benchmark: Benchmark) -> str:
    """What the second runs reported."""
    told = [f"{name} {max(counts)}" for name, counts in benchmark.changed.items()]
    return f"Changes that a second run reports, at most: {', '.join(told)}."


def numbers(text: str) -> list[int]:
    return sorted({int(word) for word in text.split(",") if int(word) > 0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, default 5")
    parser.add_argument("--releases", type=int, help="how often releases are measured, as often unless given")
    parser.add_argument("--hosts", type=numbers, help="numbers of hosts, as 1,2,5")
    parser.add_argument("--delay", type=numbers, help="milliseconds of a round trip, as 50,150")
    parser.add_argument("--profile", action="store_true", help="tell where the time of our runs goes")
    parser.add_argument("--only", default="", help="measure only ways whose names match this regular expression")
    parser.add_argument("--image", help="image of the hosts, as dev/lab.py takes it")
    parser.add_argument("--output", type=Path, help="gets all samples, default converge*.json in .cache/benchmarks")
    parser.add_argument("--keep", action="store_true", help="leave the hosts, to look at them")
    parser.add_argument("--smoke", action="store_true", help="one round without Mitogen, to see that this works")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    kind = "-profile" if given.profile else "-hosts" if given.hosts else "-smoke" if given.smoke else ""
    given.output = given.output or RESULTS / f"converge{kind}.json"
    tools = lab.virtualenv()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="emperor-benchmark-") as folder:
        place = Path(folder)
        setting = Setting(place, tools, make_key(place), "")
        benchmark = Benchmark(setting, given)
        report, text = measure(benchmark, given)
    report |= {
        "date": date.today().isoformat(),
        "command": " ".join(["python3", "benchmarks/converge/run.py", *sys.argv[1:]]),
        "machine": machine(),
    }
    if given.smoke:
        text += "\n\nThese figures mean nothing, --smoke is a test."
    publish(report, given.output, text, ("date", "machine", "versions"))


if __name__ == "__main__":
    try:
        main()
    except (Odd, lab.Missing) as failure:
        sys.exit(str(failure))
