# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell Prometheus how the apps of this host are. Installed by the role uwsgi of emperor.web.

    python3 -I metrics.py    serves /metrics on the socket that systemd passes

Each release's statistics have a socket of their own, which comes and goes with it, so they are looked for at each
question. What an app says is its own, and an app may lie or stall: nothing of it is taken for more than a number.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUN = "/run/emperor"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Of one app: two releases run while one goes live.
_RELEASES = 8
_SECONDS = 2.0
_BYTES = 4 << 20
_STATES = ("busy", "idle", "cheap", "pause")

# Name, kind and meaning of each, in the order in which they are told.
METRICS = {
    "emperor_up": ("gauge", "Whether a release of the app answers"),
    "emperor_asleep": ("gauge", "Whether nothing of the app runs until the next request"),
    "emperor_workers": ("gauge", "Processes that serve a release, by what they do"),
    "emperor_requests_total": ("counter", "Requests that a release has answered"),
    "emperor_exceptions_total": ("counter", "Exceptions that a release has not caught"),
    "emperor_harakiri_total": ("counter", "Requests that took too long and were ended"),
    "emperor_busy_seconds_total": ("counter", "Seconds that workers have spent on requests"),
    "emperor_response_seconds": ("gauge", "Average time of an answer, lately"),
    "emperor_memory_bytes": ("gauge", "Resident memory of the workers, shared pages counted for each"),
    "emperor_listen_queue": ("gauge", "Connections that no worker has accepted yet, where uWSGI can tell"),
}


def report(run: str = RUN) -> str:
    """All figures of all apps in Prometheus' text format."""
    with contextlib.suppress(FileNotFoundError):
        # One that has slept since the host has started has no folder yet.
        names = {
            entry.name.removesuffix(".wake")
            for entry in os.scandir(run)
            if entry.is_dir() or entry.name.endswith(".wake")
        }
        apps = sorted(filter(_NAME.fullmatch, names))
        with ThreadPoolExecutor(16) as pool:
            found = [sample for samples in pool.map(lambda app: list(of_app(run, app)), apps) for sample in samples]
        return text(found)
    return text([])


def text(samples: list[tuple[str, dict[str, str], float]]) -> str:
    """Samples as lines, those of a metric below what it means."""
    lines = []
    for name, (kind, meaning) in METRICS.items():
        lines += [f"# HELP {name} {meaning}.", f"# TYPE {name} {kind}"]
        for metric, labels, value in samples:
            if metric == name:
                shown = ",".join(f'{key}="{label}"' for key, label in labels.items())
                lines.append(f"{name}{{{shown}}} {int(value) if value == int(value) else value!r}")
    return "\n".join(lines) + "\n"


def of_app(run: str, app: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples of one app."""
    folder = os.path.join(run, app)
    releases, owner = [], -1
    with contextlib.suppress(OSError):
        owner = os.stat(folder).st_uid
        names = sorted(name.removesuffix(".stats") for name in os.listdir(folder) if name.endswith(".stats"))
        releases = [name for name in names if _NAME.fullmatch(name) and name != "emperor"][:_RELEASES]
    answers = {release: ask(os.path.join(folder, f"{release}.stats"), owner) for release in releases}
    up = any(answer is not None for answer in answers.values())
    yield "emperor_up", {"app": app}, float(up)
    yield "emperor_asleep", {"app": app}, float(not up and os.path.exists(f"{folder}.wake"))
    for release, answer in answers.items():
        if answer is not None:
            yield from of_release({"app": app, "release": release}, answer)


def of_release(labels: dict[str, str], stats: dict) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples of one release, by what its uWSGI says."""
    workers = [worker for worker in as_list(stats.get("workers")) if isinstance(worker, dict)]
    states = [worker.get("status") for worker in workers]
    for state in _STATES:
        yield "emperor_workers", {**labels, "state": state}, float(states.count(state))
    sums = {
        "emperor_requests_total": ("requests", 1.0),
        "emperor_exceptions_total": ("exceptions", 1.0),
        "emperor_harakiri_total": ("harakiri_count", 1.0),
        "emperor_busy_seconds_total": ("running_time", 1e-6),
        "emperor_memory_bytes": ("rss", 1.0),
    }
    for name, (key, unit) in sums.items():
        yield name, labels, sum(number(worker.get(key)) for worker in workers) * unit
    times = [number(worker.get("avg_rt")) for worker in workers if number(worker.get("requests"))]
    yield "emperor_response_seconds", labels, sum(times) / len(times) * 1e-6 if times else 0.0
    yield "emperor_listen_queue", labels, number(stats.get("listen_queue"))


def as_list(value: object) -> list:
    """A list, whatever was said."""
    return value[:1024] if isinstance(value, list) else []


def number(value: object) -> float:
    """A number that is none less than 0, whatever was said."""
    return min(max(float(value), 0.0), 1e18) if isinstance(value, (int, float)) and not math.isnan(value) else 0.0


def ask(path: str, owner: int) -> dict | None:
    """What a statistics socket says, or None; a link that leads to somebody else's socket is not followed."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISSOCK(state.st_mode) or state.st_uid != owner:
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(f"/proc/self/fd/{descriptor}")
            said = json.loads(read(connection).decode("utf-8", "replace"))
            return said if isinstance(said, dict) else None
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(descriptor)


def read(connection: socket.socket) -> bytes:
    """All that is said, in time and within reason."""
    data, deadline = b"", time.monotonic() + _SECONDS
    while block := connection.recv(1 << 16):
        data += block
        if time.monotonic() > deadline or len(data) > _BYTES:
            raise ValueError("it says too much, or takes too long")
    return data


class Handler(BaseHTTPRequestHandler):
    """GET /metrics, and nothing else."""

    timeout = 10
    server_version, sys_version = "emperor.web", ""

    def do_GET(self) -> None:
        """Answer with the figures of this moment."""
        found = self.path.partition("?")[0] == "/metrics"
        body = (report() if found else "See /metrics.\n").encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nobody wants a line each few seconds."""


class Server(ThreadingHTTPServer):
    """A server on a socket that listens already."""

    # It makes a socket before it gets that one, and may make none for a network.
    address_family = socket.AF_UNIX

    def __init__(self, listening: socket.socket) -> None:
        super().__init__("", Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening


def main() -> None:
    """Serve on the socket that systemd passes."""
    Server(socket.socket(fileno=3)).serve_forever()


if __name__ == "__main__":
    main()
