# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _files, _health, _journal, _switch, _vassals
from ansible_collections.emperor.web.plugins.module_utils._health import SwitchError
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, Manifest
from ansible_collections.emperor.web.plugins.module_utils._switch import Switch
from ansible_collections.emperor.web.plugins.module_utils._vassals import Vassals

# A stage on which releases come and go.

OLD, NEW = "aaaaaaaa-00000001", "bbbbbbbb-00000002"
SECRET = "s3cret-value"
STEPS = {"preflight", "start", "settle", "publish", "switch", "confirm", "probation", "retire"}


class Server:
    """A Unix socket that gives each connection an answer."""

    def __init__(self, path: str, answer) -> None:
        self.path, self.answer = path, answer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(path)
        self.socket.listen(64)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _address = self.socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the other side may have given up
                connection.sendall(self.answer(connection))

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        with suppress(FileNotFoundError):
            os.unlink(self.path)


class Emperor:
    """Starts and stops a fake app for each file that comes and goes, as uWSGI's Emperor does."""

    def __init__(self, vassals: str, run: str) -> None:
        self.vassals, self.run = vassals, run
        # What the app of a release answers: a status, a list of them one after another, None for nothing at all,
        # "crash" for one that dies once it has started, "cursed" for one that the Emperor gives up at the start.
        self.behaviour: dict[str, int | list[int | None] | str | None] = {}
        self.busy: dict[str, int] = {}  # how many times a release's workers are seen busy
        self.replaced: dict[str, int] = {}  # how many times a worker of a release was started again
        self.megabytes: dict[str, int] = {}  # what a worker of a release uses
        self.processes: dict[str, int] = {}  # how many workers a release has, of which each serves the next request
        self.masters: dict[str, int] = {}  # process ids
        self.running: dict[str, list[Server]] = {}
        self.crashed: set[str] = set()
        self.blacklist: dict[str, int] = {}  # attempts; the first one is 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.stopped: list[str] = []
        self.server = Server(f"{run}/emperor.stats", lambda _connection: json.dumps(self.stats()).encode())
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def stats(self) -> dict:
        names = sorted(set(self.running) | self.crashed)
        listed = [{"id": f"{self.vassals}/{name}.ini", "attempt": count} for name, count in self.blacklist.items()]
        dead = self.crashed - set(self.blacklist)
        alive = [{"id": f"{self.vassals}/{name}.ini", "respawns": int(name in dead)} for name in names]
        return {"vassals": alive, "blacklist": listed}

    def watch(self) -> None:
        while not self.over.wait(0.005):
            wanted = {name.removesuffix(".ini") for name in os.listdir(self.vassals) if name.endswith(".ini")}
            for name in wanted - set(self.running) - self.crashed:
                self.start(name)
            for name in set(self.running) - wanted:
                self.stop(name)
            self.crashed &= wanted

    def start(self, name: str) -> None:
        if self.behaviour.get(name) in ("crash", "cursed"):
            self.crashed.add(name)
            if self.behaviour[name] == "cursed":
                self.blacklist[name] = self.blacklist.get(name, -1) + 1
            return
        self.running[name] = [
            Server(f"{self.run}/{name}.sock", lambda connection: self.page(name, connection)),
            Server(f"{self.run}/{name}.stats", lambda _connection: self.workers(name)),
        ]

    def stop(self, name: str) -> None:
        for server in reversed(self.running[name]):
            server.close()
        self.stopped.append(name)
        del self.running[name]  # last, as the statistics list a vassal until it has ended

    def page(self, name: str, connection) -> bytes:
        _modifier, size, _modifier2 = struct.unpack("<BHB", connection.recv(4, socket.MSG_WAITALL))
        body, parts = connection.recv(size, socket.MSG_WAITALL), []
        while body:
            (length,) = struct.unpack("<H", body[:2])
            parts.append(body[2 : 2 + length].decode())
            body = body[2 + length :]
        self.asked.append((name, dict(zip(parts[::2], parts[1::2], strict=True))))
        status = self.behaviour.get(name, 200)
        if isinstance(status, list):
            status = status.pop(0) if len(status) > 1 else status[0]
        return b"" if status is None else f"HTTP/1.1 {status} x\r\nX-Emperor-Release: {name}\r\n\r\n".encode()

    def workers(self, name: str) -> bytes:
        left = self.busy.get(name, 0)
        self.busy[name] = max(0, left - 1)
        worker = {"status": "busy" if left else "idle", "respawn_count": 1 + self.replaced.get(name, 0)}
        worker["rss"] = self.megabytes.get(name, 0) << 20
        served = [asked for asked, _variables in self.asked].count(name)
        workers = [worker | {"requests": max(0, served - number)} for number in range(self.processes.get(name, 1))]
        master = {"pid": self.masters[name]} if name in self.masters else {}
        return json.dumps({"listen_queue": 0, "workers": workers} | master).encode()

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        for name in list(self.running):
            self.stop(name)
        self.server.close()


