"""What somebody changes or removes on the host is found and put right by the next run of the playbook."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import HOST, Site, ansible, changed_by

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
INVENTORY = PROJECT / "molecule/site/inventory.yml"
# What the collection writes, but for what is made once: code, packages, keys, data and the history of an app.
MANAGED = """
find /etc/nginx/nginx.conf /etc/nginx/emperor /etc/nginx/sites-enabled /etc/uwsgi/emperor /etc/ssh/sshd_config.d \
  /etc/systemd/system/*emperor@* /etc/systemd/system/django@.service /etc/default/locale /usr/local/bin \
  /usr/local/lib/emperor/* /etc/needrestart/conf.d/emperor.conf -maxdepth 2 -type f -not -path '*/uv-*'
readlink -f /etc/default/locale
find /srv/django/*/releases/*/env -type f
"""
# Those that were collected; the project has one in STATIC_ROOT as well.
STATIC = "find /srv/django/*/static -type f -not -name '.emperor*' -not -name hand-made.txt"
LINKS = """
find /etc/systemd/system -path '*.wants/*emperor@*' -type l
find /srv/django/*/current /srv/django/*/releases/*/live.sock /srv/django/*/releases/*/src -type l
"""
READ = """
import hashlib, json, os, sys
found = {}
for path in sys.stdin.read().splitlines():
    try:
        state = os.lstat(path)
        content = os.readlink(path) if os.path.islink(path) else hashlib.sha256(open(path, "rb").read()).hexdigest()
        found[path] = [oct(state.st_mode), state.st_uid, state.st_gid, content]
    except FileNotFoundError:
        found[path] = None
json.dump(found, sys.stdout)
"""


ALL_APPS = yaml.safe_load(INVENTORY.read_text())["all"]["hosts"]["server"]["django_apps"]


def call(*argv: str, given: str = "") -> str:
    """What a program on the host says."""
    command = ["docker", "exec", "--interactive", HOST, *argv]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def state(paths: list[str]) -> dict[str, list | None]:
    """Permissions, owner, group and digest or target of each file and link; none of one that is not there."""
    return json.loads(call("/usr/bin/python3", "-c", READ, given="\n".join(paths)))


def test_a_site_that_keeps_nginx_from_starting_is_put_right(address):
    """And so are the files of the role nginx with it."""
    broken, other = "/etc/nginx/sites-enabled/emperor-shop.conf", "/etc/nginx/nginx.conf"
    before = state([broken, other])
    call("sh", "-c", f"echo 'server {{' >> {broken}; echo '# drift' >> {other}; systemctl stop nginx")
    assert changed_by("emperor.web.site", INVENTORY) > 0
    assert state([broken, other]) == before
    assert Site(address, "shop.example.com").wait().status in (200, 301)
    assert changed_by("emperor.web.site", INVENTORY) == 0


def test_a_site_that_is_no_app_is_not_forgotten_where_the_apps_are_settled(address, tmp_path):
    own = {"name": "own", "domains": ["own.example.com"], "root": "/srv/own"}
    for changes, entry in ((True, own), (False, own), (True, {"name": "own", "state": "absent"})):
        beside = tmp_path / "beside.yml"
        beside.write_text(json.dumps({"all": {"hosts": {"server": {"nginx_sites": [entry]}}}}))
        said = ansible("ansible-playbook", "-i", INVENTORY, "-i", beside, "emperor.web.site")["stats"]["server"]
        assert not said["failures"] and (said["changed"] > 0) == changes
        there = state(["/etc/nginx/sites-enabled/emperor-own.conf"]).popitem()[1]
        assert (there is not None) == ("domains" in entry)
    assert changed_by("emperor.web.site", INVENTORY) == 0


@pytest.mark.parametrize(
    ("what", "drift"),
    [
        ((MANAGED, STATIC), "echo '# drift' >> \"$path\""),
        ((MANAGED,), 'chmod 0666 "$path"'),
        ((MANAGED, STATIC, LINKS), 'rm "$path"'),
    ],
    ids=["edited", "writable for all", "removed"],
)
def test_next_run_puts_it_right(address, what, drift):
    """All of it at once; the edits are such that Nginx and uWSGI would run with them, but a manifest is broken."""
    paths = sorted(set(call("sh", "-c", "\n".join(what)).splitlines()))
    assert len(paths) >= 40
    before = state(paths)
    call("sh", "-c", f"while read -r path; do {drift}; done", given="\n".join([*paths, ""]))
    assert all(before[path] != now for path, now in state(paths).items())
    assert changed_by("emperor.web.site", INVENTORY) > 0
    assert {path: now for path, now in state(paths).items() if now != before[path]} == {}
    assert changed_by("emperor.web.site", INVENTORY) == 0, "a second run"
    for domain in ("shop.example.com", "behind.example.com", "sealed.example.com"):
        assert Site(address, domain).wait().status in (200, 301)


OTHER_APPS = re.compile("|".join(app["name"] for app in ALL_APPS if app["name"] != "shop"))
# What playbooks/site.yml does to find out whether anything is to do, while one file is not as it should be.
COMPARE = """
- name: Change it, and remember how it was
  ansible.builtin.shell: cp -a "$path" /root/aside && {{ item.drift }}
  environment: {path: "{{ item.path }}"}
- name: Compare
  ansible.builtin.include_role:
    name: emperor.web.django
    tasks_from: validate
- name: Note what was not noticed
  ansible.builtin.set_fact:
    overlooked: "{{ overlooked + [item.path] * __django_is_settled }}"
- name: Put it back
  ansible.builtin.shell: rm -f "$path" && mv /root/aside "$path"
  environment: {path: "{{ item.path }}"}
"""


def test_each_of_it_is_noticed_alone(address, tmp_path):
    """A run ends early where nothing is found to do, so what is overlooked then would never be put right."""
    drifts = [(MANAGED, "echo '# drift' >> \"$path\""), (LINKS, 'rm "$path"')]
    # Of the apps one is enough: each has the same files.
    todo = [
        {"path": path, "drift": drift}
        for what, drift in drifts
        for path in sorted(set(call("sh", "-c", what).split()))
        if not OTHER_APPS.search(path)
    ]
    changed_by("emperor.web.site", INVENTORY)  # which has waited until static files are old enough to be remembered
    assert len(todo) >= 20
    (tmp_path / "compare.yml").write_text(COMPARE)
    (play,) = yaml.safe_load((PROJECT / "playbooks/site.yml").read_text())
    play["vars"]["overlooked"] = []
    play["pre_tasks"] = [
        {"name": "Compare as it is", **yaml.safe_load(COMPARE)[1]},
        {"name": "Note it", "ansible.builtin.set_fact": {"as_it_is": "{{ __django_asked.differs }}"}},
        {"name": "Each", "ansible.builtin.include_tasks": "compare.yml", "loop": todo},
        {
            "name": "Tell",
            "ansible.builtin.debug": {"msg": {"before": "{{ as_it_is }}", "overlooked": "{{ overlooked }}"}},
        },
        {"name": "Go no further", "ansible.builtin.meta": "end_host"},
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    said = ansible("ansible-playbook", "-i", INVENTORY, tmp_path / "play.yml")
    assert not said["stats"]["server"]["failures"], json.dumps(said, indent=1)[-3000:]
    told = [task for task in said["plays"][0]["tasks"] if task["task"]["name"] == "Tell"]
    assert told[0]["hosts"]["server"]["msg"] == {"before": [], "overlooked": []}
    assert changed_by("emperor.web.site", INVENTORY) == 0, "all of it was put back"
