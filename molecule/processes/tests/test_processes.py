"""Celery's workers and scheduler, and timers, while releases come and go: each claim is tried with a real broker."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import HOST, Site, ansible, answers, run_module, wait_until, where

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
INVENTORY = PROJECT / "molecule/processes/inventory.yml"
APP = yaml.safe_load(INVENTORY.read_text())["all"]["hosts"]["server"]["django_apps"][0]
DOMAIN = "queue.example.com"
ROOT = "/srv/django/queue"
SHARED = f"{ROOT}/shared"
UNITS = "/etc/systemd/system"
# What an Emperor sees of the folder of all vassals; processes see nothing of it.
EMPERORS = "-/etc/uwsgi/emperor/queue:/etc/uwsgi/emperor/queue:rbind "
WORKER = "django@queue:worker.service"
NAME = "é ü 한글"


def wait(what: Callable[[], object], seconds: float = 60):
    """What something gives as soon as it gives anything."""
    return wait_until("what is waited for", what, seconds)


def play(playbook: str, *arguments: str, **changes: object) -> tuple[dict, str]:
    """A run of a playbook, with other options of the app: what it counted, and all that it said."""
    apps = [APP | changes if changes.get("state") != "absent" else changes]
    variables = json.dumps({"django_apps": apps})
    said = ansible("ansible-playbook", "-i", INVENTORY, f"emperor.web.{playbook}", "-e", variables, *arguments)
    results = [task["hosts"]["server"] for one in said["plays"] for task in one["tasks"] if "server" in task["hosts"]]
    items = [item for result in results for item in (result, *answers(result))]
    messages = [one.get("msg", "") for one in items]
    return said["stats"]["server"], "\n".join("\n".join(one) if isinstance(one, list) else str(one) for one in messages)


def processes(*arguments: str, **changes: object) -> dict:
    """A run of django_processes, with other options of the app."""
    app = {"name": "queue", "writable": [SHARED], "hidden": [str(Path(ROOT).parent)]}
    app |= {"processes": APP["processes"], "timers": APP["timers"]}
    return run_module(INVENTORY, "django_processes", {"apps": [app | changes]}, *arguments)


def live(host) -> str:
    return host.check_output(f"basename $(readlink {ROOT}/current)")


def show(host, unit: str, name: str) -> str:
    return host.check_output(f"systemctl show --property={name} --value {unit}")


def pids(host) -> dict[str, str]:
    return {name: show(host, f"django@queue:{name}", "MainPID") for name in APP["processes"]}


def log(host) -> list[list[str]]:
    """What tasks and jobs have written: their key, whether they began or ended, and the release that they ran in."""
    return [line.split() for line in host.check_output(f"cat {SHARED}/tasks.log").splitlines()]


def ended(host, key: str) -> list[str]:
    """The releases in which a task has ended."""
    return [release for name, what, release in log(host) if (name, what) == (key, "ended")]


def delay(host, *words: str) -> None:
    host.check_output("queue-manage delay " + " ".join(words))


@pytest.fixture(scope="module")
def v1(host) -> str:
    """The first release, in which a job is at work that goes on for as long as the tests do."""
    host.check_output("systemctl start --no-block django@queue:hold.service")
    wait(lambda: ["hold", "began", live(host)] in log(host))
    return live(host)


@pytest.fixture(scope="module")
def v2(host, v1) -> str:
    """The second one went live while a task was at work, and another one behind it in the queue."""
    delay(host, "outlast", "long")
    wait(lambda: ["long", "began", v1] in log(host))
    delay(host, "note", "queued-before")
    stats, said = play("deploy", version="v2")
    assert not stats["failures"], said
    delay(host, "note", "queued-after")
    return live(host)


# What runs, and how.


def test_all_run_as_the_app_in_its_release_and_hardened_like_its_emperor(host, v1):
    for name in APP["processes"]:
        pid = show(host, f"django@queue:{name}", "MainPID")
        assert host.check_output(f"stat -c %U /proc/{pid}") == "queue"
        assert show(host, f"django@queue:{name}", "StatusText") == f"release {v1}"
        assert f"{ROOT}/releases/{v1}" in host.file(f"{UNITS}/django@queue:{name}.service.d/django.conf").content_string
    secret = host.file(f"{ROOT}/secret_key").content_string.strip()
    assert len(secret) > 20
    assert host.run("grep -r -e %s %s/django@*", secret, UNITS).rc == 1
    for unit in ("django@queue:worker.service", "django@queue:write.service"):
        exposure = host.check_output(f"systemd-analyze security --no-pager {unit} | tail -n 1").split()[-3]
        assert float(exposure) <= 1.5, exposure
        for name in ("TasksMax", "TemporaryFileSystem", "BindPaths"):
            assert show(host, unit, name) == show(host, "uwsgi-emperor@queue", name).replace(EMPERORS, ""), name


def test_words_of_a_command_arrive_as_they_are(host, v1):
    words = ["a  b", "%h %%n", "back\\slash\\x41", 'é "q"', ";", "$HOME", "", "it's"]
    assert host.file(f"{SHARED}/words").content_string == "".join(f"{word}|" for word in words)


def test_the_scheduler_of_celery_has_tasks_done(host, v1):
    before = len(ended(host, "tick"))
    wait(lambda: len(ended(host, "tick")) > before + 1)


# The locale.


def test_each_kind_of_process_writes_and_prints_names_of_all_scripts(host, site, v1):
    assert site.get("/write").status == 200
    assert host.check_output("queue-manage write manage") == f"manage prints {NAME}"
    delay(host, "write")
    host.check_output("systemctl start django@queue:write.service")
    for kind in ("uwsgi", "celery", "timer", "manage", "hook"):
        file = host.file(f"{SHARED}/{kind} {NAME}/{NAME}.txt")
        wait(lambda file=file: file.exists)
        assert file.content.decode("utf-8") == f"{NAME} {APP['environment']['GREETING']}", kind
        found = host.file(f"{SHARED}/{kind} {NAME}/encodings").content_string.split()
        assert found[:2] == ["utf-8", "utf-8"], kind
        assert kind == "celery" or found[2] == "utf-8"  # Celery has an object of its own there
    for unit, kind in {"uwsgi-emperor@queue": "uwsgi", WORKER: "celery", "django@queue:write": "timer"}.items():
        assert f"{kind} prints {NAME}" in host.check_output(f"journalctl --sync; journalctl -u {unit} -o cat"), kind


# Timers.


def test_a_job_never_runs_twice_at_once(host, v1):
    """It is due every two seconds and takes six."""
    wait(lambda: len(ended(host, "slow")) > 2)
    steps = [what for name, what, _release in log(host) if name == "slow"]
    assert steps == [("began", "ended")[number % 2] for number in range(len(steps))]


def test_a_job_that_fails_is_seen(host, v1):
    assert host.run("systemctl start django@queue:fail.service").rc != 0
    assert show(host, "django@queue:fail.service", "ExecMainStatus") == "3"
    assert "this job cannot be done" in host.check_output("journalctl --sync; journalctl -t queue-fail -o cat")
    assert "queue-fail[" in host.run("systemctl status --no-pager django@queue:fail.service").stdout


# Releases.


def test_a_task_at_work_is_finished_and_each_task_is_done_once(host, v1, v2):
    assert v1 != v2
    wait(lambda: ended(host, "queued-after"))
    assert ended(host, "long") == [v1]
    assert ended(host, "queued-before") == ended(host, "queued-after") == [v2]


def test_a_release_does_not_end_a_job_that_runs(host, v1, v2):
    assert show(host, "django@queue:hold.service", "ActiveState") == "activating"
    assert ["hold", "ended", v1] not in log(host)


def test_status_shows_processes_and_timers(host, v2):
    stats, said = play("status", version="v2")
    assert not stats["failures"] and not stats["changed"], said
    lines = [line.split() for line in said.splitlines()]
    for name in APP["processes"]:
        row = next(line for line in lines if line[:2] == ["process", f"{name}:"])
        assert row[2:4] == ["running", "since"] and row[5] == v2
    rows = {line[1]: " ".join(line[2:]) for line in lines if line[:1] == ["timer"]}
    assert "FAILED: ended with status 3 next 20" in rows["fail:"]
    assert "ended with status 0 next 20" in rows["write:"]
    assert "still runs next 20" in rows["hold:"]


def test_a_second_run_changes_nothing(host, v2):
    before = pids(host)
    stats, said = play("deploy", version="v2")
    assert not stats["failures"] and stats["changed"] == 0, said
    assert pids(host) == before


def test_a_release_that_fails_leaves_the_processes_alone(host, site, v2):
    before = pids(host)
    stats, said = play("deploy", version="v3")
    assert stats["failures"] and "answers 500" in said
    assert (live(host), pids(host), site.get("/").text) == (v2, before, "v2")


def test_a_release_whose_worker_dies_fails_and_the_site_is_live(host, site, v1, v2):
    stats, said = play("deploy", version="v4")
    assert stats["failures"]
    # Worker and scheduler die of the same, and whichever is noticed first is told.
    assert re.search("django@queue:(worker|beat).service did not stay up, it ended with status 2; its last lines", said)
    assert "RuntimeError: broken for Celery only ********" in said
    assert site.get("/").text == "v4"
    # The next run does not take one that systemd starts again and again for one that runs.
    again = processes()
    assert set(again["units"]) & {WORKER, "django@queue:beat.service"} and "did not stay up" in again["msg"]

    stats, said = play("rollback", "-e", "release=v2")
    assert not stats["failures"], said
    assert (live(host), site.get("/").text) == (v2, "v2")
    for name in APP["processes"]:
        assert show(host, f"django@queue:{name}", "ActiveState") == "active"
        assert f"releases/{v2}" in show(host, f"django@queue:{name}", "ExecStart")
    assert processes()["changed"] is False


def test_a_release_in_which_a_job_runs_is_kept(host, v1, v2):
    def pruned() -> dict:
        return run_module(INVENTORY, "django_release", {"name": "queue", "state": "pruned", "keep": 0})

    pruned()
    assert host.file(f"{ROOT}/releases/{v1}/release.json").exists
    host.check_output(f"touch {SHARED}/let-go")
    wait(lambda: ended(host, "hold") == [v1])
    wait(lambda: show(host, "django@queue:hold.service", "ActiveState") == "inactive")
    assert f"{ROOT}/releases/{v1}" in pruned()["removed"]


# What happens to processes, and what is done to them.


def test_a_worker_that_is_killed_comes_back(host, v2):
    before = show(host, WORKER, "MainPID")
    host.check_output(f"kill -9 {before}")
    delay(host, "note", "after-kill")
    wait(lambda: ended(host, "after-kill") == [v2])
    assert show(host, WORKER, "MainPID") != before


def test_nonsense_is_refused_before_anything_is_changed(host, v2):
    before = pids(host)
    timer = {"command": "python manage.py write timer", "schedule": "every now and then"}
    stats, said = play("deploy", version="v1", timers={"x": timer})
    assert stats["failures"] and not stats["changed"], said
    assert "systemd does not understand the schedule 'every now and then'" in said
    assert (live(host), pids(host)) == (v2, before)


def test_a_process_that_is_not_wanted_is_removed_and_one_that_changed_is_started_again(host, v2):
    kept = {name: options for name, options in APP["processes"].items() if name != "odd"}
    kept["beat"] = kept["beat"] | {"stop_timeout": 20}
    timers = {"fail": APP["timers"]["fail"]}
    before = pids(host)
    foreseen = processes("--check", processes=kept, timers=timers)
    assert pids(host) == before
    done = processes(processes=kept, timers=timers)
    assert done["changed"] and done["changes"] == foreseen["changes"], foreseen
    assert "django@queue:odd.service removed" in done["changes"]
    assert "django@queue:beat.service restarted" in done["changes"]
    assert "django@queue:slow.timer removed" in done["changes"]
    assert not [change for change in done["changes"] if "worker" in change or "fail" in change]
    now = pids(host)
    assert (now["odd"], now["worker"]) == ("0", before["worker"]) and now["beat"] != before["beat"]
    found = sorted(host.check_output(f"cd {UNITS} && ls -d django@queue:*").split())
    assert found == [f"django@queue:{name}" for name in ("beat.service.d", "fail.service.d", "fail.timer")] + [
        "django@queue:worker.service.d"
    ]
    assert "odd" not in host.check_output("systemctl list-units --all --no-legend 'django@*'")
    assert processes(processes=kept, timers=timers)["changed"] is False


def test_a_process_that_was_stopped_is_started_again(host, v2):
    host.check_output(f"systemctl stop {WORKER}")
    done = processes()
    assert f"{WORKER} started" in done["changes"]
    assert show(host, WORKER, "ActiveState") == "active"


def test_a_reboot_starts_all_again(host, v2):
    subprocess.run(["docker", "restart", HOST], check=True, capture_output=True)
    wait(lambda: host.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"))
    for name in APP["processes"]:
        wait(lambda name=name: show(host, f"django@queue:{name}", "ActiveState") == "active")
        assert f"releases/{v2}" in show(host, f"django@queue:{name}", "ExecStart")
    ready = int(show(host, "redis-server", "ActiveEnterTimestampMonotonic"))
    for unit in ("uwsgi-emperor@queue", WORKER):
        assert int(show(host, unit, "ExecMainStartTimestampMonotonic")) > ready, f"{unit} may need the broker"
    for name in APP["timers"]:
        assert show(host, f"django@queue:{name}.timer", "ActiveState") == "active"
    delay(host, "note", "after-boot")
    wait(lambda: ended(host, "after-boot") == [v2])


def test_an_app_that_is_absent_has_no_site_no_processes_and_no_timers_and_keeps_its_data(host, v2):
    site = Site(where(), DOMAIN)  # after a boot
    assert site.wait().status == 200
    wait(lambda: show(host, "django@queue:slow.service", "ActiveState") == "activating")
    # What SQLite has beside a database is there only while somebody uses it.
    data = f"ls --ignore='*-shm' --ignore='*-wal' {SHARED}"
    kept = host.check_output(data).split()
    done = len(log(host))
    gone = {"name": "queue", "state": "absent"}
    stats, said = play("deploy", **gone)
    assert not stats["failures"] and stats["changed"], said
    with pytest.raises(http.client.RemoteDisconnected):
        site.get("/")
    assert host.run(f"ls -d {UNITS}/django@queue:* {UNITS}/uwsgi-emperor@queue*").stdout == ""
    assert host.check_output("systemctl list-units --all --no-legend 'django@queue*' 'uwsgi-emperor@queue*'") == ""
    assert host.run("find /proc -maxdepth 1 -user queue").stdout == ""
    assert host.check_output(data).split() == kept and len(log(host)) >= done > 10
    stats, said = play("deploy", **gone)
    assert not stats["failures"] and not stats["changed"], said