class Stage:
    """The folders of an app with two finished releases, and a switch between them."""

    def __init__(self, root, run) -> None:
        self.root, self.run = root, str(run)
        self.layout = Layout(str(root / "srv"))
        self.vassals = root / "vassals"
        self.vassals.mkdir()
        (root / "srv" / "static").mkdir(parents=True)
        for number, name in enumerate((OLD, NEW)):
            folder = root / "srv" / "releases" / name
            folder.mkdir(parents=True)
            Manifest(
                id=name,
                app="shop",
                revision=f"{name[:8]}{'0' * 32}",
                version="v1",
                source="x",
                project=".",
                settings="shop.settings",
                wsgi="shop.wsgi:application",
                requirements="requirements.txt",
                python="3.12",
                venv="/venv",
                created=float(number),
                uwsgi={"processes": 2},
            ).write(str(folder))
            (folder / "env").write_text(json.dumps({"SECRET_KEY": SECRET}))
            (folder / "live.sock").symlink_to(f"{run}/{name}.sock")

    def switch(self, release: str = NEW, **options) -> Switch:
        return Switch(
            {
                "name": "shop",
                "release": release,
                "root": self.layout.root,
                "vassals": str(self.vassals),
                "run_directory": self.run,
                "unit": "uwsgi-emperor@shop",
                "host": "shop.example.com",
                "script_name": "",
                "health_path": "/health/",
                "health_status": "200,204",
                "health_text": None,
                "health_count": 1,
                "settle": 0,
                "probation": 0,
                "probation_errors": 3,
                "access_log": str(self.root / "access.log"),
                "overlap": True,
                "https": False,
                "timeout": 10,
                "confirm": None,
                "drain": 5,
            }
            | options
        )

    def inis(self) -> list[str]:
        return sorted(path.stem for path in self.vassals.glob("*.ini"))

    def history(self) -> list[dict]:
        return [json.loads(line) for line in (self.root / "srv" / "releases.jsonl").read_text().splitlines()]


@pytest.fixture
def stage(tmp_path, tmp_path_factory, monkeypatch):
    def write(path, text, *, mode=0o644, uid=-1, gid=-1):
        _files.write_atomic(path, text, mode=mode)

    monkeypatch.setattr(_vassals, "write_atomic", write)
    monkeypatch.setattr(_vassals, "account", lambda name: SimpleNamespace(pw_name=name, pw_uid=1, pw_gid=1))
    monkeypatch.setattr(_vassals, "PAUSE", 0.01)
    monkeypatch.setattr(_vassals, "_GRACE", 0.1)
    monkeypatch.setattr(_health, "_INTERVAL", 0.02)
    monkeypatch.setattr(_health, "_NEWS", 0.1)
    monkeypatch.setattr(_health, "_PATIENCE", 0.15)
    monkeypatch.setattr(_health, "_CONFIRM_SECONDS", 0.2)
    monkeypatch.setattr(Vassals, "log", lambda *_arguments: ["booting", "ValueError: no wheels", "going down"])
    return Stage(tmp_path, tmp_path_factory.mktemp("r"))


@pytest.fixture
def emperor(stage):
    emperor = Emperor(str(stage.vassals), stage.run)
    yield emperor
    emperor.close()


@pytest.fixture
def live(stage, emperor):
    """The old release is live."""
    stage.switch(OLD).go()
    emperor.asked.clear()


@pytest.fixture
def web_server(stage, http_server):
    """A web server that tells the release behind current, or what it is told to."""
    asked = []

    def answer(request):
        asked.append((request.path, request.headers["Host"]))
        status, release = answer.fixed or (200, stage.layout.live())
        return status, ({"X-Emperor-Release": release} if release else {}), b""

    answer.fixed = None
    with http_server(answer) as url:
        yield SimpleNamespace(url=f"{url}/", answer=answer, asked=asked)


def test_the_first_release_goes_live(stage, emperor):
    switch = stage.switch(OLD)
    assert switch.needed()
    result = switch.go()
    assert os.readlink(stage.layout.current) == f"releases/{OLD}"
    assert stage.inis() == [OLD]
    assert set(result["seconds"]) == STEPS
    assert not stage.switch(OLD).needed()


def test_a_healthy_release_takes_over(stage, emperor, live):
    result = stage.switch(migrations=["shop.0002_x"]).go()
    assert result["served"] == NEW
    assert os.readlink(stage.layout.current) == f"releases/{NEW}"
    assert stage.inis() == [NEW]
    assert emperor.stopped == [OLD]
    entry = stage.history()[-1]
    assert entry["result"] == "live"
    assert (entry["release"], entry["previous"], entry["version"]) == (NEW, OLD, "v1")
    assert entry["migrations"] == ["shop.0002_x"]
    assert entry["revision"].startswith("bbbbbbbb")
    assert entry["time"] == pytest.approx(time.time(), abs=60)
    assert stage.layout.last_live(2) == [NEW, OLD]


def test_it_is_asked_as_a_visitor_would_ask(stage, emperor):
    stage.switch(https=True).go()
    name, variables = emperor.asked[0]
    assert name == NEW
    expected = {"PATH_INFO": "/health/", "HTTP_HOST": "shop.example.com", "HTTPS": "on"}
    assert {key: variables[key] for key in expected} == expected


def test_the_file_of_a_vassal_is_not_for_everybody(stage, emperor):
    stage.switch().go()
    ini = stage.vassals / f"{NEW}.ini"
    assert ini.stat().st_mode & 0o777 == 0o640
    assert f"socket = {stage.run}/{NEW}.sock\n" in ini.read_text()
    assert "\nprocesses = 2\n" in ini.read_text()
    assert SECRET not in ini.read_text()


