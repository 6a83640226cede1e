#!/usr/bin/env python3
"""Ask a site without a break, and write down what became of each request. It runs on the site's own host.

    load.py --host shop.example.com --log requests.tsv --summary summary.json [--seconds 30 | until SIGTERM]

Requests start by a timetable, whether or not earlier ones have been answered, and latency counts from the planned
start: a site that stalls for a second is seen to fail everybody who came in that second, not only one.

Kinds: `kept` (GET over a kept connection), `new` (GET over a connection of its own), `slow` (GET that the app takes
seconds to answer) and `upload` (POST whose body takes seconds to send). The log has a line for each request: planned
start (seconds since 1970), latency (seconds), kind, status (0 without an answer), release, error. Anything but a whole
answer with status 200 has failed. A kept connection that the server closed just before it was used again is no failure:
browsers then ask once more, and so does this, and counts it as `retried`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

PATIENCE = 60.0
IDLE = 30.0  # a kept connection that rested longer is given up; Nginx closes it after 65 s
PIECES = 20
KINDS = ("kept", "new", "slow", "upload")


class Record(NamedTuple):
    """What became of one request."""

    start: float
    latency: float
    kind: str
    status: int
    release: str
    error: str

    @property
    def failed(self) -> bool:
        return self.status != 200 or bool(self.error)


class Answer:
    """An HTTP answer that arrives in pieces."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._buffer = b""

    def feed(self, data: bytes) -> bool:
        """Take a piece; whether the answer is whole now. Raises ValueError on what is no HTTP."""
        self._buffer += data
        if not self.status and not self._head():
            return False
        if self.headers.get("transfer-encoding") == "chunked":
            return self._chunks()
        self.body += self._buffer
        self._buffer = b""
        return "content-length" in self.headers and len(self.body) >= int(self.headers["content-length"])

    def ends_at_close(self) -> bool:
        """Whether the end of the connection is how this answer says that it is whole."""
        return bool(self.status) and not {"content-length", "transfer-encoding"} & set(self.headers)

    def _head(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        self.headers = {name.lower(): value.strip() for name, _c, value in (line.partition(":") for line in lines)}
        self.status = int(first.split(" ")[1])
        self._buffer = rest
        return True

    def _chunks(self) -> bool:
        while True:
            size, end, rest = self._buffer.partition(b"\r\n")
            length = int(size, 16) if end else 0
            if not end or len(rest) < length + 2:
                return False
            if not length:
                return True
            self.body += rest[:length]
            self._buffer = rest[length + 2 :]


class Connection(asyncio.Protocol):
    """One connection, and the request that is under way on it."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: Any = None
        self.request: Request | None = None
        self.answer = Answer()
        self.used = 0
        self.rested = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, request: Request) -> None:
        self.request, self.answer = request, Answer()
        self.used += 1
        request.connection = self
        self.transport.write(request.head)
        if request.kind == "upload":
            self._send_piece(request, 0)

    def _send_piece(self, request: Request, number: int) -> None:
        if self.request is not request or self.transport.is_closing():
            return
        size = self.load.upload_bytes // PIECES
        self.transport.write(b"x" * size)
        if number + 1 < PIECES:
            pause = self.load.upload_seconds / PIECES
            asyncio.get_running_loop().call_later(pause, self._send_piece, request, number + 1)

    def data_received(self, data: bytes) -> None:
        if not self.request:
            return
        try:
            whole = self.answer.feed(data)
        except (ValueError, IndexError):
            self._finish("no HTTP")
            return
        if whole:
            self._finish("")

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.load.resting:
            self.load.resting.remove(self)
        if not self.request:
            return
        if self.answer.ends_at_close():
            self._finish("")
        elif self.used > 1 and not self.answer.status and self.request.kind == "kept" and not self.request.again:
            request, self.request = self.request, None
            request.again = True
            self.load.retried += 1
            self.load.start(request)
        else:
            self._finish("answer cut off" if self.answer.status else f"no answer ({error or 'connection closed'})")

    def _finish(self, error: str) -> None:
        request, self.request = self.request, None
        assert request
        answer = self.answer
        if not error and request.kind == "upload" and answer.status == 200:
            whole = self.load.upload_bytes // PIECES * PIECES
            error = "" if answer.body == str(whole).encode() else f"{answer.body[:40]!r} of {whole} bytes arrived"
        self.load.done(request, answer.status, answer.headers.get(self.load.given.release_header.lower(), ""), error)
        if error or request.kind != "kept" or answer.headers.get("connection") == "close":
            self.transport.close()
        else:
            self.rested = self.load.loop.time()
            self.load.resting.append(self)


class Request:
    """A request that is due or under way."""

    __slots__ = ("again", "connection", "due", "head", "kind", "sent")

    def __init__(self, kind: str, due: float, head: bytes) -> None:
        self.kind = kind
        self.due = due
        self.head = head
        self.sent = 0.0
        self.again = False
        self.connection: Connection | None = None


class Load:
    """The timetable, the connections and the records."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.loop = asyncio.get_running_loop()
        self.given = given
        self.upload_bytes: int = given.upload_bytes
        self.upload_seconds: float = given.upload_seconds
        self.resting: deque[Connection] = deque()
        self.under_way: set[Request] = set()
        self.records: list[Record] = []
        self.lags: list[float] = []
        self.retried = 0
        self.links: list[tuple[float, str]] = []
        self.stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._written = 0
        self._epoch = time.time() - self.loop.time()
        common = f"Host: {given.host}\r\nUser-Agent: emperor.web load\r\n"
        close = "Connection: close\r\n"
        size = self.upload_bytes // PIECES * PIECES
        self._heads = {
            "kept": f"GET {given.path} HTTP/1.1\r\n{common}\r\n".encode(),
            "new": f"GET {given.path} HTTP/1.1\r\n{common}{close}\r\n".encode(),
            "slow": f"GET {given.slow_path} HTTP/1.1\r\n{common}{close}\r\n".encode(),
            "upload": f"POST {given.upload_path} HTTP/1.1\r\n{common}{close}Content-Length: {size}\r\n\r\n".encode(),
        }

    async def run(self) -> dict[str, Any]:
        """Keep to the timetable until told to stop, then wait for what is under way."""
        began = self.loop.time()
        cpu = time.process_time()
        if self.given.watch:
            self._watch()
        self._sweep()
        table = timetable(self.given.rate, self.given.slow_every, self.given.upload_every)
        for offset, kind in table:
            due = began + offset
            if (self.given.seconds and offset >= self.given.seconds) or self.stopped:
                break
            wait = due - self.loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self.start(Request(kind, due, self._heads[kind]))
        lasted = self.loop.time() - began
        while self.under_way:
            await asyncio.sleep(0.05)
        self._write()
        return summarise(self.records) | {
            "lasted": round(lasted, 1),
            "retried": self.retried,
            "links": self.links,
            "generator": {
                "cpu": round((time.process_time() - cpu) / lasted, 3),
                "late_p99": round(percentile(sorted(self.lags), 99), 4),
                "late_max": round(max(self.lags, default=0), 4),
            },
        }

    def stop(self) -> None:
        """Start no more requests."""
        self.stopped = True

    def start(self, request: Request) -> None:
        """Send a request over a connection that rests, or over one of its own."""
        self.under_way.add(request)
        while request.kind == "kept" and self.resting and not request.again:
            connection = self.resting.popleft()
            if connection.transport.is_closing() or self.loop.time() - connection.rested > IDLE:
                connection.transport.close()
                continue
            self._send(connection, request)
            return
        task = self.loop.create_task(self._connect(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, request: Request) -> None:
        try:
            _transport, connection = await self.loop.create_connection(
                lambda: Connection(self), self.given.address, self.given.port
            )
        except OSError as error:
            self.done(request, 0, "", f"no connection ({error.strerror or error})")
        else:
            self._send(connection, request)

    def _send(self, connection: Connection, request: Request) -> None:
        if not request.sent:
            request.sent = self.loop.time()
            self.lags.append(request.sent - request.due)
        connection.send(request)

    def done(self, request: Request, status: int, release: str, error: str) -> None:
        """Write down what became of a request."""
        if request not in self.under_way:
            return
        self.under_way.discard(request)
        latency = self.loop.time() - request.due
        self.records.append(Record(request.due + self._epoch, latency, request.kind, status, release, error))

    def _sweep(self) -> None:
        """Once a second: give up what takes too long, and put the records on disk."""
        now = self.loop.time()
        for request in [request for request in self.under_way if now - request.due > PATIENCE]:
            self.done(request, 0, "", f"no answer within {PATIENCE:.0f} s")
            if request.connection:
                request.connection.request = None
                request.connection.transport.abort()
        self._write()
        self.loop.call_later(1, self._sweep)

    def _write(self) -> None:
        lines = [write_record(record) for record in self.records[self._written :]]
        self._written += len(lines)
        with open(self.given.log, "a", encoding="utf-8") as log:
            log.writelines(lines)

    def _watch(self) -> None:
        """Note when the link that makes a release live names another one."""
        try:
            name = os.path.basename(os.readlink(self.given.watch))
        except OSError:
            name = ""
        if not self.links or self.links[-1][1] != name:
            self.links.append((round(time.time(), 3), name))
        self.loop.call_later(0.01, self._watch)


def timetable(rate: float, slow_every: float, upload_every: float) -> Iterable[tuple[float, str]]:
    """Seconds after the start and kind of each request, for ever: every second short one over a kept connection."""
    slow, upload, number = 0.0, 0.0, 0
    while True:
        offset = number / rate
        if slow_every and offset >= slow:
            yield offset, "slow"
            slow += slow_every
        if upload_every and offset >= upload:
            yield offset, "upload"
            upload += upload_every
        yield offset, KINDS[number % 2]
        number += 1


def write_record(record: Record) -> str:
    """A line of the log."""
    start, latency, *rest = record
    return "\t".join([f"{start:.4f}", f"{latency:.4f}", *(str(part).replace("\t", " ") for part in rest)]) + "\n"


def read_records(lines: Iterable[str]) -> list[Record]:
    """The records of a log."""
    found = []
    for line in lines:
        start, latency, kind, status, release, error = line.rstrip("\n").split("\t")
        found.append(Record(float(start), float(latency), kind, int(status), release, error))
    return found


def percentile(ordered: list[float], percent: float) -> float:
    """The smallest value that this part of all values does not exceed; 0 of none."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0


def figures(records: Iterable[Record]) -> dict[str, Any]:
    """Counts, and latencies in seconds of what was answered; what failed has no latency that says anything."""
    everything = list(records)
    latencies = sorted(record.latency for record in everything if not record.failed)
    shown = {"p50": percentile(latencies, 50), "p99": percentile(latencies, 99), "max": percentile(latencies, 100)}
    return {
        "count": len(everything),
        "failed": sum(record.failed for record in everything),
        **{name: round(value, 4) for name, value in shown.items()},
    }


def summarise(records: list[Record]) -> dict[str, Any]:
    """Figures of all, of each kind, of the short ones of each second, and what went wrong how often."""
    seconds: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        if record.kind in ("kept", "new"):
            seconds[math.floor(record.start)].append(record)
    errors = Counter(record.error or f"status {record.status}" for record in records if record.failed)
    return figures(records) | {
        "kinds": {kind: figures(r for r in records if r.kind == kind) for kind in KINDS},
        "seconds": [{"second": second, **figures(seconds[second])} for second in sorted(seconds)],
        "releases": dict(Counter(record.release for record in records if not record.failed)),
        "errors": dict(errors.most_common()),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="Host header")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--rate", type=float, default=300, help="short requests a second; default 300")
    parser.add_argument("--path", default="/", help="what a short request asks for")
    parser.add_argument("--slow-every", type=float, default=2, help="seconds between slow requests, 0 for none")
    parser.add_argument("--slow-path", default="/slow?seconds=3")
    parser.add_argument("--upload-every", type=float, default=1, help="seconds between uploads, 0 for none")
    parser.add_argument("--upload-path", default="/upload", help="has to answer the number of bytes that arrived")
    parser.add_argument("--upload-bytes", type=int, default=300_000)
    parser.add_argument("--upload-seconds", type=float, default=3, help="seconds that a body takes to send")
    parser.add_argument("--seconds", type=float, default=0, help="seconds to run; until SIGTERM unless given")
    parser.add_argument("--release-header", default="X-Emperor-Release", help="header that names who answers")
    parser.add_argument("--watch", help="link of which each new target is noted with its time")
    parser.add_argument("--log", required=True)
    parser.add_argument("--summary", required=True, help="is written when all is done")
    parser.add_argument("--pid", help="file that gets this process's id when it is ready to be stopped")
    return parser.parse_args()


async def main(given: argparse.Namespace) -> None:
    gc.disable()  # it would pause all that is under way; there are no cycles to collect
    open(given.log, "w", encoding="utf-8").close()
    load = Load(given)
    for number in (signal.SIGTERM, signal.SIGINT):
        load.loop.add_signal_handler(number, load.stop)
    if given.pid:
        with open(given.pid, "w", encoding="utf-8") as handle:
            handle.write(str(os.getpid()))
    summary = await load.run()
    with open(given.summary + ".tmp", "w", encoding="utf-8") as handle:
        json.dump(summary, handle)
    os.replace(given.summary + ".tmp", given.summary)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
