#!/usr/bin/env python3
"""Measure what visitors notice of a new release, by this collection and by the usual other ways.

    run.py [--rate N] [--output FILE] [--picture FILE] [--only REGEX] [--keep]
    run.py --smoke    two ways and a few seconds each: shows that this still works, the figures mean nothing

One container, one app, one Nginx, one load (molecule/shared/load.py, on the container's own loopback). Each way starts
with version 1 being served, and gets a good version 2, then, from version 1 again, a broken one (its urls.py does not
import), which the operator takes back after eight seconds. The app takes two seconds to import and has four processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("benchmarks", "molecule/shared", "molecule/release")]
import project  # noqa: E402
from common import RESULTS, Host, drawing, lab, revision  # noqa: E402
from load import KINDS, Record, figures, read_records  # noqa: E402

HOST = Host("emperor-benchmark-release")
on_host, put, play = HOST.run, HOST.put, HOST.play
VERSIONS = {"v1": "good", "v2": "good", "broken": "urls"}
IMPORT_SECONDS = 2
BEFORE, TAKE_BACK = 5, 8  # seconds of load before the release, and until a broken one is taken back
SHORT = KINDS[:2]
OTHER = "/srv/other"
MIDDLEWARE = """
MARK = open(os.path.join(os.path.dirname(__file__), "..", "MARK")).read()
MIDDLEWARE = ["probe.settings.version"]


def version(get_response):
    def answer(request):
        response = get_response(request)
        response["X-Version"] = MARK
        return response

    return answer
"""


class Odd(Exception):
    """A way did not do what it is known for, so that its figures would mislead."""


# The host.


def write_version(folder: Path, number: int, kind: str) -> None:
    project.write(folder, number, kind)
    with open(folder / "probe/settings.py", "a") as settings:
        settings.write(MIDDLEWARE)
    with open(folder / "probe/wsgi.py", "a") as wsgi:
        wsgi.write(f"\nimport time\n\ntime.sleep({IMPORT_SECONDS})\n")
    with open(folder / "requirements.txt", "a") as requirements:
        requirements.write("gunicorn~=23.0\n")


def prepare(tools: Path, place: Path, image: str) -> dict[str, str]:
    """A host that serves version 1, with the other versions built; the ids of the releases."""
    lab.up(HOST.name, image)
    for number, (version, kind) in enumerate(VERSIONS.items(), 1):
        write_version(place / version, number, kind)
        (place / version / "MARK").write_text(version)
    app = {"name": "bench", "source": str(place / "v1"), "domains": ["bench.example.com"]}
    play(tools, place, [{"import_playbook": "emperor.web.site", "vars": {"django_apps": [app]}}])
    environment = {"ALLOWED_HOSTS": "bench.example.com"}
    tasks = [
        {
            "name": version,
            "emperor.web.django_release": {
                "name": "bench",
                "source": str(place / version),
                "environment": environment,
                "uv_version": "0.13.9",
                "installer": "uv",
            },
        }
        for version in VERSIONS
    ]
    play(tools, place, [{"hosts": "all", "gather_facts": False, "tasks": tasks}])
    files = "glob.glob('/srv/django/bench/releases/*/release.json')"
    code = f"import json, glob; print(json.dumps([json.load(open(path)) for path in {files}]))"
    found = {
        Path(manifest["source"]).name: manifest["id"]
        for manifest in sorted(json.loads(on_host("python3", "-c", code)), key=lambda m: m["created"])
    }
    on_host("mkdir", "-p", f"{OTHER}/vassals", f"{OTHER}/run")
    for version, release in found.items():
        on_host(
            "sh",
            "-c",
            f"mkdir -p {OTHER}/{version} && cp -a /srv/django/bench/releases/{release}/src/. {OTHER}/{version}",
        )
        on_host("chmod", "755", f"{OTHER}/{version}")
    on_host("ln", "-sfn", f"/srv/django/bench/releases/{found['v1']}/venv", f"{OTHER}/venv")
    on_host("chown", "bench:www-data", f"{OTHER}/run")
    on_host("chmod", "2750", f"{OTHER}/run")
    put("/root/load.py", (ROOT / "molecule/shared/load.py").read_text())
    site = "server { listen 80; server_name %s.example.com; location / { %s } }\n"
    uwsgi = f"include /etc/nginx/emperor/uwsgi_params; uwsgi_pass unix:{OTHER}/run/app.sock;"
    proxy = f"proxy_set_header Host $host; proxy_pass http://unix:{OTHER}/run/app.sock;"
    put("/etc/nginx/sites-enabled/other.conf", site % ("uwsgi", uwsgi) + site % ("gunicorn", proxy))
    on_host("nginx", "-s", "reload")
    return found


# The ways.


@dataclass
class Way:
    """One way to put a version live: how to start with version 1, and how to go to another one."""

    name: str
    host: str
    start: Callable[[], None]
    go: Callable[[str], None]
    takes_back: bool = True
    shows_new: bool = True


ENVIRONMENT = {
    "ALLOWED_HOSTS": ".example.com",
    "SECRET_KEY": "a key of the benchmark, long enough to be one, 0123456789abcdef",
    "LC_ALL": "C.UTF-8",
}


def link(version: str) -> None:
    on_host("sh", "-c", f"ln -sfn {OTHER}/{version} {OTHER}/next && mv -T {OTHER}/next {OTHER}/current")


def vassal(**options: Any) -> str:
    """The options of this collection's vassals, but for those that make one a release."""
    fixed = {
        "plugins": "python3", "strict": True, "master": True, "no-orphans": True, "need-app": True,
        "single-interpreter": True, "die-on-term": True, "vacuum": True, "virtualenv": f"{OTHER}/venv",
        "module": "probe.wsgi:application", "socket": f"{OTHER}/run/app.sock", "chmod-socket": 660,
        "processes": 4, "enable-threads": True, "buffer-size": 32768, "harakiri": 60, "worker-reload-mercy": 25,
        "disable-logging": True,
    }  # fmt: skip
    lines = [f"{name} = {'true' if value is True else value}" for name, value in (fixed | options).items()]
    lines += [f"env = {name}={value}" for name, value in ENVIRONMENT.items()]
    return "\n".join(["[uwsgi]", *lines, ""])