@pytest.mark.parametrize("answers", [[503, 503, 200], [None, 204]], ids=["warming up", "closing connections"])
def test_a_release_may_need_a_moment(stage, emperor, live, answers):
    emperor.behaviour[NEW] = answers
    stage.switch().go()
    assert stage.layout.live() == NEW


def assert_nothing_happened(stage):
    assert os.readlink(stage.layout.current) == f"releases/{OLD}"
    assert stage.inis() == [OLD]
    assert stage.history()[-1]["result"] == "failed"
    assert stage.history()[-1]["release"] == NEW
    assert stage.layout.last_live(2) == [OLD]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "/health/ (Host: shop.example.com) answers 500"),
        (
            404,
            "answers 404, expected was 200,204; set the health path to one that exists, for example health: {path: /ad",
        ),
        (400, "answers 400, expected was 200,204; Django answers so when ALLOWED_HOSTS has not shop.example.com"),
        (301, "answers 301"),
    ],
)
def test_a_wrong_answer_stops_the_release(stage, emperor, live, status, said):
    emperor.behaviour[NEW] = status
    started = time.monotonic()
    with pytest.raises(SwitchError) as error:
        stage.switch(timeout=30).go()
    assert time.monotonic() - started < 5  # it does not get better, so the time-out is not waited for
    assert f"release {NEW} is not healthy: " in str(error.value)
    assert said in str(error.value)
    assert "ValueError: no wheels" in str(error.value)
    assert error.value.log[0] == "booting"
    assert_nothing_happened(stage)
    assert emperor.stopped == [NEW]


@pytest.mark.parametrize("behaviour", ["crash", "cursed"])
def test_a_crash_is_noticed_at_once(stage, emperor, live, behaviour):
    emperor.behaviour[NEW] = behaviour
    started = time.monotonic()
    with pytest.raises(SwitchError, match=f"release {NEW} does not start; ValueError: no wheels"):
        stage.switch(timeout=30).go()
    assert time.monotonic() - started < 3
    assert_nothing_happened(stage)


def test_the_crash_of_another_release_is_none_of_this_one(stage, emperor, live):
    emperor.crashed.add(OLD)  # it was started again some time ago
    emperor.behaviour[NEW] = [None, None, None, 200]
    stage.switch().go()
    assert stage.layout.live() == NEW


def test_crashes_of_an_earlier_attempt_do_not_count(stage, emperor, live):
    """The Emperor remembers them; the release may have been built again, or its database be back."""
    emperor.blacklist[NEW] = 2
    emperor.behaviour[NEW] = [None, None, None, 200]
    stage.switch().go()
    assert stage.layout.live() == NEW
    emperor.crashed.add(NEW)
    emperor.behaviour[NEW] = [None, None, 200]
    stage.switch().confirm_live()


def test_no_answer_in_time_stops_the_release(stage, emperor, live):
    emperor.behaviour[NEW] = None
    with pytest.raises(SwitchError, match=r"is not healthy: .* the app closed the connection without an answer"):
        stage.switch(timeout=0.3).go()
    assert_nothing_happened(stage)


def test_a_release_that_the_emperor_does_not_start_is_told(stage, emperor, live):
    emperor.over.set()
    emperor.thread.join()
    with pytest.raises(SwitchError, match=r"is not healthy: no answer within 0.3 s \(.*No such file"):
        stage.switch(timeout=0.3).go()
    assert_nothing_happened(stage)


def test_a_release_that_hangs_is_told_from_one_that_does_not_listen(stage, emperor, live, monkeypatch):
    monkeypatch.setattr(Emperor, "page", lambda *_arguments: time.sleep(0.5) or b"")
    with pytest.raises(SwitchError, match="it accepted the request for /health/, but did not answer it"):
        stage.switch(timeout=0.3).go()
    assert_nothing_happened(stage)


def test_a_second_run_after_a_failure_repairs_it(stage, emperor, live):
    emperor.behaviour[NEW] = 500
    with pytest.raises(SwitchError):
        stage.switch().go()
    emperor.behaviour[NEW] = 200
    assert stage.switch().needed()
    stage.switch().go()
    assert stage.layout.live() == NEW


def test_without_an_emperor_nothing_is_written(stage):
    with pytest.raises(SwitchError, match="the Emperor does not run; see systemctl status uwsgi-emperor@shop"):
        stage.switch().go()
    assert stage.inis() == []
    assert stage.layout.live() is None


def test_a_release_that_was_never_finished_is_named(stage, emperor):
    os.unlink(os.path.join(stage.layout.release(NEW), "release.json"))
    switch = stage.switch()
    assert switch.needed()
    with pytest.raises(
        SwitchError, match=f"release {NEW} does not exist or was never finished; build it with django_rel"
    ):
        switch.go()


# Confirming.


def test_the_web_server_confirms_the_release(stage, emperor, live, web_server):
    assert stage.switch(confirm=web_server.url).go()["served"] == NEW
    assert web_server.asked[0] == ("/health/", "shop.example.com")


def test_another_release_at_the_web_server_means_going_back(stage, emperor, live, web_server):
    web_server.answer.fixed = (200, OLD)
    with pytest.raises(SwitchError) as error:
        stage.switch(confirm=web_server.url).go()
    assert f"with release {OLD}, not with {NEW}; look at its error log. {OLD} is live again" in str(error.value)
    assert_nothing_happened(stage)


