# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Figures for Prometheus: where they may be told, and what the program makes of what apps say."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _emperor
from ansible_collections.emperor.web.plugins.module_utils._metrics import Metrics, problem_of
from ansible_collections.emperor.web.plugins.module_utils._process import Result

PROGRAM = Path(__file__).resolve().parents[4] / "roles" / "uwsgi" / "files" / "metrics.py"


@pytest.mark.parametrize("address", ["", "127.0.0.1:9117", "127.1.2.3:1", "[::1]:65535"])
def test_loopback_addresses_are_good(address):
    assert problem_of(address) == ""


@pytest.mark.parametrize(
    "address", ["9117", "0.0.0.0:9117", "10.0.0.1:9117", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "[::]:1", "x:1"]
)
def test_others_are_refused(address):
    assert "write an address of this host's loopback interface and a port" in problem_of(address)


def test_units_come_and_go(tmp_path, monkeypatch):
    state = {"active": "inactive", "enabled": "disabled"}
    ran: list[str] = []

    def run(argv, **_options):
        ran.append(" ".join(argv[1:]))
        if argv[1:3] == ["enable", "--now"]:
            state.update(active="active", enabled="enabled")
        if argv[1:3] == ["disable", "--now"]:
            state.update(active="inactive", enabled="disabled")
        return Result(argv, 0, f"ActiveState={state['active']}\nUnitFileState={state['enabled']}\n", "")

    monkeypatch.setattr(_emperor, "run", run)
    units = str(tmp_path)
    on = Metrics("127.0.0.1:9117", "www-data", units)
    foreseen = on.settle(dry_run=True)
    assert os.listdir(units) == []
    assert on.settle(dry_run=False) == foreseen
    assert foreseen[-1] == "emperor-metrics.socket enabled and started"
    assert on.settle(dry_run=False) == []
    moved = Metrics("127.0.0.1:9118", "www-data", units)
    assert moved.settle(dry_run=False)
    assert "ListenStream=127.0.0.1:9118" in Path(units, "emperor-metrics.socket").read_text()
    off = Metrics("", "www-data", units)
    assert len(off.settle(dry_run=False)) == 3
    assert (os.listdir(units), state["active"]) == ([], "inactive")
    count = len(ran)
    assert off.settle(dry_run=False) == [] and len(ran) == count + 1


# The program.


@pytest.fixture
def program():
    spec = importlib.util.spec_from_file_location("metrics_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._SECONDS = 0.3
    return module


@pytest.fixture
def says(tmp_path):
    """Has a statistics socket of an app say something, to everybody who asks."""
    sockets = []

    def start(app: str, release: str, said: bytes | None) -> None:
        (tmp_path / app).mkdir(exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / app / f"{release}.stats"))
        listening.listen()
        sockets.append(listening)

        def serve() -> None:
            while True:
                try:
                    connection, _address = listening.accept()
                except OSError:
                    return
                sockets.append(connection)
                if said is not None:
                    connection.sendall(said)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()

    yield start
    for each in sockets:
        each.close()


WORKER = {"status": "busy", "requests": 7, "exceptions": 1, "harakiri_count": 0, "rss": 1000, "running_time": 2500000}
SAID = {
    "listen_queue": 3,
    "workers": [WORKER | {"avg_rt": 4000}, WORKER | {"status": "idle", "requests": 0, "avg_rt": 9}],
}


def values(text: str) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_figures_of_a_release(program, says, tmp_path):
    says("shop", "3f2a-1", json.dumps(SAID).encode())
    found = values(program.report(str(tmp_path)))
    labels = 'app="shop",release="3f2a-1"'
    assert found['emperor_up{app="shop"}'] == "1"
    assert (
        found[f'emperor_workers{{{labels},state="busy"}}'] == found[f'emperor_workers{{{labels},state="idle"}}'] == "1"
    )
    assert found[f"emperor_requests_total{{{labels}}}"] == "7"
    assert found[f"emperor_exceptions_total{{{labels}}}"] == "2"
    assert found[f"emperor_busy_seconds_total{{{labels}}}"] == "5"
    assert found[f"emperor_response_seconds{{{labels}}}"] == "0.004"
    assert found[f"emperor_memory_bytes{{{labels}}}"] == "2000"
    assert found[f"emperor_listen_queue{{{labels}}}"] == "3"


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"[" * 100000,
        b"1",
        b'{"workers": 5}',
        b'{"workers": [7, {"requests": "x", "rss": NaN}]}',
    ],
    ids=["silence", "nothing", "torn", "list", "deep", "number", "no workers", "odd workers"],
)
def test_what_an_app_says_spoils_no_other_apps_figures(program, says, tmp_path, said):
    says("evil", "3f2a-1", said)
    says("shop", "3f2a-2", json.dumps(SAID).encode())
    found = values(program.report(str(tmp_path)))
    assert found['emperor_requests_total{app="shop",release="3f2a-2"}'] == "7"
    assert found.get('emperor_requests_total{app="evil",release="3f2a-1"}', "0") == "0"


def test_links_and_names_that_are_none_are_not_asked(program, says, tmp_path):
    says("shop", "3f2a-2", json.dumps(SAID).encode())
    (tmp_path / "evil").mkdir()
    os.symlink(tmp_path / "shop/3f2a-2.stats", tmp_path / "evil/3f2a-1.stats")
    (tmp_path / 'evil/x"} 1.stats').write_text("")
    (tmp_path / "evil/file.stats").write_text("{}")
    found = values(program.report(str(tmp_path)))
    assert found['emperor_up{app="evil"}'] == "0"
    assert not [name for name in found if "evil" in name and "release" in name]


def test_an_app_is_asleep_when_its_socket_is_held_and_nothing_answers(program, tmp_path):
    for name in ("shop.wake", "blog.wake", "blog.pause"):
        (tmp_path / name).write_text("")
    (tmp_path / "shop").mkdir()
    found = values(program.report(str(tmp_path)))
    expected = {
        f'emperor_{what}{{app="{app}"}}': told
        for app in ("blog", "shop")
        for what, told in (("up", "0"), ("asleep", "1"))
    }
    assert found == expected


def test_it_serves_on_a_socket_that_it_was_given(program, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "RUN", str(tmp_path))
    monkeypatch.setattr(program.report, "__defaults__", (str(tmp_path),))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = program.Server(listening)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        statuses = {}
        for method, path in (
            ("GET", "/metrics"),
            ("GET", "/metrics?x=1"),
            ("GET", "/../etc/passwd"),
            ("POST", "/metrics"),
        ):
            connection = http.client.HTTPConnection(*listening.getsockname(), timeout=5)
            connection.request(method, path)
            answer = connection.getresponse()
            statuses[method, path] = answer.status
            body = answer.read().decode()
            if answer.status == 200:
                assert body.startswith("# HELP emperor_up ")
        server.shutdown()
    assert list(statuses.values()) == [200, 200, 404, 501]


def test_a_host_without_apps(program, tmp_path):
    assert values(program.report(str(tmp_path / "none"))) == {}
