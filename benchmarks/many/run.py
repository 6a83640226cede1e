#!/usr/bin/env python3
"""Measure what many apps of one host cost: memory awake and asleep, the first page after sleep, and a second run.

    run.py [--apps 1,10,50] [--rounds N] [--output FILE]
    run.py --smoke    one and two apps, one round: shows that this still works, the figures mean nothing

One container that grows from the fewest apps to the most, each a small Django project with an environment of its own,
two processes and a site, put live by emperor.web.site over SSH, as a run from one's own machine. Memory is the
proportional set size (PSS) of all processes of the container, so it has systemd's and Nginx's share too; what an app
costs is the difference to the container without apps, divided by their number. The first page is asked for through
Nginx, from inside the container.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import RESULTS, Server, lab, machine, make_key, plot, publish, revision, spread

HOST = Server("emperor-benchmark-many")
PROJECT = lab.ROOT / "molecule/sleep/project"
# The apps of a round that are asked for their first page.
ASKED = 10
GOAL_ASLEEP, GOAL_RUN = 10.0, 0.5

# Run on the host.
MEMORY = """
import os, re
total = 0
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{name}/smaps_rollup") as handle:
            total += int(re.search(r"^Pss: +([0-9]+)", handle.read(), re.MULTILINE).group(1))
    except (OSError, AttributeError):
        pass  # it has ended, or is the kernel's