@pytest.mark.parametrize(
    ("fixed", "said"), [((502, None), "with status 502 of no release"), ((200, None), "with status 200 of no release")]
)
def test_a_web_server_that_names_no_release_means_going_back(stage, emperor, live, web_server, fixed, said):
    web_server.answer.fixed = fixed
    with pytest.raises(SwitchError) as error:
        stage.switch(confirm=web_server.url).go()
    assert said in str(error.value)
    assert f"(Host: shop.example.com) {said}" in str(error.value)
    assert_nothing_happened(stage)


def test_a_web_server_that_is_down_means_going_back(stage, emperor, live):
    with pytest.raises(SwitchError, match=r"an error \(.*refused.*\) of no release"):
        stage.switch(confirm="http://127.0.0.1:1/").go()
    assert_nothing_happened(stage)


def test_the_first_release_stays_when_the_web_server_does_not_know_it(stage, emperor, web_server):
    """There is nothing to go back to, and the mistake is the web server's."""
    web_server.answer.fixed = (404, None)
    with pytest.raises(SwitchError, match="look at its error log"):
        stage.switch(OLD, confirm=web_server.url).go()
    assert stage.inis() == [OLD]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_run_that_died_before_it_confirmed_is_confirmed_or_undone(stage, emperor, live, web_server, confirmed):
    class Died(BaseException):
        pass

    def die():
        raise Died

    killed = stage.switch(confirm=web_server.url)
    killed._confirm = die
    with pytest.raises(Died):
        killed.go()
    assert (stage.layout.live(), stage.inis()) == (NEW, [OLD, NEW])
    if confirmed:
        assert stage.switch(confirm=web_server.url).go()["served"] == NEW
        assert stage.inis() == [NEW]
        assert stage.history()[-1]["previous"] == OLD
        return
    web_server.answer.fixed = (502, None)
    with pytest.raises(SwitchError, match=f"{OLD}, was made live again, but what answers is status 502"):
        stage.switch(confirm=web_server.url).go()
    assert_nothing_happened(stage)


# A second run.


def test_a_release_that_is_live_alone_needs_nothing(stage, emperor, live):
    assert not stage.switch(OLD).needed()
    assert stage.switch(NEW).needed()


@pytest.mark.parametrize(
    "drift",
    [
        pytest.param(lambda stage: (stage.vassals / f"{OLD}.ini").write_text("[uwsgi]\n"), id="its file was edited"),
        pytest.param(lambda stage: (stage.vassals / f"{OLD}.ini").unlink(), id="its file is gone"),
        pytest.param(lambda stage: (stage.vassals / f"{OLD}.ini").chmod(0o666), id="anybody may edit its file"),
        pytest.param(lambda stage: os.unlink(stage.layout.current), id="current is gone"),
        pytest.param(lambda stage: (stage.vassals / "other.ini").write_text("x"), id="another vassal runs"),
    ],
)
def test_drift_is_noticed_and_mended(stage, emperor, live, drift):
    emperor.over.set()  # nothing of this depends on the moment when the Emperor looks
    emperor.thread.join()
    drift(stage)
    assert stage.switch(OLD).needed()
    emperor.over.clear()
    emperor.thread = threading.Thread(target=emperor.watch, daemon=True)
    emperor.thread.start()
    stage.switch(OLD).go()
    assert not stage.switch(OLD).needed()


def test_a_live_release_is_asked_whether_it_is_well(stage, emperor, live, web_server):
    result = stage.switch(OLD, confirm=web_server.url).confirm_live()
    assert result["served"] == OLD
    assert [name for name, _variables in emperor.asked] == [OLD]


def test_an_app_that_sleeps_is_not_asked_and_one_that_has_to_change_is_woken(stage, emperor, live, monkeypatch):
    woken = []
    monkeypatch.setattr(Vassals, "wake", lambda vassals: woken.append(vassals.app))
    monkeypatch.setattr(Vassals, "is_asleep", lambda _vassals: True)
    assert stage.switch(OLD).confirm_live()["served"] == ""
    assert (emperor.asked, woken) == ([], [])
    stage.switch().go()
    assert woken == ["shop"]


def test_a_live_release_that_is_ill_fails_and_stays(stage, emperor, live):
    emperor.behaviour[OLD] = 500
    with pytest.raises(SwitchError, match=f"release {OLD} is not healthy: .* answers 500"):
        stage.switch(OLD).confirm_live()
    assert stage.inis() == [OLD]
    assert stage.layout.live() == OLD


def test_a_live_release_is_never_stopped(stage, emperor, live):
    """Even when it is ill, and its file has to be written again: nothing else could serve."""
    (stage.vassals / f"{OLD}.ini").write_text("[uwsgi]\n")
    emperor.behaviour[OLD] = 500
    with pytest.raises(SwitchError):
        stage.switch(OLD).go()
    assert stage.inis() == [OLD]


# Retiring.


def test_requests_in_flight_are_waited_for(stage, emperor, live):
    emperor.busy[OLD] = 3
    stage.switch().go()
    assert emperor.busy[OLD] == 0
    assert emperor.stopped == [OLD]


