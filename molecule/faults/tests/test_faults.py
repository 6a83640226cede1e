"""One broken release after another, each for a real reason, on a site that is asked all the time.

Whatever is wrong with a release: the play fails and says what, every answer in the meantime is a good one of the live
release, and no process of the broken one is left.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import HOST, Site

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
EXAMPLE = PROJECT / "examples/guestbook"
DOMAIN = "guestbook.example.com"
ROOT = "/srv/django/guestbook"
VASSALS = "/etc/uwsgi/emperor/guestbook"
UNIT = "uwsgi-emperor@guestbook"


# Who asks.


class Prober(threading.Thread):
    """A visitor who comes back several times a second and notes what answered."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.answers: list[tuple[int, str]] = []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.15):
            try:
                answer = self.site.get("/release")
                release = json.loads(answer.text)["release"] if answer.status == 200 else answer.text[:80]
                self.answers.append((answer.status, release))
            except (OSError, ValueError) as error:
                self.answers.append((0, str(error)))

    def since(self, number: int) -> set[tuple[int, str]]:
        """Every kind of answer since there were so many, with one that has begun just now."""
        enough = len(self.answers) + 2
        while len(self.answers) < enough:
            time.sleep(0.05)
        return set(self.answers[number:])


@pytest.fixture(scope="module")
def prober(address):
    prober = Prober(Site(address, DOMAIN))
    prober.start()
    yield prober
    prober.over.set()
    prober.join()


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
        return [item for result in results for item in result.get("results", [result])]

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
    if name in FOUND_BY_ASKING:
        assert failure["log"], "the end of the log is told"
        assert failure["served"] == release
        mark = mark_of(host, newest(host))
        assert mark["step"] == failure["step"] and mark["reason"] in failure["msg"]
        last = json.loads(host.check_output(f"tail -n 1 {ROOT}/releases.jsonl"))
        assert (last["result"], last["release"], last["step"]) == ("failed", newest(host), failure["step"])
        assert host.check_output(f"stat -c '%a %U' {ROOT}/releases/{newest(host)}/failed.json") == "640 root"


def test_good_release_after_all_of_them(host, prober, tmp_path):
    before, asked = live(host), len(prober.answers)
    switch = Deploy(source(tmp_path / "src", "good")).run().switch()
    assert switch["served"] == switch["release"] == live(host) != before
    assert switch["seconds"]["settle"] >= 6
    assert prober.since(asked) == {(200, before), (200, switch["release"])}
    assert_only(host, switch["release"])


# What goes wrong with the host, or with the switch itself.


def test_no_room_for_a_build(host, prober, tmp_path):
    release, asked = live(host), len(prober.answers)
    host.check_output(
        "head -c 1G /dev/zero > /srv/django/filler 2>/dev/null; df --output=avail /srv/django | tail -n 1"
    )
    failure = Deploy(source(tmp_path / "src", "no room")).run().failure()
    host.check_output("rm /srv/django/filler")
    assert "No space left on device" in failure["msg"] and "/srv/django/guestbook" in failure["msg"], failure
    assert "df -i" in failure["msg"], failure
    assert prober.since(asked) == {(200, release)}
    assert_only(host, release)


FILL_INODES = "i=0; while : > {0}/filler.$i; do i=$((i+1)); done 2>/dev/null; df -i {0} | tail -n 1"


def test_no_confirmation_then_no_inodes_then_live(host, prober, tmp_path):
    """One good release: a web server that does not confirm it, no inode for the vassal, and then all is well."""
    release, asked = live(host), len(prober.answers)
    deploy = Deploy(source(tmp_path / "src", "no inodes"), {"django_confirm": "http://127.0.0.1:81/"}).run()
    failure = deploy.failure()
    assert "the web server at http://127.0.0.1:81/ answers /healthz" in failure["msg"], failure
    assert_only(host, release)
    host.run(FILL_INODES.format("/etc/uwsgi/emperor"))
    failure = Deploy(deploy.folder).run().failure()
    host.check_output("find /etc/uwsgi/emperor -maxdepth 1 -name 'filler.*' -delete")
    assert "/etc/uwsgi/emperor/guestbook has " in failure["msg"] and " 0 inodes left" in failure["msg"], failure
    assert_only(host, release)
    switch = Deploy(deploy.folder).run().switch()
    assert switch["served"] == live(host) != release
    assert prober.since(asked) == {(200, release), (200, switch["served"])}
    assert not host.file(f"{ROOT}/releases/{switch['served']}/failed.json").exists


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


def test_no_memory_for_a_worker(host, prober, tmp_path):
    """The kernel itself kills the workers of a release that takes more than the host has."""
    release, asked = live(host), len(prober.answers)
    change = append("entries/views.py", "\n\ndef healthz(request):\n    return HttpResponse(b'x' * (4 << 30))\n")
    refused = limit_memory("1500m")
    if refused:
        pytest.skip(f"this Docker cannot limit the memory of a container: {refused}")
    try:
        failure = Deploy(source(tmp_path / "src", "hungry", change), {"django_health_timeout": 15}).run().failure()
    finally:
        limit_memory("64g")  # Docker cannot take a limit away
    assert "killed by signal 9" in "".join(failure["log"]), failure
    assert "the app closed the connection without an answer" in failure["msg"], failure
    assert prober.since(asked) == {(200, release)}
    assert_only(host, release)


def limit_memory(limit: str) -> str:
    """What Docker says when it cannot."""
    command = ["docker", "update", f"--memory={limit}", f"--memory-swap={limit}", HOST]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


KILL_MODULE = """
for process in /proc/[0-9]*; do
  if tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -q '^/usr/bin/python3 .*AnsiballZ_each.py'
  then kill -9 ${process#/proc/}; killed=1; fi
done; test -n "$killed"
"""


def kill_module(host, deploy: Deploy) -> None:
    """Kill uwsgi_vassal alone, when the release that it starts has a vassal."""
    release = live(host)
    with deploy.start(ANSIBLE_PIPELINING="false") as process:  # so that the module has a name
        deadline = time.monotonic() + 300
        while not set(vassals(host)) - {release} and time.monotonic() < deadline:
            time.sleep(0.2)
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


def test_killed_in_the_middle_and_then_restarted(host, site, tmp_path):
    """Nothing of a release that nobody found good is started, whoever starts the Emperor again."""
    release = live(host)
    kill_module(host, Deploy(source(tmp_path / "src", "killed"), {"health": {"settle": 600}}))
    assert len(vassals(host)) == 2, "the other release was on its way"
    assert site.get("/release").status == 200
    host.check_output(f"systemctl restart {UNIT}")
    assert json.loads(site.wait("/release").text)["release"] == release
    assert host.check_output(f"ls {VASSALS}/*.ini") == f"{VASSALS}/{release}.ini"
    assert "is not the live release and is not started" in host.check_output(f"journalctl -u {UNIT} -n 200")
    switch = Deploy(source(tmp_path / "good", "after the kill")).run().switch()
    assert_only(host, switch["release"])
