# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The measure of all tests under load: what it misses, they miss."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "molecule/shared"
sys.path.insert(0, str(SHARED))
import load  # noqa: E402

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nX-Emperor-Release: r1\r\n\r\nok"


def record(**changes) -> load.Record:
    return load.Record(
        **({"start": 1.0, "latency": 0.1, "kind": "new", "status": 200, "release": "", "error": ""} | changes)
    )


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwhole"[:-1]], b"whol"),
        ([b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n", b"\r\nwh", b"ol"], b"whol"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n0\r\n\r\n1\r", b"\nx\r\n0\r\n\r\n"], b"0\r\nx"),
        ([b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"], b""),
    ],
)
def test_answer_is_whole_with_its_last_piece(pieces, body):
    answer = load.Answer()
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert answer.body == body


def test_answer_that_is_no_http():
    with pytest.raises((ValueError, IndexError)):
        load.Answer().feed(b"SSH-2.0-OpenSSH\r\n\r\n")


def test_timetable_has_the_rate_of_each_kind():
    table = list(itertools.takewhile(lambda due: due[0] < 10, load.timetable(100, 2, 1)))
    kinds = [kind for _offset, kind in table]
    assert [kinds.count(kind) for kind in load.KINDS] == [500, 500, 5, 10]
    assert table == sorted(table, key=lambda due: due[0])


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 99, 0.0), ([3.0], 50, 3.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), ([float(n) for n in range(1, 101)], 99, 99.0)],
)
def test_percentile(values, percent, expected):
    assert load.percentile(values, percent) == expected


def test_records_survive_the_log():
    records = [record(), record(status=0, error="no answer (a\ttab)", kind="upload")]
    assert load.read_records(load.write_record(r) for r in records) == [records[0], records[1]._replace(
        error="no answer (a tab)")]  # fmt: skip


def test_summary_counts_what_failed():
    records = [record(), record(status=502), record(error="answer cut off"), record(kind="slow", latency=3.0)]
    found = load.summarise(records)
    assert (found["count"], found["failed"]) == (4, 2)
    assert found["kinds"]["slow"] == {"count": 1, "failed": 0, "p50": 3.0, "p99": 3.0, "max": 3.0}
    assert found["errors"] == {"status 502": 1, "answer cut off": 1}
    assert found["seconds"] == [{"second": 1, "count": 3, "failed": 2, "p50": 0.1, "p99": 0.1, "max": 0.1}]


class Server:
    """Answers one connection after the other, as the test wants."""

    def __init__(self, answer: Callable[[socket.socket, int], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        for number in itertools.count():
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                self.answer(connection, number)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers = []

    def start(answer: Callable[[socket.socket, int], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.listener.close()


def measure(port: int, tmp_path: Path, *options: str) -> tuple[dict, list[load.Record]]:
    command = [sys.executable, SHARED / "load.py", "--host", "x", "--port", str(port), "--slow-every=0"]
    command += ["--upload-every=0", "--log", tmp_path / "log", "--summary", tmp_path / "summary", *options]
    subprocess.run(command, check=True, timeout=120)
    lines = (tmp_path / "log").read_text().splitlines()
    return json.loads((tmp_path / "summary").read_text()), load.read_records(lines)


def test_stall_is_seen_by_all_who_came_during_it(serve, tmp_path):
    """A closed loop would send one request in the second of the stall, and show one long latency."""

    def answer(connection: socket.socket, number: int) -> None:
        if number == 20:
            time.sleep(1)
        connection.sendall(OK)

    summary, records = measure(serve(answer).port, tmp_path, "--rate=50", "--seconds=2")
    assert (summary["count"], summary["failed"]) == (100, 0)
    assert sum(record.latency > 0.2 for record in records) >= 30, "those that came in its first 0.8 s"
    assert summary["max"] >= 1
    assert summary["releases"] == {"r1": 100}


def test_what_is_no_whole_answer_has_failed(serve, tmp_path):
    answers = [
        OK,
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        OK[:-1],
        b"",
        b"junk\r\n\r\n",
    ]

    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(answers[number % 5])

    summary, _records = measure(serve(answer).port, tmp_path, "--rate=50", "--seconds=1")
    assert (summary["count"], summary["failed"]) == (50, 40)
    assert summary["errors"] == {
        "status 502": 10, "answer cut off": 10, "no answer (connection closed)": 10, "no HTTP": 10,
    }  # fmt: skip


def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    summary, _records = measure(port, tmp_path, "--rate=20", "--seconds=1")
    assert summary["failed"] == summary["count"] == 20
    assert next(iter(summary["errors"])).startswith("no connection")


def test_kept_connection_that_was_closed_is_no_failure(serve, tmp_path):
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(OK.replace(b"Connection: close\r\n", b""))
        time.sleep(0.03)  # after this it closes, in place of waiting for the next request

    summary, _records = measure(serve(answer).port, tmp_path, "--rate=20", "--seconds=2")
    assert (summary["count"], summary["failed"]) == (40, 0)