def test_waiting_ends(stage, emperor, live):
    emperor.busy[OLD] = 1_000_000
    started = time.monotonic()
    stage.switch(drain=0.3).go()
    assert 0.3 <= time.monotonic() - started < 4
    assert stage.inis() == [NEW]


# Staying healthy.


def test_good_answers_are_counted_in_a_row(stage, emperor, live):
    emperor.behaviour[NEW] = [200, 200, 503, 200, 200, 200]
    stage.switch(health_count=3).go()
    assert len([name for name, _variables in emperor.asked if name == NEW]) == 6 + 1  # and who serves, at the end


def test_a_release_settles_before_it_goes_live(stage, emperor, live):
    result = stage.switch(settle=0.2).go()
    assert result["seconds"]["settle"] >= 0.2
    assert len(emperor.asked) > 3


def test_a_release_that_turns_ill_while_it_settles_does_not_go_live(stage, emperor, live):
    emperor.behaviour[NEW] = [200, 200, 500]
    with pytest.raises(SwitchError, match=f"release {NEW} was healthy, but is not any more: .* answers 500, expected"):
        stage.switch(settle=30).go()
    assert_nothing_happened(stage)
    assert stage.history()[-1]["step"] == "settle"


def test_a_release_that_dies_while_it_settles_does_not_go_live(stage, emperor, live):
    threading.Timer(0.2, lambda: emperor.crashed.add(NEW)).start()
    with pytest.raises(SwitchError, match=f"release {NEW} died soon after its start"):
        stage.switch(settle=30).go()
    assert_nothing_happened(stage)


def test_workers_that_are_replaced_while_a_release_settles_stop_it(stage, emperor, live):
    threading.Timer(0.1, lambda: emperor.replaced.update({NEW: 2})).start()
    with pytest.raises(SwitchError, match="does not keep its workers: 2 died within 0.5 s"):
        stage.switch(settle=0.5).go()
    assert_nothing_happened(stage)


@pytest.mark.parametrize(("megabytes", "option", "fits"), [(511, 512, True), (512, 512, False), (512, False, True)])
def test_workers_that_would_always_be_replaced_stop_a_release(stage, emperor, live, megabytes, option, fits):
    manifest = stage.layout.manifest(NEW)
    replace(manifest, uwsgi={"reload-on-rss": option}).write(stage.layout.release(NEW))
    emperor.megabytes[NEW] = megabytes
    if fits:
        stage.switch(settle=0.1).go()
        assert stage.layout.live() == NEW
    else:
        with pytest.raises(SwitchError, match=r"eats memory: a worker uses 512 MB, more than reload-on-rss \(512 MB\)"):
            stage.switch(settle=0.1).go()
        assert_nothing_happened(stage)


def test_workers_that_answer_without_their_master_do_not_hide_its_end(stage, emperor, live):
    """The Emperor has not asked about it yet, so it is a zombie."""
    master = subprocess.Popen(["sleep", "1000"])
    emperor.masters[NEW] = master.pid
    threading.Timer(0.3, master.kill).start()
    with pytest.raises(SwitchError, match=f"release {NEW} died soon after its start"):
        stage.switch(settle=30).go()
    assert_nothing_happened(stage)
    master.wait()


def test_deaths_that_the_emperor_forgets_do_not_hide_new_ones(stage, emperor, live):
    """It forgets those at the start once the vassal has served, and counts others from then on."""
    emperor.blacklist[NEW] = 2

    def die():
        emperor.blacklist.clear()
        emperor.crashed.add(NEW)

    switch = stage.switch(settle=30)
    threading.Timer(0.3, die).start()
    with pytest.raises(SwitchError, match=f"release {NEW} died soon after its start"):
        switch.go()
    assert_nothing_happened(stage)


def test_an_emperor_that_was_restarted_has_dropped_the_release(stage, emperor, live, monkeypatch):
    monkeypatch.setattr(_health, "_PATIENCE", 30)
    emperor.behaviour[NEW] = None
    threading.Timer(0.2, lambda: os.rename(stage.vassals / f"{NEW}.ini", stage.vassals / f"{NEW}.ini.stopped")).start()
    with pytest.raises(SwitchError, match="was stopped while it started.*The Emperor was restarted"):
        stage.switch(timeout=30).go()
    assert_nothing_happened(stage)
    assert os.listdir(stage.vassals) == [f"{OLD}.ini"]


# Failed releases.


def test_a_failed_release_is_marked_until_it_is_live(stage, emperor, live):
    emperor.behaviour[NEW] = 500
    with pytest.raises(SwitchError):
        stage.switch().go()
    path = stage.layout.failure(NEW)
    with open(path) as handle:
        mark = json.load(handle)
    assert mark["step"] == "start"
    assert mark["reason"] == stage.history()[-1]["reason"]
    assert "answers 500" in mark["reason"]
    assert mark["time"] == pytest.approx(time.time(), abs=60)
    assert os.stat(path).st_mode & 0o777 == 0o640
    emperor.behaviour[NEW] = 200
    stage.switch().go()
    assert not os.path.exists(path)


def test_what_is_not_the_fault_of_the_release_does_not_mark_it(stage):
    with pytest.raises(SwitchError, match="the Emperor does not run"):
        stage.switch().go()
    assert not os.path.exists(stage.layout.failure(NEW))
    assert stage.history()[-1]["step"] == "preflight"


