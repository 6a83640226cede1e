"""One broken release after another, each for a real reason, on a site that is asked all the time.

Whatever is wrong with a release: the play fails and says what, every answer in the meantime is a good one of the live
release, and no process of the broken one is left.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import HOST, Prober, Site, answers, host_python, post_entry, servers, wait_until

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
EXAMPLE = PROJECT / "examples/guestbook"
DOMAIN = "guestbook.example.com"
ROOT = "/srv/django/guestbook"
VASSALS = "/etc/uwsgi/emperor/guestbook"
UNIT = "uwsgi-emperor@guestbook"
DATABASE = f"{ROOT}/shared/db.sqlite3"


# Who asks.


@pytest.fixture(scope="module")
def prober(address):
    with Prober(Site(address, DOMAIN)) as prober:
        yield prober


@pytest.fixture
def nothing_restarted(host):
    """Visitors move to another release by the renaming of a link, and stay where they are when one is broken."""
    before = servers(host, "guestbook")
    yield
    assert servers(host, "guestbook") == before


@pytest.fixture(scope="module")
def entry(address) -> None:
    """What a visitor has written, with a file."""
    assert post_entry(Site(address, DOMAIN), "Keep this", "photo.jpg", os.urandom(1 << 20)).status == 302


@pytest.fixture
def data_kept(host, entry):
    """Not a byte of the database or of an upload is another one after the test."""
    wait_until("all of it is in the main file", lambda: host_python(CHECKPOINT, DATABASE)[0] == "0")
    before = data(host)
    assert len(before) > 1 and not any(line.endswith("-wal") for line in before), before
    yield
    assert data(host) == before


def data(host) -> list[str]:
    """Checksums of the database and of what is not in its main file yet, and of the uploads."""
    files = f"find {DATABASE}* {ROOT}/shared/media -type f -not -name '*-shm' -size +0"
    return sorted(host.check_output(f"{files} -exec sha256sum {{}} +").splitlines())


CHECKPOINT = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
"""
HELD_OPEN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM entries_entry").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def database_open(host, entry):
    """Somebody has the database open, as a background process has.

    SQLite makes two files when it is the first to open a database in WAL mode, so that a full disk, whoever has filled
    it, keeps everybody from reading who comes later. This is about what a deploy does.
    """
    command = ["docker", "exec", "--interactive", "--user=guestbook", HOST, "python3", "-c", HELD_OPEN, DATABASE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout.readline() == "open\n"
        yield


# What is deployed.


def append(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with open(folder / name, "a") as handle:
            handle.write(text)

    return change


def template(text: str) -> Callable[[Path], None]:
    return append("entries/templates/base.html", text)


def migration(folder: Path) -> None:
    (folder / "entries/migrations/0009_broken.py").write_text(
        "from django.db import migrations\n\n\n"
        "def run(apps, editor):\n    raise RuntimeError('this migration is broken')\n\n\n"
        "class Migration(migrations.Migration):\n"
        "    dependencies = [('entries', '0008_entry_message_not_empty')]\n"
        "    operations = [migrations.RunPython(run, migrations.RunPython.noop)]\n"
    )


def in_uwsgi(code: str) -> str:
    """Code that runs inside uWSGI only, so that no check before it can find what it does."""
    return f"\n\ntry:\n    import uwsgi\nexcept ImportError:\n    pass\nelse:\n    {code}\n"


def source(folder: Path, mark: str, *changes: Callable[[Path], None]) -> Path:
    """The example with changes; the mark makes it a release of its own."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "MARK").write_text(mark)
    for change in changes:
        change(folder)
    return folder


@dataclass
class Deploy:
    """A run of emperor.web.deploy, and how it ended."""

    folder: Path
    variables: dict = field(default_factory=dict)

    def command(self) -> list[str]:
        app = {"name": "guestbook", "source": str(self.folder), "domains": [DOMAIN]}
        app |= {"health": {"path": "/healthz", "text": "ok"} | self.variables.pop("health", {})}
        own = {name: value for name, value in self.variables.items() if name.startswith("django_")}
        app |= {name: value for name, value in self.variables.items() if name not in own}
        host = {"ansible_connection": "community.docker.docker", "ansible_user": "root"}
        host |= {
            "ansible_python_interpreter": "/usr/bin/python3",
            "django_apps": [app],
            "django_health_timeout": 30,
        } | own
        path = self.folder.with_suffix(".json")
        path.write_text(json.dumps({"all": {"hosts": {HOST: host}}}))
        return [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(path), "emperor.web.deploy"]

    def start(self, **environment: str) -> subprocess.Popen:
        environment = os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"} | environment
        with self.file("out").open("w") as out, self.file("errors").open("w") as errors:
            return subprocess.Popen(self.command(), stdout=out, stderr=errors, env=environment, cwd=PROJECT)

    def file(self, ending: str) -> Path:
        """What the run prints goes into files: a pipe that nobody reads would stop it."""
        return self.folder.with_suffix(f".{ending}")

    def run(self) -> Deploy:
        with self.start() as process:
            process.wait()
        assert self.printed.lstrip().startswith("{"), self.printed[-3000:] + self.file("errors").read_text()[-3000:]
        return self

    @property
    def printed(self) -> str:
        return self.file("out").read_text()

    def tasks(self) -> list[dict]:
        plays = json.loads(self.printed)["plays"]
        results = [task["hosts"][HOST] for play in plays for task in play["tasks"] if HOST in task["hosts"]]
        return [item for result in results for item in answers(result) or [result]]

    def failure(self) -> dict:
        """What the task that failed returned."""
        failed = [result for result in self.tasks() if result.get("failed")]
        assert failed, "the deploy did not fail"
        return failed[-1]

    def switch(self) -> dict:
        """What uwsgi_vassal returned, of a deploy that went well."""
        stats = json.loads(self.printed)["stats"][HOST]
        assert not stats["failures"] and not stats["unreachable"], self.failure()
        return next(result for result in self.tasks() if "served" in result)


def live(host) -> str:
    return host.check_output(f"basename $(readlink {ROOT}/current)")


STATS = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{0}'); print(s.makefile().read())"


def workers(host, release: str) -> int:
    """How many processes answer, as uWSGI itself tells."""
    code = STATS.format(f"/run/emperor/guestbook/{release}.stats")
    return len([worker for worker in json.loads(host.check_output("python3 -c %s", code))["workers"] if worker["pid"]])


def assert_only(host, release: str) -> None:
    """This release is live, and nothing of another one runs."""
    assert live(host) == release
    assert host.check_output(f"ls {VASSALS}").split() == [f"{release}.ini"]
    sockets = host.check_output("ls /run/emperor/guestbook").split()
    assert sorted(sockets) == sorted([f"{release}.sock", f"{release}.stats", "emperor.stats"])


def mark_of(host, release: str) -> dict:
    return json.loads(host.check_output(f"cat {ROOT}/releases/{release}/failed.json"))


def newest(host) -> str:
    return host.check_output(f"ls -t {ROOT}/releases").split()[0]


# Releases that are broken: their changes, variables of the inventory, and parts of what is said.
# The first lot is found before a process is started, the other one by asking the process.

FOUND_BEFORE = {
    "import error": (append("entries/views.py", "\nimport does_not_exist\n"), {}, ["does_not_exist", "requirements"]),
    "missing setting": (
        append("guestbook/settings.py", "\nPAYMENT_KEY = env.required('PAYMENT_KEY')\n"),
        {},
        ["PAYMENT_KEY"],
    ),
    "wrong WSGI module": (None, {"wsgi": "guestbook.nowhere:application"}, ["guestbook.nowhere"]),
    "DEBUG on": (append("guestbook/settings.py", "\nDEBUG = True\n"), {}, ["emperor.E001", "DEBUG is on"]),
    "failing migration": (migration, {}, ["0009_broken", "this migration is broken"]),
    "stylesheet that names a file that is not there": (
        append("entries/static/entries/style.css", "\nbody { background: url(nowhere.png); }\n"),
        {},
        ["nowhere.png"],
    ),
}
STEPS = {"failing migration": "migrate", "stylesheet that names a file that is not there": "collectstatic"}
HOG = "hog = b'x' * (150 << 20)"
FOUND_BY_ASKING = {
    "health view that fails": (
        append("entries/views.py", "\n\ndef healthz(request):\n    raise RuntimeError('health is broken')\n"),
        {},
        ["/healthz (Host: guestbook.example.com) answers 500, expected was 200-399,401,403", "health is broken"],
    ),
    "health view with another text": (
        append("entries/views.py", "\n\ndef healthz(request):\n    return HttpResponse('degraded')\n"),
        {},
        ["has not the text 'ok' that was expected, it begins with 'degraded'"],
    ),
    "URLs that break at the first request": (
        append("guestbook/urls.py", in_uwsgi("raise RuntimeError('broken URLs')")),
        {},
        ["the app closed the connection without an answer", "RuntimeError: broken URLs"],
    ),
    "page whose static file is not in the manifest": (
        template("{% load static %}{% static 'entries/nowhere.css' %}"),
        {"health": {"path": "/", "text": "guestbook"}},
        ["answers 500", "Missing staticfiles manifest entry for 'entries/nowhere.css'"],
    ),
    "WSGI module that fails": (
        append("guestbook/wsgi.py", in_uwsgi("raise RuntimeError('broken wsgi')")),
        {},
        ["does not start", "RuntimeError: broken wsgi"],
    ),
    "start that hangs": (
        append("guestbook/wsgi.py", in_uwsgi("__import__('time').sleep(600)")),
        {"django_health_timeout": 8},
        ["is not healthy: it accepted the request for /healthz, but did not answer it within 8 s"],
    ),
    "workers that eat memory": (
        append("guestbook/wsgi.py", in_uwsgi(HOG)),
        {"uwsgi": {"reload-on-rss": 120}},
        ["eats memory: a worker uses ", "more than reload-on-rss (120 MB)"],
    ),
    "exit after 5 s": (
        append("guestbook/wsgi.py", in_uwsgi("__import__('signal').alarm(5)")),
        {},
        ["died soon after its start"],
    ),
}


@pytest.mark.usefixtures("nothing_restarted")
@pytest.mark.parametrize("name", [*FOUND_BEFORE, *FOUND_BY_ASKING])
def test_broken_release(host, prober, tmp_path, name):
    change, variables, parts = (FOUND_BEFORE | FOUND_BY_ASKING)[name]
    release, asked = live(host), len(prober.answers)
    deploy = Deploy(source(tmp_path / "src", name, *([change] if change else [])), dict(variables)).run()
    failure = deploy.failure()
    said = failure["msg"] + failure.get("stderr", "")
    for part in parts:
        assert part in said, failure
    assert prober.since(asked) == {(200, release)}
    assert_only(host, release)
    broken, step = newest(host), STEPS.get(name, "check")
    if name in FOUND_BY_ASKING:
        assert failure["log"], "the end of the log is told"
        assert failure["served"] == release
        step = failure["step"]
    mark = mark_of(host, broken)
    assert mark["step"] == step and mark["reason"] and mark["reason"] in failure["msg"]
    last = json.loads(host.check_output(f"tail -n 1 {ROOT}/releases.jsonl"))
    told = [last[name] for name in ("result", "release", "previous", "step", "reason")]
    assert told == ["failed", broken, release, step, mark["reason"]]
    assert host.check_output(f"stat -c '%a %U' {ROOT}/releases/{broken}/failed.json") == "640 root"


@pytest.mark.usefixtures("nothing_restarted")
def test_good_release_after_all_of_them(host, prober, tmp_path):
    before, asked = live(host), len(prober.answers)
    switch = Deploy(source(tmp_path / "src", "good")).run().switch()
    assert switch["served"] == switch["release"] == live(host) != before
    assert switch["seconds"]["settle"] >= 6
    assert prober.since(asked) == {(200, before), (200, switch["release"])}
    assert_only(host, switch["release"])


@pytest.mark.usefixtures("nothing_restarted")
def test_another_number_of_workers_alone(host, prober, tmp_path):
    """The code that is live, with one process less: uWSGI's options are part of a release, and go live as one."""
    sources = source(tmp_path / "src", "good")
    Deploy(sources).run()
    before, asked = live(host), len(prober.answers)
    wanted = workers(host, before) - 1
    switch = Deploy(sources, {"uwsgi": {"processes": wanted}}).run().switch()
    assert switch["served"] == switch["release"] == live(host) != before
    assert switch["release"].partition("-")[0] == before.partition("-")[0], "its revision is the same"
    assert workers(host, switch["release"]) == wanted
    assert prober.since(asked) == {(200, before), (200, switch["release"])}
    assert_only(host, switch["release"])


# What goes wrong with the host, or with the switch itself.

FILL_INODES = "i=0; while : > {0}/filler.$i; do i=$((i+1)); done 2>/dev/null; df -i {0} | tail -n 1"
LEAVE_ROOM = "head -c $(($(df --output=avail {0} | tail -n 1) - {1}))K /dev/zero > {0}/filler"
LEAVE_INODES = "cd {0} && seq $(($(df --output=iavail {0} | tail -n 1) - {1})) | sed s/^/filler./ | xargs touch"
EMPTY = "find {0} -maxdepth 1 -name 'filler*' -delete"


another_environment = append("requirements.txt", "\n# of these\n")


@pytest.mark.usefixtures("nothing_restarted")
@pytest.mark.parametrize(
    ("leave", "changes", "told"),
    [
        (LEAVE_ROOM.format("/srv/django", 12 << 10), [], r"/releases has 1[0-2] MB and \d{3,} inodes left, and "),
        (LEAVE_INODES.format("/srv/django", 80), [], r"/releases has \d{2,} MB and [1-8]?\d inodes left, and "),
        (
            LEAVE_ROOM.format("/srv/django", 40 << 10),
            [another_environment],
            r"/venvs has [34]\d MB and \d+ inodes left",
        ),
    ],
    ids=["room", "inodes", "virtual environment"],
)
def test_too_little_room_for_a_build_is_refused_while_the_site_writes(
    host, prober, address, tmp_path, leave, changes, told
):
    release, asked, written = live(host), len(prober.answers), []
    built = host.check_output(f"ls {ROOT}/releases {ROOT}/venvs")
    deploy = Deploy(source(tmp_path / "src", "too little room", *changes))
    host.check_output(leave)
    with deploy.start() as process:
        while process.poll() is None:
            written.append(post_entry(Site(address, DOMAIN), "Written meanwhile", "", b"").status)
            time.sleep(0.3)
    host.check_output(EMPTY.format("/srv/django"))
    failure = deploy.failure()
    assert re.search(f"is not built, as the file system of {ROOT}{told}", failure["msg"]), failure
    assert "Make room there" in failure["msg"], failure
    assert "No space left on device" not in failure["msg"], failure
    assert len(written) > 3 and set(written) == {302}
    assert prober.since(asked) == {(200, release)}
    assert host.check_output(f"ls {ROOT}/releases {ROOT}/venvs") == built
    assert_only(host, release)


def a_film(folder: Path) -> None:
    with (folder / "film").open("wb") as handle:
        handle.truncate(80 << 20)


def many_cards(folder: Path) -> None:
    (folder / "cards").mkdir()
    for number in range(4000):
        (folder / f"cards/{number}").touch()


@pytest.mark.usefixtures("nothing_restarted", "database_open", "data_kept")
@pytest.mark.parametrize(
    ("leave", "change"),
    [(LEAVE_ROOM.format("/srv/django", 60 << 10), a_film), (LEAVE_INODES.format("/srv/django", 3000), many_cards)],
    ids=["room", "inodes"],
)
def test_no_room_for_a_build(host, prober, tmp_path, leave, change):
    """There is enough for a release like the live one, but this one is larger and fills the disk."""
    release, asked = live(host), len(prober.answers)
    host.check_output(leave)
    failure = Deploy(source(tmp_path / "src", "no room", change)).run().failure()
    host.check_output(EMPTY.format("/srv/django"))
    assert "No space left on device" in failure["msg"] and "/srv/django/guestbook" in failure["msg"], failure
    assert "df -i" in failure["msg"], failure
    assert prober.since(asked) == {(200, release)}
    assert_only(host, release)


@pytest.mark.usefixtures("nothing_restarted", "data_kept")
def test_no_confirmation_then_no_inodes_then_live(host, prober, tmp_path):
    """One good release: a web server that does not confirm it, no inode for the vassal, and then all is well."""
    release, asked = live(host), len(prober.answers)
    deploy = Deploy(source(tmp_path / "src", "no inodes"), {"django_confirm": "http://127.0.0.1:81/"}).run()
    failure = deploy.failure()
    assert "the web server at http://127.0.0.1:81/ answers /healthz" in failure["msg"], failure
    assert_only(host, release)
    host.run(FILL_INODES.format("/etc/uwsgi/emperor"))
    failure = Deploy(deploy.folder).run().failure()
    host.check_output(EMPTY.format("/etc/uwsgi/emperor"))
    assert "/etc/uwsgi/emperor/guestbook has " in failure["msg"] and " 0 inodes left" in failure["msg"], failure
    assert_only(host, release)
    switch = Deploy(deploy.folder).run().switch()
    assert switch["served"] == live(host) != release
    assert prober.since(asked) == {(200, release), (200, switch["served"])}
    assert not host.file(f"{ROOT}/releases/{switch['served']}/failed.json").exists


@pytest.mark.usefixtures("nothing_restarted")
def test_errors_after_the_switch_bring_the_one_before_back(host, prober, address, tmp_path):
    """Its health page is well, but a page of visitors is not: only the probation can find that."""
    release, asked = live(host), len(prober.answers)
    change = append("entries/views.py", "\n\ndef slow(request):\n    raise RuntimeError('slow is broken')\n")
    deploy = Deploy(source(tmp_path / "src", "probation", change), {"probation": 60, "health": {"settle": 0}})
    with deploy.start() as process:
        while process.poll() is None:
            if live(host) != release:
                Site(address, DOMAIN).get("/slow?seconds=0")
            time.sleep(0.2)
    failure = deploy.failure()
    assert "server errors in its probation of 60 s" in failure["msg"], failure
    assert f"{release} is live again" in failure["msg"]
    assert '"GET /slow?seconds=0 HTTP/1.1" 500' in failure["log"][-1]
    assert failure["served"] == release
    assert prober.since(asked) == {(200, release), (200, newest(host))}, (
        "visitors of other pages were served all the time"
    )
    assert_only(host, release)
    assert mark_of(host, newest(host))["step"] == "probation"


@pytest.mark.usefixtures("nothing_restarted", "data_kept")
def test_no_memory_for_two(host, prober, tmp_path):
    """A host that has next to none left, as /proc/meminfo tells; then the choice for such hosts, good and broken."""
    release, asked = live(host), len(prober.answers)
    host.check_output(
        "sed -E 's/^(MemAvailable|SwapFree):.*/\\1: 20000 kB/' /proc/meminfo > /run/meminfo; "
        "mount --bind /run/meminfo /proc/meminfo"
    )
    try:
        failure = Deploy(source(tmp_path / "src", "no memory")).run().failure()
        assert f"is not started beside {release}: it would need about " in failure["msg"], failure
        assert "39 MB are available" in failure["msg"] and "overlap: false" in failure["msg"], failure
        assert prober.since(asked) == {(200, release)}
        assert_only(host, release)
        switch = Deploy(tmp_path / "src", {"overlap": False}).run().switch()
        assert switch["served"] == live(host) != release
        release, asked = live(host), len(prober.answers)
        change = append("guestbook/wsgi.py", in_uwsgi("raise RuntimeError('broken wsgi')"))
        failure = Deploy(source(tmp_path / "broken", "overlap", change), {"overlap": False}).run().failure()
    finally:
        host.check_output("umount /proc/meminfo")
    assert "RuntimeError: broken wsgi" in failure["msg"] and f"{release} is live again" in failure["msg"], failure
    answers = prober.since(asked)
    assert {who for status, who in answers if status == 200} == {release}
    assert {status for status, _who in answers} <= {200, 502}, "the web server's own page in between, and nothing else"
    assert_only(host, release)


@pytest.mark.usefixtures("nothing_restarted", "data_kept")
def test_no_memory_for_a_worker(host, prober, tmp_path):
    """The kernel itself kills the workers of a release that takes more than the host has."""
    release, asked = live(host), len(prober.answers)
    change = append("entries/views.py", "\n\ndef healthz(request):\n    return HttpResponse(b'x' * (4 << 30))\n")
    refused = limit_memory("1500m")
    if refused:
        pytest.skip(f"this Docker cannot limit the memory of a container: {refused}")
    try:
        # A busy machine takes a while to fill so much.
        failure = Deploy(source(tmp_path / "src", "hungry", change), {"django_health_timeout": 30}).run().failure()
    finally:
        limit_memory("64g")  # Docker cannot take a limit away
    assert "killed by signal 9" in "".join(failure["log"]), failure
    assert "the app closed the connection without an answer" in failure["msg"], failure
    assert prober.since(asked) == {(200, release)}
    assert_only(host, release)


FILLED_BY_A_MIGRATION = """from django.db import migrations


def fill(apps, editor):
    with editor.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE filling (block blob)")
        for _number in range(60):
            cursor.execute("INSERT INTO filling VALUES (zeroblob(1048576))")


class Migration(migrations.Migration):
    dependencies = [("entries", "0008_entry_message_not_empty")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
"""


@pytest.mark.usefixtures("nothing_restarted")
def test_no_room_for_a_migration(host, prober, tmp_path, entry):
    """There is enough for the build, and not for what the migration writes; with more room the same run completes."""
    release, asked, before = live(host), len(prober.answers), data(host)
    sources = source(tmp_path / "src", "migration")
    (sources / "entries/migrations/0009_fill.py").write_text(FILLED_BY_A_MIGRATION)
    host.check_output(LEAVE_ROOM.format("/srv/django", 40 << 10))
    failure = Deploy(sources).run().failure()
    host.check_output(EMPTY.format("/srv/django"))
    said = failure["msg"] + failure.get("stderr", "")
    assert "0009_fill" in said and "database or disk is full" in said, failure
    assert prober.since(asked) == {(200, release)}
    assert_only(host, release)
    assert data(host) == before
    asked = len(prober.answers)
    switch = Deploy(sources).run().switch()
    assert switch["served"] == live(host) != release
    assert prober.since(asked) == {(200, release), (200, switch["served"])}
    assert host.check_output("guestbook-manage showmigrations --plan entries").count("[X]") == 9


def limit_memory(limit: str) -> str:
    """What Docker says when it cannot."""
    command = ["docker", "update", f"--memory={limit}", f"--memory-swap={limit}", HOST]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


KILL_MODULE = """
for process in /proc/[0-9]*; do
  if tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -q '^/usr/bin/python3 .*AnsiballZ_steps.py'
  then kill -9 ${process#/proc/}; killed=1; fi
done; test -n "$killed"
"""


def kill_module(host, deploy: Deploy) -> None:
    """Kill uwsgi_vassal alone, when the release that it starts has a vassal."""
    release = live(host)
    with deploy.start(ANSIBLE_PIPELINING="false") as process:  # so that the module has a name
        wait_until("it has a vassal", lambda: set(vassals(host)) - {release})
        host.check_output(KILL_MODULE)
        process.wait()


def vassals(host) -> list[str]:
    """The releases that the Emperor runs, or is about to."""
    return [Path(path).stem for path in host.check_output(f"ls {VASSALS}").split() if path.endswith(".ini")]


def test_killed_while_nothing_serves(host, site, tmp_path):
    """Without overlap; the release hangs, so that nobody but systemd can bring the one before back."""
    release = live(host)
    change = append("guestbook/wsgi.py", in_uwsgi("__import__('time').sleep(600)"))
    source(tmp_path / "src", "killed without overlap", change)
    kill_module(host, Deploy(tmp_path / "src", {"overlap": False, "django_health_timeout": 5}))
    assert len(vassals(host)) == 1 and vassals(host) != [release], "the live one was stopped"
    assert json.loads(site.wait("/release", seconds=60).text)["release"] == release
    assert vassals(host) == [release]


def test_killed_in_the_middle_and_then_restarted(host, site, prober, tmp_path):
    """Nothing of a release that nobody found good is started, whoever starts the Emperor again."""
    release, asked = live(host), len(prober.answers)
    kill_module(host, Deploy(source(tmp_path / "src", "killed"), {"health": {"settle": 600}}))
    assert len(vassals(host)) == 2, "the other release was on its way"
    assert prober.since(asked) == {(200, release)}, "the kill cost nobody anything"
    host.check_output(f"systemctl restart {UNIT}")
    assert json.loads(site.wait("/release").text)["release"] == release
    assert host.check_output(f"ls {VASSALS}/*.ini") == f"{VASSALS}/{release}.ini"
    assert "is not the live release and is not started" in host.check_output(f"journalctl -u {UNIT} -n 200")
    asked = len(prober.answers)
    switch = Deploy(source(tmp_path / "good", "after the kill")).run().switch()
    assert prober.since(asked) == {(200, release), (200, switch["release"])}
    assert_only(host, switch["release"])
