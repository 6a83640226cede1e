"""Look at a live site, go back, close it and pause it: each while visitors ask for its pages."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import HOST, Site, Visitors, ansible, answers, kill_tasks, wait_until

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
DOCS = (PROJECT / "docs/releases.md").read_text()
DOMAIN = "guestbook.example.com"
ROOT = "/srv/django/guestbook"
APP = {
    "name": "guestbook",
    "source": str(PROJECT / f".cache/releases-{HOST}"),
    "domains": [DOMAIN],
    "health": {"path": "/healthz"},
}
PAGE = "<title>Closed</title><p>Bin gleich zurück"


class Play:
    """A run of one of the collection's playbooks."""

    def __init__(self, folder: Path) -> None:
        self.inventory = folder / "inventory.json"
        self.app = APP | {"version": "v1"}
        self.told = ""

    def command(self, line: str) -> list[str]:
        """A command line; the inventory is the test's own."""
        hosts = {
            HOST: {
                "ansible_connection": "community.docker.docker",
                "ansible_user": "root",
                "ansible_python_interpreter": "/usr/bin/python3",
                "django_apps": [self.app],
            }
        }
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        _program, _option, _inventory, *arguments = shlex.split(line)
        return [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.inventory), *arguments]

    def __call__(self, line: str) -> dict:
        """What a command said, as the callback's JSON; with what the documentation calls the app and its parts."""
        if line.startswith("emperor.web."):
            line = f"ansible-playbook -i inventory.yml {line}"
        return ansible(*self.command(line))

    def documented(self, line: str, **names: str) -> dict:
        """Run a command of the documentation, with the names of this test."""
        assert f"\nansible-playbook -i inventory.yml {line}\n" in DOCS
        for there, here in {"shop.": "entries.", "=shop": "=guestbook", **names}.items():
            line = line.replace(there, here)
        return self(f"emperor.web.{line.removeprefix('emperor.web.')}")


@pytest.fixture(scope="module")
def play(tmp_path_factory) -> Play:
    return Play(tmp_path_factory.mktemp("play"))


def stats(said: dict) -> dict:
    return said["stats"][HOST]


def changed(said: dict) -> int:
    assert not stats(said)["failures"] and not stats(said)["unreachable"], failure(said)
    return stats(said)["changed"]


def results(said: dict) -> list[dict]:
    return [task["hosts"][HOST] for entry in said["plays"] for task in entry["tasks"] if HOST in task["hosts"]]


def failure(said: dict) -> str:
    """The message with which a run ended."""
    failed = [result for result in results(said) if result.get("failed")]
    assert failed, "it did not fail"
    found = [item for item in answers(failed[-1]) if item.get("failed")] or [failed[-1]]
    return " ".join(found[-1]["msg"].split())


def skipped(said: dict, name: str) -> bool:
    """Whether the task of that name was there, and had nothing to do."""
    tasks = [task for entry in said["plays"] for task in entry["tasks"] if task["task"]["name"].endswith(name)]
    return [task["hosts"][HOST].get("skipped", False) for task in tasks] == [True]


def shown(said: dict) -> str:
    """What a run told at its end."""
    return "\n".join([result["msg"] for result in results(said) if isinstance(result.get("msg"), list)][-1])


def gone_back(said: dict) -> dict:
    """What the module of a rollback returned."""
    (found,) = [result for result in results(said) if "migrated" in result]
    return found


def live(host) -> str:
    return host.check_output(f"basename $(readlink {ROOT}/current)")


def columns(host) -> str:
    code = "from django.db import connection as c; print(*[f.name for f in c.introspection.get_table_description("
    return host.check_output("guestbook-manage shell -v 0 -c %s", f"{code}c.cursor(), 'entries_entry')])")


def labels(status: str) -> list[str]:
    """What the lines of an app begin with."""
    return re.findall(r"^  (\w+) ", status, re.MULTILINE)


@pytest.fixture(autouse=True)
def no_lock_is_left(host):
    """Each run gives it back, a good one and one that fails."""
    yield
    assert not host.file(f"{ROOT}/deploy.lock").exists