# No room.


@pytest.mark.parametrize("step", ["vassal", "link"])
def test_a_full_disk_is_told_and_the_next_run_goes_live(stage, emperor, live, monkeypatch, step):
    with monkeypatch.context() as full:
        error = OSError(errno.ENOSPC, "No space left on device")

        def refuse(*_arguments, **_keywords):
            raise error

        full.setattr(*((_vassals, "write_atomic") if step == "vassal" else (_switch, "replace_link")), refuse)
        with pytest.raises(
            SwitchError, match=r"No space left on device: no room was left below .*df -i.*then run this"
        ):
            stage.switch().go()
        assert_nothing_happened(stage)
    stage.switch().go()
    assert stage.layout.live() == NEW


def test_a_history_that_cannot_be_written_is_a_warning(stage, emperor, live, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Layout, "record", refuse)
    switch = stage.switch()
    switch.go()
    assert stage.layout.live() == NEW
    assert "releases.jsonl could not be written: No space left" in switch.warnings[0]


def test_a_host_without_room_is_refused_before_anything_starts(stage, emperor, live, monkeypatch):
    monkeypatch.setattr(_switch, "full", lambda *paths: [f"the file system of {paths[0]} has 0 KB left"])
    with pytest.raises(
        SwitchError, match=f"release {NEW} is not started: the file system of .*vassals has 0 KB left. Mak"
    ):
        stage.switch().go()
    assert emperor.asked == []


# Hosts with little memory.


@pytest.fixture
def memory(monkeypatch):
    """The live release uses 300 MB, so much is available."""
    left = SimpleNamespace(megabytes=1000)
    monkeypatch.setattr(Vassals, "processes", lambda *_arguments: [1, 2, 3])
    monkeypatch.setattr(_switch._memory, "used", lambda pids: 300 << 20)
    monkeypatch.setattr(_switch._memory, "available", lambda pid: left.megabytes << 20)
    return left


def test_a_second_copy_that_does_not_fit_is_not_started(stage, emperor, live, memory):
    memory.megabytes = 100
    with pytest.raises(SwitchError, match=f"release {NEW} is not started beside {OLD}: it would need about 300 MB"):
        stage.switch().go()
    assert emperor.asked == []
    assert_nothing_happened(stage)
    memory.megabytes = 1000
    stage.switch().go()
    assert stage.layout.live() == NEW


def test_each_worker_has_answered_before_it_gets_visitors(stage, emperor, live):
    emperor.processes[NEW] = 8
    switch = stage.switch(settle=0.1)
    asked = []
    point = switch._point_current_at
    switch._point_current_at = lambda release: (asked.append(len(emperor.asked)), point(release))
    switch.go()
    assert asked[0] >= 8


def test_a_worker_that_fails_at_its_first_request_is_found(stage, emperor, live):
    emperor.processes[NEW] = 4
    emperor.behaviour[NEW] = [200, 200, 200, 500]
    with pytest.raises(SwitchError, match="was healthy, but is not any more: .* answers 500"):
        stage.switch(settle=0.1).go()
    assert_nothing_happened(stage)


def test_without_overlap_only_one_release_runs_at_a_time(stage, emperor, live, memory):
    memory.megabytes = 100
    seen = []
    start = emperor.start
    emperor.start = lambda name: (seen.append((name, sorted(emperor.running))), start(name))
    result = stage.switch(overlap=False, settle=0.1).go()
    assert seen == [(NEW, [])]
    assert result["served"] == NEW
    assert list(result["seconds"]).index("settle") > list(result["seconds"]).index("switch")
    assert os.listdir(stage.vassals) == [f"{NEW}.ini"]


def test_without_overlap_the_one_before_is_started_again(stage, emperor, live):
    text = (stage.vassals / f"{OLD}.ini").read_text()
    emperor.behaviour[NEW] = 500
    with pytest.raises(SwitchError, match=f"answers 500, .* {OLD} is live again"):
        stage.switch(overlap=False).go()
    assert_nothing_happened(stage)
    assert emperor.stopped == [OLD, NEW]
    assert (stage.vassals / f"{OLD}.ini").read_text() == text
    assert stage.switch(OLD).served() == OLD


@pytest.fixture
def timers(tmp_path, monkeypatch):
    """The seconds of each timer that systemd was asked for; it takes so many, and their programs are on the host."""
    asked = SimpleNamespace(seconds=[], taken=2, pending=False)

    def run(argv, **_options):
        if argv[0] == "systemctl":
            asked.pending = False
            return Result(argv, 0, "", "")
        asked.seconds += [word.partition("=")[2] for word in argv if word.startswith("--on-active=")]
        asked.pending = len(asked.seconds) <= asked.taken
        return Result(argv, 0, "", "") if asked.pending else Result(argv, 1, "", "Failed to connect to bus\n")

    monkeypatch.setattr(_vassals, "LIVE_ONLY", str(tmp_path))
    monkeypatch.setattr(_vassals, "run", run)
    return asked


def test_without_overlap_systemd_watches_for_as_long_as_nothing_serves(stage, emperor, live, timers):
    pending = []
    start = emperor.start
    emperor.start = lambda name: (pending.append(timers.pending), start(name))
    stage.switch(overlap=False).go()
    assert pending == [True]
    assert timers.seconds == ["40s", "40s"], "5 s twice to drain, or 10 s to become healthy, and 30 s more"
    assert not timers.pending


