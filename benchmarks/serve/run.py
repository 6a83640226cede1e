#!/usr/bin/env python3
"""Measure what a site of this collection serves a second, beside the least that could serve the same.

    run.py [--rounds N] [--seconds S] [--output FILE]
    run.py --smoke    one short round: shows that this still works, the figures mean nothing

One container with the example project, put live by emperor.web.site, and beside it on the same files and the same
virtual environment: a bare Nginx, that Nginx in front of the site's own uWSGI, uWSGI's own HTTP socket with the options
of the site's vassal, and Gunicorn behind the bare Nginx. What runs Python has the sandbox and the limits of the site's
unit, which filters its system calls. The load (wrk) is in the container as well, on its loopback interface. Each round
asks all of them, one after the other, and who is first changes; a ratio is that of two sides in one round.

Gunicorn and uWSGI do not run Python by the same program. What that makes is measured too: the page, called without any
server by one process, in the program python3 and in uWSGI.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import RESULTS, Host, lab, machine, publish, revision, spread

HOST = Host("emperor-benchmark-serve")
DOMAIN = "bench.example.com"
ROOT = "/srv/django/bench"
OTHER = "/srv/other"
OTHERS = ("other-uwsgi", "other-gunicorn", "other-nginx")
CONNECTIONS = 16
ENTRIES = 20
OURS, NGINX, SOCKET, GUNICORN = "emperor.web", "bare Nginx", "uWSGI's HTTP socket", "Nginx and Gunicorn"
VASSAL = "bare Nginx and the site's uWSGI"
PORTS = {OURS: 80, NGINX: 8081, SOCKET: 8082, GUNICORN: 8083, VASSAL: 8084}

# Nothing but what serving takes. What the site does besides (looks for maintenance, adds headers, logs) is measured.
BARE = f"""
user www-data;
worker_processes auto;
pid /run/other-nginx.pid;
error_log /var/log/nginx/other.log;
events {{ worker_connections 1024; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    sendfile on;
    tcp_nopush on;
    server {{
        listen {PORTS[NGINX]};
        location /static/ {{ alias {ROOT}/current/static/; }}
    }}
    server {{
        listen {PORTS[GUNICORN]};
        location / {{
            proxy_set_header Host $host;
            proxy_pass http://unix:/run/emperor/bench/gunicorn.sock;
        }}
    }}
    server {{
        listen {PORTS[VASSAL]};
        location / {{
            include /etc/nginx/uwsgi_params;
            uwsgi_pass unix:{ROOT}/current/live.sock;
        }}
    }}
}}
"""
FILL = f"""
from entries.models import Entry
Entry.objects.all().delete()
for number in range({ENTRIES}):
    Entry.objects.create(name=f"Visitor {{number}}", message="A few words in the guestbook. " * 5)
"""

# Calls the page again and again, as a server would, and prints how often a second.
PAGES = f"""
import os, sys, time
from wsgiref.util import setup_testing_defaults
sys.path.insert(0, os.getcwd())
import django
django.setup()
from django.core.handlers.wsgi import WSGIHandler

def page():
    environ = {{"HTTP_HOST": "{DOMAIN}", "PATH_INFO": "/"}}
    setup_testing_defaults(environ)
    status = []
    answer = app(environ, lambda line, headers: status.append(line))
    body = b"".join(answer)
    answer.close()
    assert status[0].startswith("200") and len(body) > 1000, (status, body[:200])

app, seconds = WSGIHandler(), float(os.environ.get("SECONDS", "1"))
for _ in range(50):
    page()
count, began = 0, time.perf_counter()
while time.perf_counter() - began < seconds:
    page()
    count += 1