@pytest.fixture(scope="module")
def ids(host, play) -> dict[str, str]:
    """The ids of the first two releases; the second goes live here."""
    found = {"v1": live(host)}
    play.app["version"] = "v2"
    said = play("emperor.web.deploy")
    assert changed(said) > 0
    assert skipped(said, "Give the deploy locks back"), "the last task has done it"
    play.told = shown(said)
    return found | {"v2": live(host)}


def test_a_deploy_tells_at_its_end_what_it_did(play, ids):
    (title, release, *others) = play.told.splitlines()
    assert title == f"guestbook  http://{DOMAIN}/"
    assert release == f"  release    {ids['v2']}  v2  live now  before it {ids['v1']}"
    assert re.fullmatch(r"  seconds    build [\d.]+, check [\d.]+,.* switch [\d.]+", others[-1])
    again = play("emperor.web.deploy")
    assert changed(again) == 0
    assert shown(again).splitlines() == [title, f"  release    {ids['v2']}  v2  live as before"]


# Status.


def test_status_shows_what_is_live_and_changes_nothing(host, play, ids):
    said = play.documented("emperor.web.status")
    assert changed(said) == 0
    text = shown(said)
    assert re.search(rf"live +{ids['v2']}  v2  since \d{{4}}-\d\d-\d\dT[\d:]+Z  by root", text)
    for part in (
        rf"before +{ids['v1']}  v1",
        "health +well, 200",
        "migrations +0 pending; on the way to it: entries.0009_entry_mood\n",
        rf"vassals +{ids['v2']}: 4 wo",
    ):
        assert re.search(part, text), text
    sample = re.search(r"```\n(shop  shop\.example\.com\n.+?)```", DOCS, re.DOTALL).group(1)
    assert labels(text) == labels(sample), "the page shows what people see"


def test_status_shows_an_app_whose_database_is_gone(host, play, ids):
    host.check_output(f"mv {ROOT}/shared/db.sqlite3 {ROOT}/db.sqlite3")
    try:
        said = play("emperor.web.status")
    finally:
        host.check_output(f"mv {ROOT}/db.sqlite3 {ROOT}/shared/db.sqlite3")
    assert changed(said) == 0
    assert "NOT WELL: /healthz answers 500" in shown(said)


# Going back.


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("-e app=shop", ["app shop is not among the apps of this host; it has guestbook"]),
        ("-e release=v9", ["there is no release v9", "{v1} v1 of "]),
        ("-e release={v2}", ["{v2} is live already", "{v1} v1 of "]),
        (
            "-e rollback_migrations=true",
            ["entries.0009_entry_mood: Add field mood", "allow: [entries.0009_entry_mood]"],
        ),
    ],
)
def test_rollback_that_cannot_be_is_refused(host, site, play, ids, arguments, parts):
    with Visitors(site, "/"):
        said = failure(play(f"emperor.web.rollback {arguments.format(**ids)}"))
    assert [part for part in parts if part.format(**ids) not in said] == [], said
    assert live(host) == ids["v2"]
    assert "mood" in columns(host)


def test_release_that_was_refused_is_not_gone_back_to(host, site, play, ids):
    """Only a deploy asks all of it: by its id it does not get around that."""
    play.app["environment"] = {"DEBUG": "1"}
    try:
        with Visitors(site, "/release"):
            assert "DEBUG is on" in failure(play("emperor.web.deploy"))
            refused = host.check_output(f"ls -t {ROOT}/releases").split()[0]
            said = failure(play(f"emperor.web.rollback -e release={refused}"))
    finally:
        del play.app["environment"]
    assert refused not in ids.values()
    assert f"release {refused} was never live, and a rollback goes only to one that was" in said
    assert "deploy it with version: v2 in the inventory" in said and f"{ids['v1']} v1 of " in said
    assert (live(host), json.loads(site.get("/release").text)["release"]) == (ids["v2"], ids["v2"])
    assert f"failed     {refused}" in shown(play("emperor.web.status"))


def test_rollback_is_foreseen(host, play, ids):
    said = play("emperor.web.rollback --check")
    assert changed(said) == 1
    assert f"release {ids['v1']} v1 would be live again\n" in shown(said)
    assert live(host) == ids["v2"]
    line = "emperor.web.rollback --check -e rollback_migrations=true -e allow=entries.0009_entry_mood"
    assert gone_back(play(line))["migrated"] == ["entries.0009_entry_mood (undone)"]
    assert "mood" in columns(host)