def start_emperor(**options: Any) -> None:
    link("v1")
    put(f"{OTHER}/vassal.ini", vassal(**options))
    on_host("cp", f"{OTHER}/vassal.ini", f"{OTHER}/vassals/app.ini")
    on_host("touch", f"{OTHER}/reload")
    emperor = ["uwsgi", "--emperor", f"{OTHER}/vassals/*.ini"]
    on_host("systemd-run", "--quiet", "--collect", "--unit=other", "--uid=bench", "--gid=bench", *emperor)


def stop_other() -> None:
    on_host("systemctl", "stop", "other", check=False)
    on_host("sh", "-c", f"rm -f {OTHER}/vassals/* {OTHER}/run/*")


def touch(version: str) -> None:
    link(version)
    on_host("touch", f"{OTHER}/vassals/app.ini")


def chain(version: str) -> None:
    link(version)
    on_host("touch", f"{OTHER}/reload")


def stop_and_start(version: str) -> None:
    """Nothing waits longer than it has to: the file comes back as soon as the vassal is gone."""
    on_host("rm", f"{OTHER}/vassals/app.ini")
    on_host("sh", "-c", f"while test -e {OTHER}/run/app.sock; do sleep 0.05; done")
    link(version)
    on_host("cp", f"{OTHER}/vassal.ini", f"{OTHER}/vassals/app.ini")


def start_gunicorn() -> None:
    link("v1")
    settings = [f"--setenv={name}={value}" for name, value in ENVIRONMENT.items()]
    # Gunicorn gives its socket to its own group; who may reach it is up to the folder, as with the others.
    program = [f"{OTHER}/venv/bin/gunicorn", "--workers=4", f"--bind=unix:{OTHER}/run/app.sock", "--umask=0"]
    program += [f"--chdir={OTHER}/current", "--graceful-timeout=25", "--timeout=60", "probe.wsgi:application"]
    on_host("systemd-run", "--quiet", "--collect", "--unit=other", "--uid=bench", "--gid=bench", *settings, *program)


def hang_up(version: str) -> None:
    link(version)
    on_host("systemctl", "kill", "--kill-whom=main", "--signal=HUP", "other")