print(f"pages {{count / (time.perf_counter() - began):.1f}}", flush=True)
"""
PROGRAM, EMBEDDED = "python3", "uWSGI"


class Odd(Exception):
    """Two sides do not serve the same, or not all of it, so that their figures cannot be compared."""


@dataclass(frozen=True)
class Case:
    """One path, who serves it besides this collection, and the ratio that is wanted; None to tell it only."""

    name: str
    path: str
    goals: dict[str, float | None]

    def sides(self) -> list[str]:
        return [OURS, *self.goals]


def cases(style: str) -> list[Case]:
    dynamic = {SOCKET: 0.9, GUNICORN: 1.2, VASSAL: None}
    return [
        Case("static file", style, {NGINX: 0.95}),
        Case(f"page with {ENTRIES} entries", "/", dynamic),
        Case("smallest answer of Django", "/healthz", dynamic),
    ]


# The host.


def prepare(tools: Path, place: Path, image: str) -> dict[str, str]:
    """A host on which all sides serve; the versions of what they are made of."""
    lab.up(HOST.name, image)
    source = place / "guestbook"
    shutil.copytree(lab.ROOT / "examples/guestbook", source)
    with open(source / "requirements.txt", "a") as requirements:
        requirements.write("gunicorn~=23.0\n")
    app = {"name": "bench", "source": str(source), "domains": [DOMAIN], "health": {"path": "/healthz"}}
    HOST.play(tools, place, [{"import_playbook": "emperor.web.site", "vars": {"django_apps": [app]}}])
    HOST.run("apt-get", "install", "--yes", "--no-install-recommends", "wrk")
    HOST.run("bench-manage", "shell", given=FILL)

    vassal = HOST.run("sh", "-c", "cat /etc/uwsgi/emperor/bench/*.ini")
    own = re.sub(r"^(socket|stats|chmod-socket) = .*\n", "", vassal + "\n", flags=re.MULTILINE)
    own += f"http-socket = 127.0.0.1:{PORTS[SOCKET]}\n"
    own += "add-header = Connection: close\n"  # it closes, and has to say so
    HOST.run("systemctl", "stop", *OTHERS, check=False)  # of a run with --keep
    HOST.run("mkdir", "-p", OTHER)
    HOST.put(f"{OTHER}/vassal.ini", own)
    HOST.put(f"{OTHER}/nginx.conf", BARE)
    in_release = ["/usr/bin/python3", "-I", "/usr/local/lib/emperor/run.py"]
    sandbox = hardening(HOST.run("systemctl", "cat", "uwsgi-emperor@bench.service"))
    start(OTHERS[0], sandbox, *in_release, "--ini", f"{OTHER}/vassal.ini")
    workers = re.search(r"^processes = (\d+)$", vassal, re.MULTILINE).group(1)
    bind = "unix:/run/emperor/bench/gunicorn.sock"
    # Gunicorn gives its socket to its own group, which the sandbox forbids; who may reach it is up to the folder.
    program = ["gunicorn", f"--workers={workers}", f"--bind={bind}", "--umask=0", "guestbook.wsgi:application"]
    start(OTHERS[1], [*sandbox, "SystemCallFilter=@chown"], *in_release, f"{ROOT}/current", *program)
    # As the package's unit, which the site's Nginx runs by, has no sandbox.
    start(OTHERS[2], [], "nginx", "-c", f"{OTHER}/nginx.conf", "-g", "daemon off;")
    code = "import django, gunicorn; print(django.__version__, gunicorn.__version__)"
    django, gunicorn = HOST.run(f"{ROOT}/current/venv/bin/python", "-c", code).split()
    return {"emperor.web": revision(), **HOST.versions(), "Django": django, "Gunicorn": gunicorn, "workers": workers}


# How the Emperor is started and ended, which the other sides are not by.
OWN = ("Exec", "Type", "Notify", "Restart", "Kill", "Timeout", "SyslogIdentifier")


def hardening(unit: str) -> list[str]:
    """The lines of the site's unit that say what its processes may: sandbox, limits, user and environment."""
    _unit, *services = re.split(r"^\[Service\]$", unit.replace("\\\n", " "), flags=re.MULTILINE)
    lines = [line.strip() for text in services for line in re.split(r"^\[", text, flags=re.MULTILINE)[0].splitlines()]
    return [line.replace("%i", "bench") for line in lines if "=" in line and not line.startswith(("#", *OWN))]