def test_rollback_to_the_release_before_and_forth(host, site, play, ids):
    with Visitors(site, "/"):
        started = time.monotonic()
        said = play.documented("emperor.web.rollback -e app=shop")
        print(f"rollback: {time.monotonic() - started:.1f} s, {shown(said)}")
        took = re.search(r"is live again after ([\d.]+) s", shown(said)).group(1)
        assert float(took) < 30, "of which Ansible's own share, that a busy machine draws out, is no part"
        assert changed(said) == 1
        assert not host.file(f"{ROOT}/deploy.lock").exists, "the task has given it back"
        assert live(host) == ids["v1"]
        assert json.loads(site.get("/release").text)["release"] == ids["v1"]
        assert "does not know: entries.0009_entry_mood" in shown(said)
        assert "mood" in columns(host)
        entry = json.loads(host.check_output(f"tail -n 1 {ROOT}/releases.jsonl"))
        told = {key: entry[key] for key in ("action", "release", "previous", "by", "result")}
        assert told == {
            "action": "rollback",
            "release": ids["v1"],
            "previous": ids["v2"],
            "by": "root",
            "result": "live",
        }
        status = shown(play("emperor.web.status"))
        assert "1 applied that the live release does not have" in status
        assert f"before     {ids['v2']}" in status
        changed(play("emperor.web.rollback"))
    assert live(host) == ids["v2"]
    assert host.check_output("ls /etc/uwsgi/emperor/guestbook") == f"{ids['v2']}.ini"


def test_rollback_that_undoes_migrations_and_applies_them(host, site, play, ids):
    line = "emperor.web.rollback -e app=shop -e rollback_migrations=true -e allow=shop.0009_item_colour"
    with Visitors(site, "/release"):
        said = play.documented(line, item_colour="entry_mood")
        assert changed(said) == 1
        assert gone_back(said)["migrated"] == ["entries.0009_entry_mood (undone)"]
        assert "does not know" not in shown(said)
        assert (live(host), "mood" in columns(host)) == (ids["v1"], False)
        assert "on the way to it: entries.0009_entry_mood (undone)" in shown(play("emperor.web.status"))
    with Visitors(site, "/"):
        said = failure(play("emperor.web.rollback -e release=v2"))
        assert "needs migrations that the database does not have: entries.0009_entry_mood. Deploy it" in said
        assert live(host) == ids["v1"]
        said = play("emperor.web.rollback -e release=v2 -e rollback_migrations=true")
        assert changed(said) == 1
        assert gone_back(said)["migrated"] == ["entries.0009_entry_mood"]
    assert (live(host), "mood" in columns(host)) == (ids["v2"], True)


def test_release_that_is_not_well_is_not_gone_back_to(host, site, play, ids):
    """Its migrations are undone before it is found out, so they come back."""
    wsgi = f"{ROOT}/releases/{ids['v1']}/src/entries/views.py"
    host.check_output(f"cp -p {wsgi} /root/views.py && sed -i 's/Entry.objects.exists()/1 \\/ 0/' {wsgi}")
    try:
        with Visitors(site, "/release"):
            line = "emperor.web.rollback -e rollback_migrations=true -e allow=entries.0009_entry_mood"
            said = failure(play(line))
    finally:
        host.check_output(f"cp -p /root/views.py {wsgi}")
    assert (
        "/healthz" in said and "answers 500" in said and f"Release {ids['v2']} of app guestbook is still live" in said
    )
    assert (live(host), "mood" in columns(host)) == (ids["v2"], True)
    assert site.get("/").status == 200
    # It has failed now, so it is not gone back to by itself.
    assert "has failed since" in failure(play("emperor.web.rollback"))


def test_named_release(host, site, play, ids):
    with Visitors(site, "/"):
        said = play.documented("emperor.web.rollback -e app=shop -e release=v1.4.1", **{"v1.4.1": "v1"})
        assert changed(said) == 1
        assert live(host) == ids["v1"]
        changed(play(f"emperor.web.rollback -e release={ids['v2']}"))


HANGING = """
try:
    import uwsgi
except ImportError:
    pass  # the check before it, which starts the app as well
else:
    __import__("time").sleep(30)
"""