def all_ways(tools: Path, place: Path, releases: dict[str, str]) -> list[Way]:
    def switch(version: str) -> None:
        options = {"name": "bench", "release": releases[version], "host": "bench.example.com"}
        tasks = [{"name": "switch", "emperor.web.uwsgi_vassal": options | {"confirm": "http://127.0.0.1/"}}]
        play(tools, place, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], may_fail=version == "broken")

    in_place = {"chdir": f"{OTHER}/current"}
    chained = {"lazy-apps": True, "pythonpath": f"{OTHER}/current", "hook-post-fork": f"chdir:{OTHER}/current"}
    chained |= {"touch-chain-reload": f"{OTHER}/reload", "listen": 1024}
    return [
        Way("emperor.web", "bench", lambda: switch("v1"), switch, takes_back=False),
        Way("touch-reload, listen = 1024", "uwsgi", lambda: start_emperor(**in_place, listen=1024), touch),
        Way("touch-reload, uWSGI's default listen = 100", "uwsgi", lambda: start_emperor(**in_place), touch),
        Way("stop and start of the vassal", "uwsgi", lambda: start_emperor(**in_place, listen=1024), stop_and_start),
        Way("chain reload", "uwsgi", lambda: start_emperor(**chained), chain),
        Way("Gunicorn, HUP", "gunicorn", start_gunicorn, hang_up),
    ]


# What is measured.

ASK = """
import sys, urllib.request
question = urllib.request.Request("http://127.0.0.1/", headers={"Host": sys.argv[1]})
print(urllib.request.urlopen(question, timeout=10).headers["X-Version"])
"""


def wait_for(way: Way, version: str) -> None:
    """Until nobody but this version has answered for a second."""
    ask = ["python3", "-c", ASK, f"{way.host}.example.com"]
    right, deadline = 0, time.monotonic() + 120
    while right < 10:
        if time.monotonic() > deadline:
            raise Odd(f"{way.name}: version {version} does not answer")
        right = right + 1 if on_host(*ask, check=False) == version else 0
        time.sleep(0.1)


def measure(way: Way, version: str, rate: float, seconds: float) -> dict[str, Any]:
    """One release under load; what visitors noticed."""
    stop_other()
    way.start()
    wait_for(way, "v1")
    load = f"/usr/bin/python3 /root/load.py --host {way.host}.example.com --rate {rate} --seconds {seconds}"
    load += " --release-header x-version --slow-every 1 --log /root/log --summary /root/summary.json"
    on_host("rm", "-f", "/root/summary.json")
    on_host("systemd-run", "--quiet", "--collect", "--unit=load", *load.split())
    time.sleep(BEFORE)
    went = time.time()
    way.go(version)
    if version == "broken" and way.takes_back:
        time.sleep(max(0, went + TAKE_BACK - time.time()))
        way.go("v1")
    on_host("sh", "-c", "while ! test -e /root/summary.json; do sleep 0.2; done")
    records = read_records(on_host("cat", "/root/log").splitlines())
    summary = json.loads(on_host("cat", "/root/summary.json"))
    shorts = [record for record in records if record.kind in SHORT]
    new = [record.start - went for record in shorts if record.release == version]
    old = [record.start - went for record in shorts if record.release == "v1"]
    return {
        "way": way.name,
        "version": version,
        "total": len(records),
        "failed": sum(record.failed for record in records),
        "short": figures(shorts),
        "kinds": summary["kinds"],
        "errors": summary["errors"],
        "retried": summary["retried"],
        "generator": summary["generator"],
        "new_after": round(min(new), 1) if new else None,
        "old_until": round(max(old), 1) if old else None,
        "cells": cells(shorts, went, seconds),
    }


def cells(records: list[Record], went: float, seconds: float) -> list[dict[str, Any]]:
    """Figures of each half second, relative to the release."""
    found = []
    for number in range(round(seconds * 2)):
        began = went - BEFORE + number / 2
        found.append(figures(record for record in records if began <= record.start < began + 0.5))
    return found


# What comes out.


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| way | version 2 | failed, of | p50, p99, max of short requests, s | new code after, s | old code until, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for found in results:
        figure = found["short"]
        times = ", ".join(f"{figure[key]:.3f}" for key in ("p50", "p99", "max"))
        good = found["version"] == "v2"
        when = [f"{found[key]:.1f}" if good and found[key] is not None else "" for key in ("new_after", "old_until")]
        if good and found["new_after"] is None:
            when[0] = "never"
        lines.append(
            f"| {found['way']} | {'good' if good else 'broken'} | **{found['failed']}** of {found['total']} | {times} "
            f"| {when[0]} | {when[1]} |"
        )
    return "\n".join(lines)