def test_without_overlap_nothing_is_stopped_that_systemd_would_not_start_again(stage, emperor, live, timers):
    timers.taken = 0
    with pytest.raises(SwitchError, match=f"in place of {OLD}: systemd takes no timer .*: Failed to connect to bus. M"):
        stage.switch(overlap=False).go()
    assert_nothing_happened(stage)
    assert emperor.stopped == []
    assert not os.path.exists(stage.layout.failure(NEW)), "it says nothing about the release"
    stage.switch().go()
    assert stage.inis() == [NEW]


def test_without_overlap_what_was_stopped_has_a_successor_also_where_systemd_does_not_watch(
    stage, emperor, live, timers
):
    timers.taken = 1
    switch = stage.switch(overlap=False)
    switch.go()
    assert stage.inis() == [NEW]
    (warning,) = switch.warnings
    assert f"no timer that would have started {OLD} again, had this run been killed: Failed to connect" in warning


def test_going_back_that_fails_is_not_called_a_success(stage, emperor, live):
    emperor.behaviour |= {OLD: 500, NEW: 500}
    with pytest.raises(SwitchError, match=f"Going back to {OLD} failed as well: release {OLD} is not healthy"):
        stage.switch(overlap=False).go()
    assert stage.layout.live() == OLD


# Probation.


def line(status: int, release: str, address: str = "unix:/elsewhere.sock") -> str:
    return (
        f'203.0.113.9 - - [22/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" {status} 145 "-" "x" shop 0.1 0.1 '
        f"{address} {release}\n"
    )


@pytest.fixture
def visitors(stage):
    """People whose requests come up in the access log once the new release is live."""
    log = stage.root / "access.log"
    log.write_text(line(500, NEW) * 9)  # of an earlier attempt
    told = SimpleNamespace(lines="", log=log)

    def write():
        while stage.layout.live() != NEW:
            time.sleep(0.01)
        with open(log, "a") as handle:
            handle.write(told.lines)

    thread = threading.Thread(target=write, daemon=True)
    told.come = thread.start
    return told


@pytest.mark.parametrize("release", [NEW, "-"], ids=["with an error", "without an answer"])
def test_errors_in_the_probation_mean_going_back(stage, emperor, live, visitors, release):
    visitors.lines = line(200, NEW) + line(500, release, f"unix:{stage.layout.current}/live.sock") * 3
    visitors.come()
    with pytest.raises(SwitchError) as error:
        stage.switch(probation=30).go()
    assert f"release {NEW} gave 3 server errors in its probation of 30 s, probation_errors is 3" in str(error.value)
    assert f"{OLD} is live again" in str(error.value)
    assert error.value.log[-1] == line(500, release, f"unix:{stage.layout.current}/live.sock").strip()
    assert_nothing_happened(stage)
    assert stage.history()[-1]["step"] == "probation"
    assert os.path.exists(stage.layout.failure(NEW))


def test_errors_of_others_and_few_errors_do_not_end_a_probation(stage, emperor, live, visitors):
    visitors.lines = line(502, OLD) * 5 + line(502, "-") * 5 + line(404, NEW) * 5 + line(500, NEW) * 2 + "no line\n"
    visitors.come()
    result = stage.switch(probation=1).go()
    assert stage.layout.live() == NEW
    assert result["seconds"]["probation"] >= 1
    assert stage.inis() == [NEW]


def test_a_death_in_the_probation_means_going_back(stage, emperor, live, visitors):
    threading.Timer(0.5, lambda: emperor.crashed.add(NEW)).start()
    with pytest.raises(SwitchError, match=f"release {NEW} died in its probation.*{OLD} is live again"):
        stage.switch(probation=30).go()
    assert_nothing_happened(stage)


def test_a_probation_that_sees_nothing_says_so(stage, emperor, live, visitors, web_server):
    switch = stage.switch(probation=1, confirm=web_server.url)
    switch.go()
    assert "probation found no request to" in switch.warnings[0]


def test_a_probation_without_a_log_is_refused(stage, emperor, live):
    with pytest.raises(SwitchError, match="access.log does not exist, and probation reads it"):
        stage.switch(probation=1).go()
    assert emperor.asked == []


def test_a_run_that_was_killed_in_the_probation_is_taken_up(stage, emperor, live, visitors):
    """The link names the new release, both run, and nothing was recorded: the one before is still the way back."""
    stage.switch().vassals.start(NEW)
    _files.replace_link(stage.layout.current, f"releases/{NEW}")
    emperor.behaviour[NEW] = 500
    with pytest.raises(SwitchError, match=f"answers 500.*{OLD} is live again"):
        stage.switch().go()
    assert_nothing_happened(stage)


def test_a_preflight_that_fails_leaves_all_as_it_is(stage, emperor, live, monkeypatch):
    stage.switch().vassals.start(NEW)
    _files.replace_link(stage.layout.current, f"releases/{NEW}")
    monkeypatch.setattr(_switch, "full", lambda *_paths: ["no room"])
    with pytest.raises(SwitchError, match="no room"):
        stage.switch().go()
    assert stage.layout.live() == NEW
    assert stage.inis() == [OLD, NEW]


