"""An app that sleeps, and one that goes: visitors, releases, reboots and other users meet it in every state."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import HOST, Site, Visitors, ansible, answers, where

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
DOMAIN = "shop.example.com"
ROOT = "/srv/django/shop"
SECONDS = 2
COMMON = {"source": str(PROJECT / "molecule/sleep/project"), "health": {"settle": 0}, "uwsgi": {"processes": 2}}
SHOP = {"name": "shop", "domains": [DOMAIN], "sleep": SECONDS} | COMMON
SHOP_2 = SHOP | {"environment": {"MARK": "2"}}
BLOG = {"name": "blog", "domains": ["wiki.example.com"], "path": "/blog/"} | COMMON
WIKI = {"name": "wiki", "domains": ["wiki.example.com"]} | COMMON


class Play:
    """A run of one of the collection's playbooks, with apps of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.inventory = folder / "inventory.json"

    def __call__(self, *apps: dict, playbook: str = "deploy", options: tuple[str, ...] = ()) -> dict:
        """What it said, as the callback's JSON."""
        host = {
            "ansible_connection": "community.docker.docker",
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "django_apps": list(apps),
        }
        self.inventory.write_text(json.dumps({"all": {"hosts": {HOST: host}}}))
        return ansible("ansible-playbook", "-i", self.inventory, f"emperor.web.{playbook}", *options)


@pytest.fixture
def address() -> str:
    return where()


@pytest.fixture(scope="module")
def play(tmp_path_factory) -> Play:
    return Play(tmp_path_factory.mktemp("play"))


def results(said: dict) -> list[dict]:
    return [task["hosts"][HOST] for entry in said["plays"] for task in entry["tasks"] if HOST in task["hosts"]]


def failure(said: dict) -> str:
    """The message with which a run ended; empty where it went well."""
    failed = [result for result in results(said) if result.get("failed")]
    found = [item for result in failed[-1:] for item in answers(result) if item.get("failed")] or failed[-1:]
    return " ".join(str(found[-1].get("msg")).split()) if found else ""


def changed(said: dict) -> int:
    assert not failure(said)
    assert not said["stats"][HOST]["failures"] and not said["stats"][HOST]["unreachable"], said["stats"]
    return said["stats"][HOST]["changed"]


def processes(host, user: str) -> str:
    """What runs as a user."""
    return host.run(f"find /proc -maxdepth 1 -name '[0-9]*' -user {user}").stdout.strip()


def falls_asleep(host, name: str = "shop", seconds: float = SECONDS + 25) -> None:
    """Wait until an app has nothing that runs; its socket stays."""
    deadline = time.monotonic() + seconds
    while processes(host, name) or host.run(f"systemctl is-active emperor-wake@{name}").stdout.strip() != "inactive":
        assert time.monotonic() < deadline, processes(host, name)
        time.sleep(0.2)
    assert host.run(f"systemctl is-active emperor-wake@{name}.socket").stdout.strip() == "active"


def live(host) -> str:
    return host.check_output(f"basename $(readlink {ROOT}/current)")