def start(unit: str, settings: list[str], *argv: str) -> None:
    command = " ".join('"' + word.replace("%", "%%") + '"' for word in argv)
    text = "\n".join(["[Service]", *settings, f"ExecStart={command}", ""])
    HOST.put(f"/run/systemd/system/{unit}.service", text)
    HOST.run("systemctl", "daemon-reload")
    HOST.run("systemctl", "start", unit)


ASK = """
import sys, urllib.request
question = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[2]})
sys.stdout.write(urllib.request.urlopen(question, timeout=10).read().decode())
"""


def answer(side: str, path: str) -> str:
    """What a side serves, as soon as it does."""
    for _attempt in range(100):
        text = HOST.run("python3", "-c", ASK, f"http://127.0.0.1:{PORTS[side]}{path}", DOMAIN, check=False)
        if text:
            return text
        time.sleep(0.2)
    raise Odd(f"{side} does not answer for {path}; run with --keep and see journalctl on {HOST.name}")


def verify(case: Case) -> int:
    """All sides serve the same, but for the token against forged requests; the bytes of it."""
    texts = {
        side: re.sub(r'(csrfmiddlewaretoken" value=)"\w+"', r"\1", answer(side, case.path)) for side in case.sides()
    }
    digests = {hashlib.sha256(text.encode()).hexdigest() for text in texts.values()}
    if len(digests) != 1:
        sizes = ", ".join(f"{side} {len(text)} characters" for side, text in texts.items())
        raise Odd(f"{case.path} is not the same everywhere: {sizes}")
    return len(texts[OURS].encode())


def stylesheet() -> str:
    """A static file as the page names it."""
    return re.search(r'href="(/static/[^"]+\.css)"', answer(OURS, "/")).group(1)


# What is measured.


def measure(side: str, path: str, seconds: int) -> float:
    """Requests a second; every one of them has to succeed."""
    load = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", f"--header=Host: {DOMAIN}"]
    said = HOST.run(*load, f"http://127.0.0.1:{PORTS[side]}{path}")
    if re.search(r"Non-2xx|Socket errors", said):
        raise Odd(f"{side} does not serve all of {path}:\n{said}")
    return float(re.search(r"^Requests/sec: +([\d.]+)$", said, re.MULTILINE).group(1))


def interpreters(count: int, seconds: int) -> list[dict[str, float]]:
    """For each round the pages a second of one process, by the program that runs its Python."""
    HOST.put(f"{OTHER}/pages.py", PAGES)
    file, venv = f"{OTHER}/pages.py", f"{ROOT}/current/venv"
    ways = {PROGRAM: ["python", file], EMBEDDED: ["uwsgi", "--plugin=python3", f"--virtualenv={venv}", "--pyrun", file]}
    as_app = ["/usr/bin/python3", "-I", "/usr/local/lib/emperor/run.py", f"{ROOT}/current", "env", f"SECONDS={seconds}"]
    as_app = ["sh", "-c", 'exec "$@" 2>&1', "sh", *as_app]  # uWSGI takes what is printed for its log
    found = []
    for number in range(count + 1):
        order = list(ways)[:: -1 if number % 2 else 1]
        said = {way: HOST.run(*as_app, *ways[way]) for way in order}
        found.append({way: float(re.search(r"^pages ([\d.]+)$", said[way], re.MULTILINE).group(1)) for way in ways})
    return found[-count:]