print(total)
"""
FIRST_PAGE = """
import http.client, sys, time
began = time.monotonic()
connection = http.client.HTTPConnection("127.0.0.1", timeout=60)
connection.request("GET", "/", headers={"Host": sys.argv[1]})
answer = connection.getresponse()
answer.read()
assert answer.status == 200, answer.status
print(time.monotonic() - began)
"""


class Odd(Exception):
    """The host is not in the state that is to be measured."""


def name_of(number: int) -> str:
    return f"app{number:03d}"


def apps(source: Path, count: int) -> list[dict]:
    """So long a time without requests that each goes to sleep only when this says so."""
    common = {"source": str(source), "sleep": 36000, "uwsgi": {"processes": 2}, "health": {"settle": 0}}
    return [{"name": name_of(n), "domains": [f"{name_of(n)}.example.com"], **common} for n in range(1, count + 1)]


# The host's state.


def run_python(code: str, *arguments: str) -> float:
    return float(HOST.run("python3", "-c", code, *arguments))


def memory() -> float:
    """MB of all processes, with the few that a question takes; of every question, so a difference has none of them."""
    return run_python(MEMORY) / 1024


def put_to_sleep(count: int) -> None:
    """Do to each app what the end of its time does, and make sure that nothing of it runs."""
    HOST.run("systemctl", "stop", *(f"emperor-wake@{name_of(number)}.service" for number in range(1, count + 1)))
    running = HOST.run("sh", "-c", "systemctl list-units --plain --no-legend 'uwsgi-emperor@*' | wc -l")
    if running != "0":
        raise Odd(f"{running} Emperors still run")


def wake(count: int) -> None:
    for number in range(1, count + 1):
        first_page(number)


def first_page(number: int) -> float:
    return run_python(FIRST_PAGE, f"{name_of(number)}.example.com")


# What is measured.


def measure(tools: Path, place: Path, count: int, rounds: int, empty: float) -> dict[str, Any]:
    """All figures of one number of apps, which are live and awake."""
    plays = [{"import_playbook": "emperor.web.deploy", "vars": {"django_apps": apps(place / "project", count)}}]
    found: dict[str, Any] = {"apps": count, "asleep": [], "awake": [], "first page": [], "second run": []}
    for _round in range(rounds):
        put_to_sleep(count)
        time.sleep(2)
        found["asleep"].append((memory() - empty) / count)
        found["first page"] += [first_page(number) for number in range(1, min(count, ASKED) + 1)]
        wake(count)
        found["awake"].append((memory() - empty) / count)
        began = time.monotonic()
        said = HOST.play(tools, place, plays)
        found["second run"].append(time.monotonic() - began)
        if " changed=0 " not in said:
            raise Odd(f"a second run has changed something:\n{said[-2000:]}")
    return found


def evaluate(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Median and quartiles; what one more app takes in a second run is the slope from the fewest apps on."""
    rows = []
    for sample in found:
        row = {name: spread(values) if isinstance(values, list) else values for name, values in sample.items()}
        more = sample["apps"] - found[0]["apps"]
        took = row["second run"]["median"] - rows[0]["second run"]["median"] if rows else 0.0
        rows.append(row | {"per added app": round(took / more, 3) if more else None})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a table of Markdown, as docs/performance.md has them."""
    lines = [
        "| apps | MB of one asleep | MB of one awake | first page after sleep, s | second run, s | per added app, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [f"{row[name]['median']:.2f} ({row[name]['q1']:.2f} to {row[name]['q3']:.2f})" for name in COLUMNS]
        added = "" if row["per added app"] is None else f"{row['per added app']:.2f}"
        lines.append(f"| {row['apps']} | {' | '.join(cells)} | {added} |")
    asleep = {row["apps"]: row["asleep"]["median"] for row in rows}
    added = {row["apps"]: row["per added app"] for row in rows if row["per added app"] is not None}
    lines += ["", f"Goals: at most {GOAL_ASLEEP:g} MB asleep, {judged(asleep, GOAL_ASLEEP)}."]
    if added:
        lines[-1] += f" At most {GOAL_RUN} s per added app, {judged(added, GOAL_RUN)}."
    return "\n".join(lines)


COLUMNS = ("asleep", "awake", "first page", "second run")


def judged(values: dict[int, float], goal: float) -> str:
    """Whether each number of apps meets a goal, and which does not."""
    missed = [str(apps) for apps, value in values.items() if value > goal]
    return f"not met with {' and '.join(missed)} apps" if missed else "met"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", default="1,10,50", help="numbers of apps, default 1,10,50")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, default 5")
    parser.add_argument("--image", help="image of the host, as dev/lab.py takes it")
    parser.add_argument("--output", type=Path, default=RESULTS / "many.json", help="gets all samples")
    parser.add_argument("--keep", action="store_true", help="leave the host, to look at it")
    parser.add_argument("--smoke", action="store_true", help="two small numbers of apps, to see that this works")
    given = parser.parse_args()
    counts, rounds = ([1, 2], 1) if given.smoke else (sorted({int(n) for n in given.apps.split(",")}), given.rounds)
    if min([*counts, rounds]) < 1:
        parser.error("--apps and --rounds have to be 1 or more")
    tools = lab.virtualenv()
    RESULTS.mkdir(parents=True, exist_ok=True)
    lab.say("Preparing the host …")
    found = []
    try:
        # Not below the repository, where Git ignores it, and a source has the files that Git does not ignore.
        with tempfile.TemporaryDirectory(prefix="emperor-benchmark-") as folder:
            place = Path(folder)
            shutil.copytree(PROJECT, place / "project", ignore=shutil.ignore_patterns("__pycache__"))
            HOST.start(given.image or lab.default_image(), make_key(place))
            roles = ["emperor.web.locale", "emperor.web.nginx", "emperor.web.uwsgi"]
            HOST.play(tools, place, [{"hosts": "all", "gather_facts": False, "roles": roles}])
            empty = memory()
            for count in counts:
                lab.say(f"Putting {count} apps live …")
                site = {"import_playbook": "emperor.web.site", "vars": {"django_apps": apps(place / "project", count)}}
                HOST.play(tools, place, [site])
                lab.say(f"Measuring {rounds} rounds of {count} apps …")
                found.append(measure(tools, place, count, rounds, empty))
        versions = {
            "emperor.web": revision(),
            **HOST.versions(),
            "systemd": HOST.run("systemctl", "--version").split()[1],
        }
    finally:
        if not given.keep:
            lab.down(HOST.name)
    report = {
        "date": date.today().isoformat(),
        "command": " ".join(["python3", "benchmarks/many/run.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions,
        "rows": evaluate(found),
        "samples": json.loads(json.dumps(found)),
    }
    text = "These figures mean nothing, --smoke is a test." if given.smoke else table(report["rows"])
    picture = given.output.with_suffix(".svg")
    picture.write_text(plot("apps", {"emperor.web": {one["apps"]: one["second run"] for one in found}}))
    text += f"\n\npicture: {picture}"
    publish(report, given.output, text, ("date", "machine", "versions"))


if __name__ == "__main__":
    try:
        main()
    except (Odd, lab.Missing) as failure:
        sys.exit(str(failure))