def wait_for_boot(host) -> None:
    deadline = time.monotonic() + 60
    while host.run("systemctl is-system-running").stdout.strip() not in ("running", "degraded"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


# Asleep and awake.


def test_asleep_nothing_of_it_runs_and_the_others_do(host):
    falls_asleep(host)
    assert processes(host, "blog")
    assert host.run("systemctl is-enabled uwsgi-emperor@shop").stdout.strip() == "disabled"
    assert host.run("systemctl is-enabled uwsgi-emperor@blog").stdout.strip() == "enabled"


def test_the_first_request_is_answered_and_the_next_ones_at_once(host, site):
    falls_asleep(host)
    started = time.monotonic()
    assert (site.get("/").status, site.get("/").text) == (200, "1")
    first = time.monotonic() - started
    started = time.monotonic()
    assert site.get("/").status == 200
    print(f"first page {first:.2f} s, the next {time.monotonic() - started:.3f} s")
    assert first < 20


def test_many_first_requests_are_all_answered(host, site):
    falls_asleep(host)
    with ThreadPoolExecutor(50) as pool:
        answers = [answer.status for answer in pool.map(lambda _number: site.get("/"), range(50))]
    assert answers == [200] * 50


def test_no_request_is_lost_while_it_falls_asleep(host, site):
    """They come around the moment at which the proxy ends, and while the Emperor stops, which takes three seconds."""
    assert host.run("systemctl is-active emperor-wake@shop.socket").stdout.strip() == "active"
    for later in (-0.01, 0, 0.01, 0.1, 1, 2.5):
        assert site.get("/").status == 200
        time.sleep(SECONDS + later)
    assert site.get("/").status == 200


def test_a_long_request_is_no_idleness(host, site):
    answer = site.get(f"/slow?seconds={SECONDS * 2 + 1}")
    assert (answer.status, answer.text) == (200, "slept")
    falls_asleep(host)


def test_only_the_web_server_may_ask(host):
    """Neither another app, nor the app itself, nor anybody else; the web server may."""
    code = "import socket; socket.socket(socket.AF_UNIX).connect('/run/emperor/shop.wake')"
    for user in ("blog", "shop", "nobody"):
        done = host.run(
            f"setpriv --reuid={user} --regid={user if user != 'nobody' else 'nogroup'} --clear-groups "
            f'python3 -c "{code}"'
        )
        assert "PermissionError" in done.stderr, user
    host.check_output(f'setpriv --reuid=www-data --regid=www-data --clear-groups python3 -c "{code}"')


def test_the_way_to_it_is_hardened(host):
    said = host.check_output("systemd-analyze security --no-pager emperor-wake@shop.service | tail -1")
    assert float(said.split(":")[1].split()[0]) <= 1.5, said


def test_the_playbook_says_that_it_sleeps(host, play):
    falls_asleep(host)
    said = play(SHOP, playbook="status")
    text = "\n".join(results(said)[-1]["msg"])
    assert "vassals    asleep" in text
    assert "health     not asked, as that would wake it" in text
    assert processes(host, "shop") == ""


def test_a_pause_wakes_it_and_keeps_it_awake(host, play, site):
    falls_asleep(host)
    options = ("-e", "app=shop", "-e", "seconds=40")
    assert changed(play(SHOP, playbook="maintenance", options=("-e", "state=pause", *options))) == 1
    time.sleep(SECONDS * 3)
    assert processes(host, "shop")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(site.get, "/")
        assert changed(play(SHOP, playbook="maintenance", options=("-e", "state=resume", *options))) == 1
        assert waiting.result().status == 200
    falls_asleep(host)


def test_after_a_boot_it_sleeps_until_it_is_asked(host):
    subprocess.run(["docker", "restart", "--time", "60", HOST], check=True, capture_output=True)
    wait_for_boot(host)
    assert processes(host, "shop") == ""
    assert processes(host, "blog")
    assert Site(where(), DOMAIN).wait().status == 200
    falls_asleep(host)


def test_a_proxy_that_is_killed_comes_back(host, site):
    assert site.get("/").status == 200
    host.check_output("systemctl kill --signal=KILL emperor-wake@shop.service")
    assert site.wait().status == 200
    falls_asleep(host)


# Figures.


def figures(host) -> dict[str, float]:
    """What Prometheus would read."""
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9117/metrics', timeout=10).read().decode())"
    lines = [line for line in host.check_output(f'python3 -c "{code}"').splitlines() if line[:1] not in ("#", "")]
    return {name: float(value) for name, _space, value in (line.rpartition(" ") for line in lines)}


def total(found: dict[str, float], metric: str, *labels: str) -> float:
    return sum(
        value
        for name, value in found.items()
        if name.startswith(f"{metric}{{") and all(label in name for label in labels)
    )


def test_figures_of_all_apps_and_none_is_woken_for_them(host, address):
    falls_asleep(host)
    before = figures(host)
    assert (before['emperor_up{app="shop"}'], before['emperor_asleep{app="shop"}']) == (0, 1)
    assert (before['emperor_up{app="wiki"}'], before['emperor_asleep{app="wiki"}']) == (1, 0)
    assert processes(host, "shop") == ""
    wiki = Site(address, "wiki.example.com")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wiki.get, "/slow?seconds=6")
        time.sleep(1.5)
        meanwhile = figures(host)
        assert waiting.result().status == 200
    for _number in range(5):
        wiki.get("/")
    after = figures(host)
    assert total(meanwhile, "emperor_workers", 'app="wiki"', 'state="busy"') == 1
    assert total(after, "emperor_workers", 'app="wiki"', 'state="busy"') == 0
    assert total(after, "emperor_workers", 'app="wiki"') == 2
    mine = 'app="wiki"'
    assert total(after, "emperor_requests_total", mine) - total(before, "emperor_requests_total", mine) == 6
    assert 6 < total(after, "emperor_busy_seconds_total", mine) - total(before, "emperor_busy_seconds_total", mine) < 9
    assert total(after, "emperor_memory_bytes", mine) > 10 << 20
    live_one = host.check_output("basename $(readlink /srv/django/wiki/current)")
    assert total(after, "emperor_workers", mine, f'release="{live_one}"') == 2