def rounds(wanted: list[Case], count: int, seconds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """For each round and case the requests a second of each side; one round is made first and does not count."""
    for number in range(count + 1):
        for case in wanted:
            sides = case.sides()
            first = number % len(sides)
            found = {side: measure(side, case.path, seconds) for side in sides[first:] + sides[:first]}
            if number or count == 1:
                yield case.name, found
        if count == 1:
            return  # nothing is compared


def evaluate(wanted: list[Case], found: list[tuple[str, dict[str, float]]]) -> list[dict]:
    """Requests a second of each side and, for the others, the ratio of ours to theirs."""
    rows = []
    for case in wanted:
        mine = [figures for name, figures in found if name == case.name]
        for side in case.sides():
            ratio = spread([figures[OURS] / figures[side] for figures in mine])
            rows.append(
                {
                    "case": case.name,
                    "side": side,
                    "requests": spread([figures[side] for figures in mine]),
                    "ratio": ratio if side != OURS else None,
                    "goal": case.goals.get(side),
                }
            )
    return rows


REQUESTS, RATIO = "{median:.0f} ({q1:.0f} to {q3:.0f})", "**{median:.2f}** ({q1:.2f} to {q3:.2f})"


def told(alone: list[dict[str, float]]) -> str:
    """The pages without a server in one sentence."""
    program, embedded = (REQUESTS.format(**spread([one[way] for one in alone])) for way in (PROGRAM, EMBEDDED))
    ratio = RATIO.format(**spread([one[EMBEDDED] / one[PROGRAM] for one in alone]))
    return f"The page a second, without a server: {program} by {PROGRAM}, {embedded} in {EMBEDDED}, {ratio} of it."


def table(rows: list[dict]) -> str:
    """The figures as a table of Markdown, as docs/performance.md has them."""
    lines = ["| | served by | requests/s | ours to theirs | goal |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        requests, ratio, goal = REQUESTS.format(**row["requests"]), "", ""
        if row["ratio"]:
            ratio = RATIO.format(**row["ratio"])
        if row["goal"]:
            goal = f"{row['goal']}, {'met' if row['ratio']['median'] >= row['goal'] else 'not met'}"
        lines.append(f"| {row['case']} | {row['side']} | {requests} | {ratio} | {goal} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count, one more is made first; default 7")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load for each side and path, default 3")
    parser.add_argument("--image", help="image of the host, as dev/lab.py takes it")
    parser.add_argument("--output", type=Path, default=RESULTS / "serve.json", help="gets all samples")
    parser.add_argument("--keep", action="store_true", help="leave the host for the next run")
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that this works")
    given = parser.parse_args()
    if min(given.rounds, given.seconds) < 1:
        parser.error("--rounds and --seconds have to be 1 or more")
    count, seconds = (1, 1) if given.smoke else (given.rounds, given.seconds)
    tools = lab.virtualenv()
    RESULTS.mkdir(parents=True, exist_ok=True)
    lab.say("Preparing the host …")
    try:
        # Not below the repository, where Git ignores it, and a source has the files that Git does not ignore.
        with tempfile.TemporaryDirectory(prefix="emperor-benchmark-") as folder:
            versions = prepare(tools, Path(folder), given.image or lab.default_image())
        wanted = cases(stylesheet())
        sizes = {case.name: verify(case) for case in wanted}
        lab.say(f"Measuring {count} rounds of {seconds} s for each side and path …")
        found = list(rounds(wanted, count, seconds))
        alone = interpreters(count, seconds)
    finally:
        if not given.keep:
            lab.down(HOST.name)
    report = {
        "date": date.today().isoformat(),
        "command": " ".join(["python3", "benchmarks/serve/run.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions,
        "bytes": sizes,
        "rows": evaluate(wanted, found),
        "samples": found,
        "without a server": alone,
    }
    text = (
        "These figures mean nothing, --smoke is a test." if given.smoke else f"{table(report['rows'])}\n\n{told(alone)}"
    )
    publish(report, given.output, text, ("date", "machine", "versions", "bytes"))


if __name__ == "__main__":
    try:
        main()
    except (Odd, lab.Missing) as failure:
        sys.exit(str(failure))