def test_an_error_that_nobody_thought_of_leaves_the_one_before_live(stage, emperor, live, monkeypatch):
    def fail(_switch):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Switch, "_publish", fail)
    with pytest.raises(SwitchError, match=f"please report it: ZeroDivisionError.*{OLD} is live again"):
        stage.switch(overlap=False).go()
    assert_nothing_happened(stage)


# Static files.


def write(folder, files):
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(content)


def test_static_files_of_all_releases_are_there(stage, emperor):
    static = stage.root / "srv" / "static"
    write(f"{stage.layout.release(OLD)}/static", {"a.css": "old", "a.1.css": "old", "x/gone.js": "old"})
    write(
        f"{stage.layout.release(NEW)}/static",
        {"a.css": "new", "a.2.css": "new", "y/z/b.js": "new", ".memory": "private"},
    )
    stage.switch(OLD).go()
    stage.switch(NEW).go()
    found = {str(path.relative_to(static)): path.read_text() for path in static.rglob("*") if path.is_file()}
    assert found == {"a.css": "new", "a.1.css": "old", "x/gone.js": "old", "a.2.css": "new", "y/z/b.js": "new"}
    # The same file costs no space, and replacing the name left the old release's own as it was.
    assert os.path.samefile(static / "a.css", f"{stage.layout.release(NEW)}/static/a.css")
    with open(f"{stage.layout.release(OLD)}/static/a.css", encoding="utf-8") as handle:
        assert handle.read() == "old"


def test_static_files_are_copied_where_links_are_not_possible(stage, emperor, monkeypatch):
    write(f"{stage.layout.release(NEW)}/static", {"a.css": "new"})

    def other_file_system(*_arguments, **_options):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_file_system)
    stage.switch().go()
    assert (stage.root / "srv" / "static" / "a.css").read_text() == "new"


def test_static_files_are_published_before_the_traffic_moves(stage, emperor, live, monkeypatch):
    write(f"{stage.layout.release(NEW)}/static", {"a.css": "new"})
    there = []
    real = _switch.replace_link

    def moved(path, target):
        there.append((stage.root / "srv" / "static" / "a.css").exists())
        real(path, target)

    monkeypatch.setattr(_switch, "replace_link", moved)
    stage.switch().go()
    assert there == [True]


def test_a_release_that_cannot_be_published_does_not_run_on(stage, emperor, live):
    """A full disk for example: the release before serves on, alone, and the history tells of the attempt."""
    write(f"{stage.layout.release(NEW)}/static", {"a.css": "new"})
    (stage.root / "srv" / "static" / "a.css").mkdir()
    with pytest.raises((SwitchError, OSError)):
        stage.switch().go()
    assert_nothing_happened(stage)


# The log.


@pytest.fixture
def journal(monkeypatch):
    """What journalctl would say."""
    said = SimpleNamespace(text="", argv=[])

    def run(argv, **_options):
        said.argv = argv
        return Result(argv, 0, said.text, "")

    monkeypatch.setattr(_journal, "run", run)
    return said


def test_the_log_has_no_secrets(tmp_path, tmp_path_factory, journal):
    stage = Stage(tmp_path, tmp_path_factory.mktemp("r"))
    journal.text = f"first\nImproperlyConfigured: bad SECRET_KEY {SECRET}\n"
    assert stage.switch().vassals.log(1000.0, NEW) == ["first", "ImproperlyConfigured: bad SECRET_KEY ********"]
    assert "--unit=uwsgi-emperor@shop" in journal.argv
    assert "--since=@999.000" in journal.argv


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (
            [
                "Traceback (most recent call last):",
                "  x",
                "ModuleNotFoundError: No module named 'shop.wsgi'",
                "unable to load",
            ],
            "ModuleNotFoundError: No module named 'shop.wsgi'",
        ),
        (["django.core.exceptions.ImproperlyConfigured: x", "KeyError: 'DB'"], "KeyError: 'DB'"),
        (["SystemExit: 3"], "SystemExit: 3"),
        (["[strict-mode] unknown config directive: procesess"], "[strict-mode] unknown config directive: procesess"),
    ],
)
def test_the_cause_is_part_of_the_message(stage, emperor, live, monkeypatch, lines, cause):
    monkeypatch.setattr(Vassals, "log", lambda *_arguments: lines)
    emperor.behaviour[NEW] = "crash"
    with pytest.raises(SwitchError) as error:
        stage.switch().go()
    assert str(error.value) == f"release {NEW} does not start; {cause}"
    assert stage.history()[-1]["reason"] == str(error.value)


def test_no_cause_in_the_log_adds_nothing(stage, emperor, live, monkeypatch):
    monkeypatch.setattr(Vassals, "log", lambda *_arguments: ["booting", "Errors happen"])
    emperor.behaviour[NEW] = "crash"
    with pytest.raises(SwitchError) as error:
        stage.switch().go()
    assert str(error.value) == f"release {NEW} does not start"


def test_defaults_follow_from_the_name():
    vassals = Vassals(dict.fromkeys(["vassals", "run_directory", "unit"]) | {"name": "shop"}, Layout("/srv"))
    assert (vassals.folder, vassals.run_directory) == ("/etc/uwsgi/emperor/shop", "/run/emperor/shop")
    assert vassals.unit == "uwsgi-emperor@shop"
