# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What benchmarks/converge computes, and the relay by which a near host is far away."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks/converge"
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
import common  # noqa: E402
import figures  # noqa: E402
import hosts  # noqa: E402
import run  # noqa: E402
import tasks  # noqa: E402
import ways  # noqa: E402
from figures import BACK, CODE, SECOND  # noqa: E402
from ways import OURS, PYINFRA_ALL, STOCK  # noqa: E402


def test_another_way_is_first_in_each_round():
    assert [run.turned(["a", "b"], number) for number in range(3)] == [["a", "b"], ["b", "a"], ["a", "b"]]
    assert run.turned([], 1) == []


# Figures.


def second_runs(ours: list[float], pyinfra: list[float], stock: list[float]) -> dict:
    return figures.evaluate({SECOND: {OURS: ours, PYINFRA_ALL: pyinfra, STOCK: stock}})


def test_a_ratio_is_that_of_two_runs_of_one_round():
    # The medians alone would give 4 / 4.
    found = second_runs([2.0, 4.0, 6.0], [4.0, 8.0, 3.0], [8.0, 8.0, 8.0])[SECOND]
    assert found[PYINFRA_ALL]["ratio"] == {"median": 0.5, "q1": 0.5, "q3": 1.25}
    assert found[OURS]["ratio"] is None
    assert found[STOCK]["seconds"]["median"] == 8.0


@pytest.mark.parametrize(
    ("ours", "pyinfra", "stock"), [(1.0, "met", "met"), (2.0, "met", "not met"), (2.1, "not met", "not met")]
)
def test_goals_are_judged_by_the_ratios(ours, pyinfra, stock):
    told = figures.goals(second_runs([ours], [2.0], [4.0]))
    assert told == [
        f"second run 1 times that of pyinfra, {pyinfra}",
        f"second run 0.25 times that of stock roles, {stock}",
    ]


def test_goals_in_seconds_are_those_of_ours():
    found = figures.evaluate({CODE: {OURS: [8.0], STOCK: [1.0]}, BACK: {OURS: [5.1], STOCK: [1.0]}})
    assert figures.goals(found) == [f"{CODE} 8 s, met", f"{BACK} 5 s, not met"]


def test_the_table_has_a_row_for_each_way_that_was_measured():
    found = figures.evaluate({SECOND: {OURS: [2.0], PYINFRA_ALL: [4.0]}, CODE: {OURS: [3.0], PYINFRA_ALL: []}})
    rows = [line for line in figures.table(found).splitlines() if line.startswith("| ")][2:]
    assert rows == [
        "| second run | emperor.web | 2.0 (2.0 to 2.0) |  | 1 |",
        "| second run | pyinfra | 4.0 (4.0 to 4.0) | **0.50** (0.50 to 0.50) | 1 |",
        "| change of code, until it is live | emperor.web | 3.0 (3.0 to 3.0) |  | 1 |",
    ]


def test_a_plot_has_a_line_for_each_way_within_its_frame():
    drawn = common.plot("hosts", {OURS: {1: [1.0], 5: [3.0]}, PYINFRA_ALL: {1: [2.0], 5: [6.0]}})
    lines = [
        element.get("d")
        for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}path")
        if element.get("stroke-width")
    ]
    bottom = common.TOP + common.HEIGHT
    top, half = common.TOP, common.TOP + common.HEIGHT / 2
    right = common.LEFT + common.WIDTH
    assert lines[0] == f"M{common.LEFT:.1f} {bottom - common.HEIGHT / 6:.1f} L{right:.1f} {half:.1f}"
    assert lines[1] == f"M{common.LEFT:.1f} {bottom - common.HEIGHT / 3:.1f} L{right:.1f} {top:.1f}"