def test_rollback_that_was_killed_with_the_migrations_undone(host, site, play, ids):
    """The live release is left without its columns, until the next run; the one before was about to start."""
    wsgi = f"{ROOT}/releases/{ids['v1']}/src/guestbook/wsgi.py"
    host.check_output(f"cp -p {wsgi} /root/wsgi.py && cat >> {wsgi} <<'END'{HANGING}END")
    line = (
        "ansible-playbook -i inventory.yml emperor.web.rollback -e release=v1 -e rollback_migrations=true -e allow=all"
    )
    try:
        with subprocess.Popen(play.command(line), cwd=PROJECT, stdout=subprocess.DEVNULL) as killed:
            vassal = f"/etc/uwsgi/emperor/guestbook/{ids['v1']}.ini"
            wait_until("the one before is on its way", lambda: killed.poll() or host.file(vassal).exists, 120)
            killed.kill()
        kill_tasks()
    finally:
        host.check_output(f"cp -p /root/wsgi.py {wsgi}")
    assert (live(host), "mood" in columns(host)) == (ids["v2"], False)
    assert json.loads(site.get("/release").text)["release"] == ids["v2"]
    assert host.file(f"{ROOT}/deploy.lock").exists, "nobody has given it back"

    assert play.app["version"] == "v2"
    assert changed(play("emperor.web.deploy")) > 0
    assert (live(host), "mood" in columns(host)) == (ids["v2"], True)
    assert site.get("/").status == 200
    assert host.check_output("ls /etc/uwsgi/emperor/guestbook") == f"{ids['v2']}.ini"
    with Visitors(site, "/"):
        assert changed(play("emperor.web.deploy")) == 0


# Maintenance.


