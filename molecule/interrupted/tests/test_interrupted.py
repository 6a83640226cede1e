"""Runs that are killed, that meet, or are taken over: visitors see nothing of it, the next run puts it right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
from conftest import HOST, KILLED, PATIENCE, PROCESSES, Prober, Site, host_python, kill_tasks, wait_until

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
DOMAIN = "guestbook.example.com"
ROOT = "/srv/django/guestbook"
HOLD = f"{ROOT}/shared/hold"
APP = {
    "name": "guestbook",
    "source": "file:///srv/sources/guestbook.git",
    "domains": [DOMAIN],
    "health": {"path": "/healthz"},
}

VASSALS = """
import json, socket
stats = socket.socket(socket.AF_UNIX)
stats.connect("/run/emperor/guestbook/emperor.stats")
text = b""
while block := stats.recv(65536):
    text += block
for vassal in json.loads(text)["vassals"]:
    print(vassal["id"].split("/")[-1].removesuffix(".ini"), vassal["pid"])
"""
# Files that are not what they are in the commit, and those that it has not.
CHANGED_SOURCES = """
import hashlib, os, subprocess, sys
repository, commit, sources = sys.argv[1:]
os.chdir(sources)
command = ["git", "-c", "safe.directory=*", "-C", repository, "ls-tree", "-r", commit]
listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
wanted = {line.split("\t")[1]: line.split()[2] for line in listed}
found = {os.path.relpath(os.path.join(top, name)) for top, _, names in os.walk(".") for name in names}
print(*(found ^ set(wanted)) - {name for name in found if name.endswith(".pyc")})
for name in found & set(wanted):
    data = open(name, "rb").read()
    if hashlib.sha1(b"blob %d\\0" % len(data) + data).hexdigest() != wanted[name]:
        print(name)
"""
# Every file that an installed package says it has, with the content that it says.
BROKEN_FILES = """
import base64, hashlib, importlib.metadata
for package in importlib.metadata.distributions():
    for file in package.files or []:
        if file.hash:
            path = file.locate()
            digest = hashlib.new(file.hash.mode, path.read_bytes()).digest() if path.exists() else b""
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
                print(path)
"""


def on_host(*command: str, check: bool = True) -> str:
    done = subprocess.run(["docker", "exec", HOST, *command], capture_output=True, text=True, check=check)
    return done.stdout.strip()


def live() -> str:
    return on_host("readlink", f"{ROOT}/current").removeprefix("releases/")


def holder() -> dict | None:
    text = on_host("cat", f"{ROOT}/deploy.lock", check=False)
    return json.loads(text) if text else None


class Run:
    """A run of ansible-playbook."""

    def __init__(self, folder: Path, version: str, *arguments: str, app: dict | None = None, **variables) -> None:
        connection = {"ansible_connection": "community.docker.docker", "ansible_user": "root"}
        connection |= {"ansible_python_interpreter": "/usr/bin/python3"}
        apps = {"django_apps": [APP | {"version": version} | (app or {})]}
        descriptor, inventory = tempfile.mkstemp(suffix=".json", dir=folder)
        with os.fdopen(descriptor, "w") as handle:
            json.dump({"all": {"hosts": {HOST: connection | apps | variables}}}, handle)
        self.output = tempfile.NamedTemporaryFile("w", dir=folder)  # noqa: SIM115
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", inventory, *arguments]
        environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_PIPELINING": "true"}
        environment |= {"PYTHONUNBUFFERED": "1"}  # else it prints nothing into a file before it ends
        self.process = subprocess.Popen(
            [*command, "emperor.web.deploy"],
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            cwd=PROJECT,
            start_new_session=True,
        )

    def kill(self) -> None:
        """The process of the playbook alone, so that what it has started goes on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ended(self) -> Run:
        self.process.wait(PATIENCE)
        return self

    @property
    def text(self) -> str:
        return Path(self.output.name).read_text()

    def going_on(self) -> str:
        """What it has printed so far; it must not have ended."""
        assert self.process.poll() is None, f"the run has ended: {self.failure}"
        return self.text

    @property
    def printed(self) -> dict:
        assert "{" in self.text, self.text
        return json.loads(self.text[self.text.index("{") :])

    @property
    def changed(self) -> int:
        self.ended()
        stats = self.printed["stats"][HOST]
        assert not stats["failures"] and not stats["unreachable"], self.failure
        return stats["changed"]

    @property
    def failure(self) -> str:
        self.ended()
        results = [task["hosts"].get(HOST, {}) for play in self.printed["plays"] for task in play["tasks"]]
        failed = [result for result in results if result.get("failed")]
        assert failed, f"it did not fail: {self.printed['stats']}"
        return json.dumps(failed[-1], ensure_ascii=False).replace('\\"', '"')