def test_a_profile_is_the_differences_between_the_starts_of_tasks():
    times = [
        {"name": "start", "at": 10.0, "controller": 1.0, "target": 5.0},
        {"name": "long", "at": 10.5, "controller": 1.25, "target": 5.0},
        {"name": "end", "at": 12.5, "controller": 1.5, "target": 6.0},
    ]
    found = tasks.steps(times)
    assert found == [
        {"name": "start", "wall": 0.5, "controller": 0.25, "target": 0.0},
        {"name": "long", "wall": 2.0, "controller": 0.25, "target": 1.0},
    ]
    rows = tasks.table(found, least=1.0).splitlines()[2:]
    assert rows == [
        "| long | 2.00 | 0.25 | 1.00 |",
        "| 1 more, each below 1.0 s | 0.50 | 0.25 | 0.00 |",
        "| all 2 | 2.50 | 0.50 | 1.00 |",
    ]


# What the programs say.


def test_changes_of_ansible_are_summed_over_hosts():
    recap = "{} : ok=9 changed={} unreachable=0 failed=0 skipped=1"
    way = ways.Ours(OURS, None)
    assert way.changed("\n".join([recap.format("one", 2), recap.format("two", 3)])) == 5
    with pytest.raises(hosts.Odd):
        way.changed("ERROR! no recap")


def test_changes_of_pyinfra_are_the_operations_that_did_something():
    table = "    Operation     Hosts   Success   Error   No Change   \n    Grand total   25      {}       -       23\n"
    way = ways.Pyinfra(PYINFRA_ALL, None)
    assert [way.changed(table.format(number)) for number in ("2", "-")] == [2, 0]
    with pytest.raises(hosts.Odd):
        way.changed("--> pyinfra error: No hosts remaining!")


def test_each_round_has_a_dependency_of_its_own(tmp_path):
    shutil.copytree(hosts.EXAMPLE, tmp_path / "first")
    shutil.copytree(hosts.EXAMPLE, tmp_path / "second")
    shutil.copytree(hosts.EXAMPLE, tmp_path / "code")
    for name, version in (("first", "dependency-0"), ("second", "dependency-1"), ("code", "code-0")):
        hosts.change(tmp_path / name, version)
    required = [(tmp_path / name / "requirements.txt").read_text() for name in ("first", "second", "code")]
    assert required[0] != required[1]
    assert required[2] == (hosts.EXAMPLE / "requirements.txt").read_text()
    assert hosts.mark("code-0") in (tmp_path / "code/entries/templates/base.html").read_text()
    assert len(set(hosts.DEPENDENCY_VERSIONS)) == len(hosts.DEPENDENCY_VERSIONS)


# A visitor.


class Page(BaseHTTPRequestHandler):
    text = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_release_is_live_when_nobody_gets_the_old_one_any_more(site):
    Page.text = hosts.mark("old")
    watch = hosts.Watch(site, "new")
    watch.start()
    for text in ("new", "old", "new"):  # workers of both are there for a while
        time.sleep(0.4)
        Page.text = hosts.mark(text)
    assert 0.8 < watch.live() < 2.0  # the first answer of the new one came after 0.4 s


def test_a_release_that_never_comes_is_no_figure(site):
    Page.text = hosts.mark("old")
    watch = hosts.Watch(site, "new")
    watch.start()
    with pytest.raises(hosts.Odd):
        watch.live(patience=0.5)
    watch.ended.set()


# The relay.


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers each connection with all that it got, when the other side has said all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with connection:
                    while piece := connection.recv(65536):
                        connection.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.fixture
def far(echo) -> Iterator[int]:
    """The same, 200 ms away."""
    program = [sys.executable, FOLDER / "relay.py", "127.0.0.1", str(echo), "200"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as running:
        yield int(running.stdout.readline())
        running.terminate()


def test_each_question_takes_a_round_trip(far):
    with socket.create_connection(("127.0.0.1", far), timeout=10) as connection:
        connection.sendall(b"first")
        assert connection.recv(100) == b"first"
        for _turn in range(2):
            began = time.monotonic()
            connection.sendall(b"question")
            assert connection.recv(100) == b"question"
            assert time.monotonic() - began >= 0.2


def test_many_pieces_are_under_way_at_a_time_and_arrive_whole(far):
    sent = bytes(range(256)) * 8192  # 2 MB; one 64 KB piece a round trip would take six seconds
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", far), timeout=10) as connection:

        def send() -> None:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = b"".join(iter(lambda: connection.recv(65536), b""))
        sender.join()
    assert got == sent
    assert time.monotonic() - began < 5