def test_an_app_cannot_have_the_figures_asked_of_another_ones_socket(host):
    """Nor stall them, with a link, with a socket that says nothing, or with nonsense."""
    target = host.check_output("ls /run/emperor/wiki/*.sock")
    code = (
        "import os, socket, time; os.chdir('/run/emperor/blog'); os.umask(7); os.symlink('" + target + "', 'x.stats')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('y.stats'); s.listen(); time.sleep(30)"
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(host.run, "setpriv --reuid=blog --regid=blog --clear-groups timeout 15 python3 -c %s", code)
        time.sleep(2)
        began = time.monotonic()
        found = figures(host)
        assert time.monotonic() - began < 8
    host.check_output("rm /run/emperor/blog/x.stats /run/emperor/blog/y.stats")
    assert found['emperor_up{app="blog"}'] == found['emperor_up{app="wiki"}'] == 1
    assert not [name for name in found if 'release="x"' in name or 'release="y"' in name]


def test_who_tells_the_figures_is_hardened(host):
    said = host.check_output("systemd-analyze security --no-pager emperor-metrics.service | tail -1")
    assert float(said.split(":")[1].split()[0]) <= 1.5, said
    assert "127.0.0.1:9117" in host.check_output("systemctl show --property=Listen emperor-metrics.socket")


# Releases.


def test_a_broken_release_leaves_the_one_before_to_wake(host, play, site):
    falls_asleep(host)
    before = live(host)
    assert "broken on purpose" in failure(play(SHOP | {"environment": {"BROKEN": "1"}}))
    assert live(host) == before
    falls_asleep(host)
    assert site.get("/").text == "1"


def test_a_release_goes_live_while_it_sleeps_and_longer_than_it_stays_awake(host, play, site):
    """Nobody asks for four times as long in the middle of the switch, and the Emperor has to stay."""
    falls_asleep(host)
    before = live(host)
    assert changed(play(SHOP_2 | {"health": {"settle": SECONDS * 4}}))
    assert live(host) != before
    falls_asleep(host)
    assert site.get("/").text == "2"


def test_sleep_is_turned_off_and_on_while_visitors_come(host, play, site):
    with Visitors(site, "/"):
        assert changed(play({name: value for name, value in SHOP_2.items() if name != "sleep"}))
        assert not host.file("/run/emperor/shop.wake").exists
        assert not host.file("/etc/systemd/system/emperor-wake@shop.socket").exists
        assert host.run("systemctl is-enabled uwsgi-emperor@shop").stdout.strip() == "enabled"
    time.sleep(SECONDS * 2)
    assert processes(host, "shop")
    with Visitors(site, "/"):
        assert changed(play(SHOP_2))
    falls_asleep(host)


def test_a_second_run_changes_nothing_and_wakes_nobody(host, play, site):
    began = host.check_output("systemctl show --property=ActiveEnterTimestampMonotonic uwsgi-emperor@shop")
    assert changed(play(SHOP_2)) == 0
    assert host.check_output("systemctl show --property=ActiveEnterTimestampMonotonic uwsgi-emperor@shop") == began
    assert processes(host, "shop") == ""
    assert site.get("/").text == "2"


# Apps that go.


def traces(host, name: str) -> list[str]:
    """What the host has of an app besides its data."""
    paths = (
        f"/etc/nginx/sites-enabled/emperor-{name}.conf /etc/uwsgi/emperor/{name} /run/emperor/{name} "
        f"/run/emperor/{name}.wake /usr/local/bin/{name}-manage /etc/systemd/system/uwsgi-emperor@{name}.service.d "
        f"/etc/systemd/system/emperor-wake@{name}.* /etc/systemd/system/*.wants/*@{name}.* /etc/emperor-tls/{name}.pem "
        f"/srv/django/{name}/current /srv/django/{name}/releases /srv/django/{name}/venvs /srv/django/{name}/static"
    )
    return host.run(f"ls -d {paths} 2>/dev/null").stdout.split()


GONE = {"name": "wiki", "state": "absent"}
REFUSING = "/run/systemd/system/uwsgi-emperor@wiki.service.d"


@pytest.fixture(scope="module")
def kept() -> str:
    """What a visitor of the wiki has left there, and what only its secret key can sign."""
    return Site(where(), "wiki.example.com").get("/note").text


def test_check_mode_says_what_would_go(host, address, play, kept):
    assert kept.startswith("1 visitor:")
    said = play(GONE, options=("--check", "--diff"))
    assert changed(said)
    (task,) = [result for result in results(said) if "retired" in result.get("results", {})]
    told = task["results"]["retired"]
    assert "uwsgi-emperor@wiki.service stopped" in told["changes"]
    assert "manage.py of the live release of wiki" in "".join(part["before"] for part in task["diff"])
    assert "/srv/django/wiki/releases removed" in told["changes"]
    assert not [line for line in told["changes"] if "shared" in line or "user" in line]
    assert Site(address, "wiki.example.com").get("/").status == 200


def test_an_app_that_does_not_stop_is_said_and_the_next_run_goes_on(host, address, play, kept):
    wiki, blog = Site(address, "wiki.example.com"), Site(address, "wiki.example.com")
    host.check_output(f"mkdir -p {REFUSING} && printf '[Unit]\\nRefuseManualStop=yes\\n' > {REFUSING}/refuse.conf")
    host.check_output("systemctl daemon-reload")
    with Visitors(blog, "/blog/"):
        said = play(GONE, BLOG)
        assert "app wiki: uwsgi-emperor@wiki.service does not stop: " in failure(said)
        assert "Its files and its data are as they were" in failure(said)
        assert wiki.get("/").status == 404, "it is taken out of Nginx first"
        host.check_output(f"rm -r {REFUSING} && systemctl daemon-reload")
        assert changed(play(GONE, BLOG))
    assert (traces(host, "wiki"), processes(host, "wiki")) == ([], "")
    assert host.check_output("ls /srv/django/wiki").split() == ["releases.jsonl", "secret_key", "shared"]
    assert changed(play(GONE)) == 0


def test_it_comes_back_and_finds_its_data_and_finishes_what_it_does_when_it_goes_again(host, address, play, kept):
    back = WIKI | {"domains": ["back.example.com"]}
    wiki = Site(address, "back.example.com")
    assert changed(play(back))
    assert wiki.get("/note").text == kept.replace("1", "2", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wiki.get, "/slow?seconds=20")
        time.sleep(1)
        assert changed(play(GONE))
        assert waiting.result().text == "slept"
    assert traces(host, "wiki") == []


def test_purge_removes_data_and_user_once_nothing_runs_as_it(host, play, site):
    """Of an app that sleeps, and of one that has gone already."""
    wiki, shop = GONE | {"purge": True}, {"name": "shop", "state": "absent", "purge": True}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(host.run, "setpriv --reuid=wiki --regid=wiki --clear-groups sleep 300")
        time.sleep(1)
        said = play(wiki)
        host.check_output(f"kill {Path(processes(host, 'wiki')).name}")
    assert "(sleep 300) still runs as user wiki; end it and run again. Its data is as it was" in failure(said)
    assert host.file("/srv/django/wiki/shared/media").exists
    assert site.get("/").status == 200
    assert changed(play(wiki, shop))
    for name in ("wiki", "shop"):
        assert traces(host, name) == []
        assert not host.file(f"/srv/django/{name}").exists
        assert (host.user(name).exists, host.group(name).exists) == (False, False)
    assert changed(play(wiki, shop, {"name": "never-there", "state": "absent"})) == 0