ASK = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=30)
connection.request("GET", sys.argv[3], headers={"Host": sys.argv[2]})
answer = connection.getresponse()
print(answer.status, answer.getheader("Retry-After"), answer.read().decode())
"""


def ask(host, address: str, path: str) -> str:
    """Status, Retry-After and page, asked from the host: by 127.0.0.1 as itself, by its address as anybody else."""
    return host.check_output("PYTHONIOENCODING=utf-8 python3 -c %s %s %s %s", ASK, address, DOMAIN, path)


def test_closed_site(host, site, play, ids):
    on = "emperor.web.maintenance -e app=shop -e state=on"
    assert [changed(play.documented(on)) for _run in range(2)] == [1, 0]
    answer = site.get("/?a=b")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "300")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Back soon" in answer.text
    assert site.request("POST", "/", b"name=x").status == 503
    assert site.get("/.emperor/maintenance.html").status == 404, "the page has no address of its own"
    page = ask(host, "127.0.0.1", "/")
    assert page.startswith("200 None ")
    assert site.get(re.search(r"/static/\S+\.css", page).group()).status == 200
    host.check_output("systemctl restart nginx")
    assert site.get("/").status == 503
    assert "closed for maintenance" in shown(play("emperor.web.status"))


def test_deploy_to_a_closed_site_with_a_page_and_a_list(host, site, play, ids, tmp_path):
    (tmp_path / "closed.html").write_text(PAGE)
    visitor = host.check_output("ip route show default").split()[2]
    play.app |= {
        "version": "v3",
        "maintenance": {"page": str(tmp_path / "closed.html"), "retry_after": 60, "allow": [visitor]},
    }
    assert changed(play("emperor.web.deploy")) > 0
    ids["v3"] = live(host)
    assert ids["v3"] not in (ids["v1"], ids["v2"])
    assert json.loads(site.get("/release").text)["release"] == ids["v3"], "who is on the list reaches the app"
    assert ask(host, site.address, "/") == f"503 60 {PAGE}"
    off = "emperor.web.maintenance -e app=shop -e state=off"
    assert [changed(play.documented(off)) for _run in range(2)] == [1, 0]
    assert ask(host, site.address, "/healthz") == "200 None ok"


def test_migration_that_cannot_be_undone_is_refused(host, site, play, ids):
    with Visitors(site, "/"):
        said = failure(play("emperor.web.rollback -e rollback_migrations=true -e allow=all"))
        assert "0010_tidy cannot be undone" in said and "nothing was changed" in said
        assert live(host) == ids["v3"]
        assert "[X] 0010_tidy" in host.check_output("guestbook-manage showmigrations entries")
        changed(play("emperor.web.rollback"))
    assert live(host) == ids["v2"]


# Pause.

SENT = 40


def sent(site: Site, pool: ThreadPoolExecutor) -> list:
    """Requests on their way, with and without a body."""
    form = b"name=x&message=y"  # without a token, so that Django answers 403
    asked = [pool.submit(site.get, "/") for _number in range(SENT // 2)]
    return asked + [pool.submit(site.request, "POST", "/", form) for _number in range(SENT // 2)]


def answered(waiting: list) -> list[int]:
    return [future.result(timeout=60).status for future in waiting]


def test_requests_of_a_pause_are_answered_after_it(host, site, play, ids):
    with ThreadPoolExecutor(SENT + 1) as pool:
        slow = pool.submit(site.get, "/slow?seconds=3")
        time.sleep(0.5)
        said = play.documented("emperor.web.maintenance -e app=shop -e state=pause -e seconds=20", **{"=20": "=45"})
        assert changed(said) == 1
        assert slow.done() and slow.result().status == 200, "what was being worked on is finished first"
        waiting = sent(site, pool)
        status = shown(play("emperor.web.status"))
        assert "paused, 4 workers" in status and "NOT WELL: timed out" in status
        assert not any(future.done() for future in waiting)
        assert changed(play.documented("emperor.web.maintenance -e app=shop -e state=resume")) == 1
        assert answered(waiting) == [200] * (SENT // 2) + [403] * (SENT // 2)
    assert changed(play("emperor.web.maintenance -e state=resume")) == 0
    assert host.run("systemctl is-active emperor-resume-guestbook.timer").stdout.strip() == "inactive"


def test_pause_ends_by_itself_when_its_playbook_was_killed(host, site, play, ids):
    line = "ansible-playbook -i inventory.yml emperor.web.maintenance -e state=pause -e seconds=10"
    with ThreadPoolExecutor(SENT) as pool:
        killed = subprocess.Popen(
            play.command(line),
            cwd=PROJECT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not host.file("/run/emperor/guestbook.pause").exists and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        waiting = sent(site, pool)
        assert answered(waiting) == [200] * (SENT // 2) + [403] * (SENT // 2)
    time.sleep(1)
    assert not host.file("/run/emperor/guestbook.pause").exists
    with Visitors(site, "/"):
        time.sleep(1)


def test_pause_around_a_migration_that_locks_the_table(host, site, play, ids, tmp_path):
    """The playbook of the documentation, with the names of this test."""
    (text,) = re.findall(r"```yaml\n(- name: Apply migrations while requests wait\n.*?)```", DOCS, re.DOTALL)
    database = f"sqlite:///{ROOT}/shared/db.sqlite3"
    names = {"hosts: web": "hosts: all", "https://github.com/acme/shop.git": APP["source"], "v1.5.0": "v4"}
    for there, here in {**names, "{{ shop_database_url }}": database, "shop": "guestbook"}.items():
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "play.yml").write_text(text)
    play.app["version"] = "v4"
    pause = host.file("/run/emperor/guestbook.pause")
    with ThreadPoolExecutor(SENT + 1) as pool, Visitors(site, "/"):
        playing = pool.submit(play, f"ansible-playbook -i inventory.yml {tmp_path}/play.yml")
        wait_until("requests wait", lambda: playing.done() or pause.exists, 120)
        began = time.monotonic()
        waiting = [pool.submit(site.get, "/") for _number in range(SENT)]
        assert answered(waiting) == [200] * SENT
        assert time.monotonic() - began > 2, "the lock was in their way"
        said = playing.result()
    assert changed(said) > 0
    migrated = [result for result in results(said) if "plan" in result]
    assert migrated[0]["plan"][-1]["name"] == "0011_lock", "in the pause, and not by the deploy"
    assert live(host) not in ids.values()
    assert not pause.exists


def test_pause_that_would_not_end_in_time_is_refused(play, ids):
    assert "give 1 to 45" in failure(play("emperor.web.maintenance -e state=pause -e seconds=60"))