COLOURS = {"fine": "#7fb685", "slow": "#f2c14e", "stalled": "#e08e45", "failed": "#c8403a", "none": "#eeeeee"}
MEANINGS = {
    "fine": "all answered within 0.1 s",
    "slow": "within 1 s",
    "stalled": "later",
    "failed": "failed, the higher the more",
}


def picture(results: list[dict[str, Any]]) -> str:
    """A lane for each release, a cell for each half second: did everybody get an answer, and how soon?"""
    width, height, left, top = 9, 18, 300, 46
    parts, lanes = [], len(results)
    columns = max(len(found["cells"]) for found in results)
    for row, found in enumerate(results):
        y = top + row * (height + 6)
        label = f"{found['way']}, {'good' if found['version'] == 'v2' else 'broken'} release"
        parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
        for column, cell in enumerate(found["cells"]):
            x = left + column * width
            parts.append(bar(x, y, width - 1, height, colour(cell)))
            if cell["failed"]:
                high = max(3.0, height * cell["failed"] / cell["count"])
                parts.append(bar(x, y + height - high, width - 1, high, COLOURS["failed"]))
    line = left + BEFORE * 2 * width - 0.5
    bottom = top + lanes * (height + 6)
    parts.append(f'<path d="M{line} {top - 6}V{bottom}" stroke="#333" stroke-dasharray="3 2"/>')
    parts.append(f'<text x="{line}" y="{top - 10}" text-anchor="middle">the release</text>')
    x = 8
    for name, meaning in MEANINGS.items():
        parts.append(bar(x, bottom + 10, 12, 12, COLOURS[name]))
        parts.append(f'<text x="{x + 17}" y="{bottom + 20}">{meaning}</text>')
        x += 40 + 7 * len(meaning)
    size = (left + columns * width + 10, bottom + 32)
    return drawing("Short requests around a release, in half seconds", parts, size)


def bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y:.1f}" width="{width}" height="{height:.1f}" fill="{fill}"/>'


def colour(cell: dict[str, Any]) -> str:
    if cell["count"] == cell["failed"]:
        return COLOURS["none"]
    return COLOURS["fine" if cell["max"] <= 0.1 else "slow" if cell["max"] <= 1 else "stalled"]


def versions(tools: Path) -> dict[str, str]:
    freeze = on_host(
        f"{OTHER}/venv/bin/python", "-c", "import django, gunicorn; print(django.__version__, gunicorn.__version__)"
    )
    django, gunicorn = freeze.split()
    return {
        "emperor.web": revision(),
        **HOST.versions(),
        "Django": django,
        "Gunicorn": gunicorn,
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100, help="short requests a second, default 100")
    parser.add_argument("--seconds", type=float, default=25, help="seconds of load for each release, default 25")
    parser.add_argument("--image", help="image of the host, as dev/lab.py takes it")
    parser.add_argument("--only", default="", help="measure only ways whose names match this regular expression")
    parser.add_argument("--output", type=Path, default=RESULTS / "release.json", help="gets all figures")
    parser.add_argument("--picture", type=Path, default=RESULTS / "release.svg", help="gets the picture")
    parser.add_argument("--keep", action="store_true", help="leave the host for the next run")
    parser.add_argument("--smoke", action="store_true", help="two ways and a few seconds, to see that this works")
    given = parser.parse_args()
    tools = lab.virtualenv()
    place = RESULTS / "release"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    lab.say("Preparing the host …")
    try:
        releases = prepare(tools, place, given.image or lab.default_image())
        ways = [way for way in all_ways(tools, place, releases) if re.search(given.only, way.name)]
        results = []
        for way in ways[:2] if given.smoke else ways:
            for version in ("v2", "broken"):
                lab.say(f"Measuring {way.name}, {version} …")
                results.append(measure(way, version, given.rate, 10 if given.smoke else given.seconds))
        found = versions(tools)
    finally:
        if not given.keep:
            lab.down(HOST.name)
    report = {
        "date": date.today().isoformat(),
        "command": " ".join(["python3", "benchmarks/release/run.py", *sys.argv[1:]]),
        "versions": found,
        "rate": given.rate,
        "results": results,
    }
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    given.picture.write_text(picture(results))
    print("These figures mean nothing, --smoke is a test." if given.smoke else table(results))
    print(f"{report['date']}: {', '.join(f'{name} {version}' for name, version in found.items())}")
    print(f"all figures: {given.output}, picture: {given.picture}")


if __name__ == "__main__":
    try:
        main()
    except (Odd, lab.Missing) as failure:
        sys.exit(str(failure))