class Visitors(Prober):
    """Ask the site all the time; each answer with the release that gave it."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, pause=0.03)

    def saw(self, *releases: str) -> None:
        """All got an answer, and from no other release than these."""
        count = len(self.answers)
        assert count and set(self.answers[:count]) <= {(200, release) for release in releases}
        del self.answers[:count]


@pytest.fixture(scope="module", autouse=True)
def hold_folder():
    on_host("mkdir", "--parents", "--mode=1777", HOLD)


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    on_host("sh", "-c", f"rm -f {HOLD}/*")


@pytest.fixture
def deploy(tmp_path):
    """Start runs; those that a failed test has left are ended."""
    runs: list[Run] = []

    def start(version: str, *arguments: str, **variables) -> Run:
        runs.append(Run(tmp_path, version, *arguments, **variables))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.kill()


def hold(step: str) -> None:
    on_host("sh", "-c", f"rm -f {HOLD}/{step}.reached; touch {HOLD}/{step}")


def reached(step: str, run: Run) -> None:
    def there() -> bool:
        run.going_on()
        return bool(on_host("sh", "-c", f"ls {HOLD}/{step}.reached 2>/dev/null", check=False))

    wait_until(f"the run waits at {step}", there)


def let_go(step: str) -> None:
    on_host("rm", "--force", f"{HOLD}/{step}")


def sound_build(version: str) -> None:
    """The live release has the sources of its commit, and all that its packages say they have."""
    release = f"{ROOT}/current"
    manifest = json.loads(on_host("cat", f"{release}/release.json"))
    assert manifest["version"] == version
    assert host_python(CHANGED_SOURCES, f"{ROOT}/repo.git", manifest["revision"], f"{release}/src") == []
    assert host_python(BROKEN_FILES, python=f"{release}/venv/bin/python") == []


def sound(version: str) -> None:
    """The live release is whole: sources, packages, static files, schema; and nothing half-made is beside it."""
    release = f"{ROOT}/current"
    sound_build(version)
    for file in (f"{version}-0.txt", f"{version}-99.txt"):
        hashed = json.loads(on_host("cat", f"{release}/static/staticfiles.json"))["paths"][f"entries/{file}"]
        for name in (f"entries/{file}", hashed):
            assert on_host("stat", "--format=%s", f"{ROOT}/static/{name}") == str(
                100 * len(f"{version} {file.split('-')[1][:-4]}\n")
            )
    query = f"from entries.models import Entry; print(Entry.objects.filter(message='Migrated to {version}.').count())"
    assert on_host("guestbook-manage", "shell", "-v", "0", "-c", query) == "1", "the migration ran once"
    assert on_host("ls", "/etc/uwsgi/emperor/guestbook") == f"{live()}.ini"
    assert holder() is None
    litter = f"find {ROOT} -maxdepth 2 -name '*.tmp' -not -path '*/shared/*'"
    assert on_host("sh", "-c", litter) == ""


class Interruption:
    """Kill a run when it has come to a step: its task alone, or the playbook and then the task."""

    def __init__(self, deploy, version: str, *, playbook: bool) -> None:
        self.deploy, self.version, self.playbook = deploy, version, playbook

    def at(self, step: str) -> None:
        run = self.deploy(self.version)
        reached(step, run)
        self.kill(run)

    def kill(self, run: Run) -> None:
        # The playbook first: it must not have the time to see that its task has failed.
        if self.playbook:
            run.kill()
        kill_tasks()
        if self.playbook:
            assert holder()["pid"] == run.process.pid
        else:
            assert "failed" in run.failure
            assert holder() is None, "a play that fails gives the lock back"

    def while_building(self) -> None:
        """The installer goes on without its module, until the next run builds in the same place."""
        self.at("build")
        left = host_python(PROCESSES, "EMPEROR_STEP")
        assert left, "the installer outlives the module"
        on_host("rm", f"{HOLD}/build.reached")
        self.at("build")
        assert not set(left) & set(host_python(PROCESSES, "EMPEROR_STEP")), "the next run ends it"

    def while_retiring(self, old: str) -> None:
        """The old vassal is stopped by a signal, so that it does not end when it is told to."""
        masters = dict(zip(*[iter(host_python(VASSALS))] * 2, strict=True))
        on_host("sh", "-c", f"kill -STOP {masters[old]}")
        run = self.deploy(self.version)
        vassals = partial(on_host, "ls", "/etc/uwsgi/emperor/guestbook")
        wait_until("the old vassal is told to end", lambda: f"{old}.ini" not in vassals())
        self.kill(run)
        on_host("sh", "-c", f"kill -CONT {masters[old]}")


# "settle" does not wait: the vassal has answered then, and is watched for six seconds more.
STEPS_BEFORE_THE_SWITCH = ("git", "build", "check", "collectstatic", "migrate", "start", "settle")


@pytest.mark.parametrize(
    ("version", "playbook"),
    [
        pytest.param("v2", False, id="task"),
        pytest.param("v3", True, id="playbook and task"),
    ],
)
def test_killed_at_each_step(deploy, site, version, playbook):
    """One release, interrupted wherever it can be: each run gets past the step at which the one before it ended."""
    old = live()
    on_host("rm", "--recursive", "--force", f"{ROOT}/repo.git")  # else there is nothing left to fetch
    interrupt = Interruption(deploy, version, playbook=playbook)
    with Visitors(site) as visitors:
        for step in STEPS_BEFORE_THE_SWITCH:
            hold(step)
            interrupt.while_building() if step == "build" else interrupt.at(step)
            assert live() == old
            let_go(step)
            if step == "check":  # its Django goes on, and would be at the next step before the next run is
                wait_until("it ends", lambda: not host_python(PROCESSES, "PYTHONDONTWRITEBYTECODE"))
            visitors.saw(old)

        hold("confirm")
        interrupt.at("confirm")
        new = live()
        assert new != old, "it was killed after the rename"
        let_go("confirm")
        visitors.saw(old, new)
        if playbook:
            interrupt.while_retiring(old)
            history = [json.loads(line) for line in on_host("cat", f"{ROOT}/releases.jsonl").splitlines()]
            assert (history[-1]["release"], history[-1]["previous"], history[-1]["result"]) == (new, old, "live")
        deploy(version).changed  # noqa: B018, it fails if the run has
        assert live() == new
        visitors.saw(new)
    sound(version)
    assert deploy(version).changed == 0


def test_half_removed_release_is_not_used(deploy, site):
    """Killed while it removes the oldest release, which is then wanted again."""
    now = live()
    manifests = on_host("sh", "-c", f"for path in {ROOT}/releases/*/release.json; do tr -d '\\n' < $path; echo; done")
    finished = sorted(map(json.loads, manifests.splitlines()), key=lambda manifest: manifest["created"])
    version = {manifest["id"]: manifest["version"] for manifest in finished}
    before = json.loads(on_host("tail", "-n", "1", f"{ROOT}/releases.jsonl"))["previous"]
    oldest = next(manifest["id"] for manifest in finished if manifest["id"] not in (now, before))
    many = "import sys\nfor n in range(150000): open(f'{sys.argv[1]}/{n}', 'x').close()"
    host_python(many, f"{ROOT}/releases/{oldest}/src")
    watch = "import os, sys\nwhile os.path.exists(sys.argv[1]): pass\n" + KILLED.replace(
        "sys.argv[1]", "'EMPEROR_DEPLOY'"
    )
    command = ["docker", "exec", HOST, "/usr/bin/python3", "-c", watch, f"{ROOT}/releases/{oldest}/release.json"]
    with Visitors(site) as visitors, subprocess.Popen(command) as watcher:
        run = deploy(version[now], django_keep=0)
        assert "failed" in run.failure
        assert watcher.wait(PATIENCE) == 0
        assert holder() is None, "a play that fails gives the lock back"
        visitors.saw(now)
        assert on_host("ls", f"{ROOT}/releases/{oldest}"), "it was killed in the middle"
        assert deploy(version[oldest], django_keep=9).changed > 0
        visitors.saw(now, oldest)
    assert live() == oldest
    sound_build(version[oldest])


def test_task_of_a_killed_run_is_waited_for(deploy, site):
    """The playbook is gone, and its migration goes on: nobody else may deploy until it has ended."""
    hold("migrate")
    run = deploy("v4")
    reached("migrate", run)
    run.kill()
    refused = deploy("v4", django_lock_wait=1).failure
    assert "that run was killed, but its task still runs on the host" in refused
    assert f"pid {run.process.pid})" in refused
    waiting = deploy("v4")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.process.wait(15)
    let_go("migrate")
    assert waiting.changed > 0
    sound("v4")


def test_two_runs_at_once(deploy, site):
    """One waits or fails, by choice, and both end right."""
    old = live()
    with Visitors(site) as visitors:
        hold("migrate")
        first = deploy("v5")
        reached("migrate", first)
        refused = deploy("v4", django_lock_wait=0).failure
        mine = holder()
        assert (
            f"app guestbook is being deployed by {mine['by']} from {mine['host']} (pid {first.process.pid})" in refused
        )
        assert ", v5" in refused and "lock_wait" in refused
        assert holder() == mine
        assert deploy("v4", "--check", django_lock_wait=0).changed >= 0, "check mode needs no lock"
        second = deploy("v4")
        wait_until("the second run waits", lambda: "waiting for " in second.going_on())
        let_go("migrate")
        assert first.changed > 0
        assert second.changed > 0
        served = [json.loads(line) for line in on_host("tail", "-n", "2", f"{ROOT}/releases.jsonl").splitlines()]
        assert [(entry["version"], entry["result"]) for entry in served] == [("v5", "live"), ("v4", "live")]
        assert {entry["by"] for entry in served} == {mine["by"]}
        visitors.saw(old, served[0]["release"])
    assert live() == old
    sound("v4")


def test_run_that_was_away_too_long_does_nothing_more(deploy):
    """A lid is closed in the middle; another run takes over and ends; then the lid is opened."""
    hold("collectstatic")
    first = deploy("v5")
    reached("collectstatic", first)
    first.process.send_signal(signal.SIGSTOP)
    let_go("collectstatic")
    wait_until("its task has ended", lambda: not host_python(PROCESSES, "EMPEROR_DEPLOY"))
    refused = deploy("v4", django_lock_wait=0).failure
    assert "is being deployed by" in refused, "it may come back"
    away = "import json, sys; path = sys.argv[1]; lock = json.load(open(path)); lock['seen'] -= 301; "
    host_python(away + "json.dump(lock, open(path, 'w'))", f"{ROOT}/deploy.lock")
    assert deploy("v4", django_lock_wait=0).changed >= 0
    before = live()
    first.process.send_signal(signal.SIGCONT)
    assert "the deploy lock of app guestbook is not this run's any more" in first.failure
    assert live() == before
    sound("v4")


SECRET = "secret-of-the-hooks-9f3c"
LOG = f"{ROOT}/shared/hooks.log"
STEPS = ("check", "collectstatic", "migrate", "switch")
HOOKS = {
    f"{when}_{step}": f'echo "{when}_{step} $EMPEROR_RELEASE $(id -un) $PWD" >> "$HOME/hooks.log"'
    for step in STEPS
    for when in ("before", "after")
}


def hooked(**hooks) -> dict:
    return {"environment": {"API_TOKEN": SECRET}, "hooks": HOOKS | hooks}


def logged() -> list[list[str]]:
    lines = [line.split() for line in on_host("cat", LOG, check=False).splitlines()]
    on_host("rm", "--force", LOG)
    return lines


def test_hooks(deploy):
    old = live()
    failing = ["echo reached", 'echo "token $API_TOKEN" >&2; exit 3']

    listed = deploy("v5", "--check", "--diff", app=hooked())
    assert listed.changed > 0
    assert "before_switch: echo" in json.dumps(listed.printed)
    assert logged() == [] and live() == old

    failure = deploy("v5", app=hooked(before_switch=failing)).failure
    assert "hook before_switch: " in failure and "ended with 3: token ****" in failure and "does not go live" in failure
    assert SECRET not in failure
    assert [line[0] for line in logged()] == [name for name in HOOKS if not name.endswith("_switch")]
    assert live() == old and holder() is None

    failure = deploy("v5", app=hooked(after_switch="false")).failure
    new = live()
    assert new != old and f"release {new} is live already" in failure
    assert len(logged()) == len(HOOKS) - 1

    run = deploy("v5", app=hooked())
    assert run.changed > 0
    folder = f"{ROOT}/releases/{new}/src"
    assert logged() == [[name, new, "guestbook", folder] for name in HOOKS], "a release that was not completed"

    assert deploy("v5", app=hooked()).changed == 0
    assert logged() == []
