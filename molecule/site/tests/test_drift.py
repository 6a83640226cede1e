"""What somebody changes or removes on the host is found and put right by the next run of the playbook."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import HOST, Site, changed_by

INVENTORY = Path(os.environ["EMPEROR_PROJECT"]) / "molecule/site/inventory.yml"
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
