"""Each kind of bad input is refused with what is wrong, where, and what to write instead."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HOST

PROJECT = Path(os.environ["EMPEROR_PROJECT"])
BARE = f"{HOST}-bare"
DOMAIN = "probe.example.com"
GOOD = {"name": "probe", "source": "http://{server}:8080/git/probe.git", "version": "main", "domains": [DOMAIN]}
OTHER = GOOD | {"name": "other", "domains": ["other.example.com"]}

# What is refused before anything on the host is changed: variables of the inventory, and parts of the message.
EARLY = {
    "unknown option": (
        {"django_apps": [GOOD | {"domain": "x"}]},
        ["django_apps.domain. Supported parameters include", "client_max_body_size"],
    ),
    "unknown nested option": (
        {"django_apps": [GOOD | {"health": {"url": "/"}}]},
        ["django_apps.health.url. Supported parameters include: count, path, settle, status, text"],
    ),
    "wrong type": ({"django_apps": [GOOD], "django_keep": "many"}, ["django_keep", "int"]),
    "no apps": ({"django_apps": []}, ["django_apps is empty", "name"]),
    "missing name": ({"django_apps": [{k: v for k, v in GOOD.items() if k != "name"}]}, ["missing required", "name"]),
    "missing source": (
        {"django_apps": [{k: v for k, v in GOOD.items() if k != "source"}]},
        ["app probe has no source", "source: https://github.com/acme/shop.git"],
    ),
    "missing domains": (
        {"django_apps": [{k: v for k, v in GOOD.items() if k != "domains"}]},
        ["app probe has no domains", "domains: [shop.example.com]"],
    ),
    "empty domains": (
        {"django_apps": [GOOD | {"domains": []}]},
        ["app probe has no domains", "domains: [shop.example.com]"],
    ),
    "purge of an app that stays": ({"django_apps": [GOOD | {"purge": True}]}, ["app probe has purge", "state: absent"]),
    "an app that is to stay and to go": (
        {"django_apps": [GOOD, {"name": "probe", "state": "absent"}]},
        ["the name probe is used twice, once with state: absent"],
    ),
    "sleep that is no time": ({"django_apps": [GOOD | {"sleep": -1}]}, ["sleep of app probe is -1", "900"]),
    "PROXY protocol of everybody": (
        {"django_apps": [GOOD], "nginx_proxy_protocol": True},
        ["nginx_proxy_protocol needs nginx_trusted_proxies", "[10.0.0.0/16]"],
    ),
    "figures for everybody": (
        {"django_apps": [GOOD], "uwsgi_metrics": "0.0.0.0:9117"},
        ["metrics is '0.0.0.0:9117'", "loopback", "127.0.0.1:9117"],
    ),
    "name no user can have": ({"django_apps": [GOOD | {"name": "My Shop"}]}, ["'My Shop'", "Unix user", "my-shop"]),
    "name of the system's": ({"django_apps": [GOOD | {"name": "www-data"}]}, ["www-data belongs to the system"]),
    "one name twice": ({"django_apps": [GOOD, GOOD | {"domains": ["b.example.com"]}]}, ["name probe is used twice"]),
    "one domain twice": (
        {"django_apps": [GOOD, OTHER | {"domains": [DOMAIN.upper()]}]},
        [f"domain {DOMAIN} is used twice by probe and other"],
    ),
    "domain with a scheme": (
        {"django_apps": [GOOD | {"domains": ["https://probe.example.com"]}]},
        ["'https://probe.example.com', which is no host name", "shop.example.com"],
    ),
    "revision that does not exist": (
        {"django_apps": [GOOD | {"version": "v9"}]},
        ["version v9 does not exist", "Branches and tags", "v1.0"],
    ),
    "repository that cannot be reached": (
        {"django_apps": [GOOD | {"source": "http://{server}:1/git/probe.git"}]},
        ["http://{server}:1/git/probe.git cannot be reached", "check the URL"],
    ),
    "repository that is none": (
        {"django_apps": [GOOD | {"source": "http://{server}:8080/simple/"}]},
        ["http://{server}:8080/simple/ cannot be reached", "check the URL"],
    ),
    "archive that is none": (
        {"django_apps": [GOOD | {"source": f"{PROJECT}/LICENSE", "version": None}]},
        ["LICENSE is no archive", ".tar.gz or .zip"],
    ),
    "source that does not exist": (
        {"django_apps": [GOOD | {"source": "/nowhere/shop", "version": None}]},
        ["/nowhere/shop does not exist on the controller"],
    ),
    "folder without manage.py": (
        {"django_apps": [GOOD | {"source": f"{PROJECT}/roles", "version": None}]},
        ["has no manage.py"],
    ),
    "another Python than uWSGI's": (
        {"django_apps": [GOOD | {"python_version": "3.9"}]},
        ["wants python_version 3.9", "uWSGI of this distribution runs Python"],
    ),
    "account of a person": (
        {"django_apps": [GOOD | {"name": "ann"}]},
        ["app ann: user ann exists, and somebody can log in as it", "give the app another name"],
    ),
    "root below /home": (
        {"django_apps": [GOOD], "django_root": "/home/ubuntu/sites"},
        ["/home/ubuntu/sites", "use /srv/django"],
    ),
    "writable folder below /home": (
        {"django_apps": [GOOD | {"writable": ["/home/ubuntu/files"]}]},
        ["cannot write to /home/ubuntu/files", "/srv/django/probe/shared"],
    ),
    "relative SQLite database": (
        {"django_apps": [GOOD | {"environment": {"DATABASE_URL": "sqlite:///db.sqlite3"}}]},
        ["DATABASE_URL of app probe", "inside a release", "sqlite:////srv/django/probe/shared/db.sqlite3"],
    ),
    "option that the release owns": (
        {"django_apps": [GOOD | {"uwsgi": {"chdir": "/tmp"}}]},
        ["uwsgi: chdir is set by the release itself"],
    ),
    "too few processes": (
        {"django_apps": [GOOD | {"uwsgi": {"workers": 0}}]},
        ["app probe: uwsgi: processes is 0; give a number from 1 to 1000 (worker processes)"],
    ),
    "buffer that uWSGI has no bits for": (
        {"django_apps": [GOOD | {"uwsgi": {"buffer-size": 70000}}]},
        ["uwsgi: buffer-size is 70000; give a number from 4096 to 65535"],
    ),
    "mercy that outlasts the Emperor's": (
        {"django_apps": [GOOD | {"uwsgi": {"worker-reload-mercy": 30}}]},
        ["uwsgi: worker-reload-mercy is 30; give a number from 1 to 29 (seconds)"],
    ),
    "more processes at rest than at work": (
        {"django_apps": [GOOD | {"uwsgi": {"processes": 4, "cheaper": 4}}]},
        ["uwsgi: cheaper is 4 and processes 4; cheaper has to be less, from 1 to 3"],
    ),
    "option that loads code in place": (
        {"django_apps": [GOOD | {"uwsgi": {"py-autoreload": 1}}]},
        ["uwsgi: py-autoreload cannot be given: it would load new code in place", "a new version is a new release"],
    ),
    "memory that is none": (
        {"django_apps": [GOOD | {"limits": {"memory": "1 GB"}}]},
        ["app probe: limits.memory is '1 GB'; give bytes with K, M, G or T, 64M or more"],
    ),
    "too few tasks": (
        {"django_apps": [GOOD | {"uwsgi": {"processes": 40}, "limits": {"tasks": 50}}]},
        ["app probe: limits.tasks is 50, but two releases side by side need 85", "fewer processes or threads"],
    ),
    "hook of no step": (
        {"django_apps": [GOOD | {"hooks": {"before_build": "true"}}]},
        ["app probe has a hook before_build", "use before_check, after_check"],
    ),
    "locale that is not UTF-8": ({"django_apps": [GOOD], "locale_default": "en_US"}, ["en_US", "de_DE.UTF-8"]),
    "size that Nginx does not know": ({"django_apps": [GOOD], "nginx_client_max_body_size": "20 MB"}, ["20 MB", "20m"]),
}

# What only the built release shows: what serves is left alone. Changes to the app, and parts of the message.
LATE = {
    "no manage.py": ({"version": "no-manage"}, ["no manage.py", "check source and version"]),
    "project that is elsewhere": ({"project": "backend"}, ["project backend has no manage.py"]),
    "settings that do not import": (
        {"version": "settings-do-not-import"},
        ["does_not_exist", "missing from the project's requirements"],
    ),
    "settings that do not exist": (
        {"settings": "probe.production"},
        ["probe.production cannot be imported", "settings"],
    ),
    "requirements that cannot be met": (
        {"version": "requirements-cannot-be-met"},
        ["requirements in requirements.txt cannot be installed", "django"],
    ),
    "Python that is too new": (
        {"version": "python-too-new"},
        ["requires-python", ">=3.99", "uWSGI of this distribution"],
    ),
    "DEBUG": ({"version": "debug"}, ["emperor.E001", "DEBUG is on"]),
    "database inside the release": ({"version": "database-inside"}, ["db.sqlite3 is inside a release", "DATABASE_URL"]),
    "page that fails": ({"version": "page-fails"}, ["/ (Host: probe.example.com) answers 500"]),
    "wsgi module that fails": ({"version": "wsgi-fails"}, ["RuntimeError: broken wsgi"]),
    "unknown option of uWSGI": (
        {"uwsgi": {"harakri": 1}},
        ["uwsgi: harakri: this host's uWSGI (2.0.", "has no such option; did you mean harakiri?"],
    ),
    # Docker keeps a container from changing it.
    "queue that the kernel does not give": (
        {"uwsgi": {"listen": 5000}},
        ["listen is 5000, but the kernel gives queues of 4096 at most (net.core.somaxconn)", "listen from 1 to 4096"],
    ),
    "health path that does not exist": (
        {"health": {"path": "/nope"}, "uwsgi": {"processes": 3}},
        ["answers 404", "health"],
    ),
}


# A system that the collection does not know, for one run.
UBUNTU_20_04 = 'VERSION_ID="20.04"\nID=ubuntu\nNAME=Ubuntu\n'


def host_name(case: str) -> str:
    """A name for a case of EARLY, of characters that names of hosts have."""
    return re.sub("[^A-Za-z0-9]+", "-", case)


def fill(value, server: str):
    """Put the address of the sources' server into an inventory."""
    return json.loads(json.dumps(value).replace("{server}", server))


def play(inventory: dict[str, dict], tmp_path: Path, *arguments: str, cwd: Path = PROJECT, **environment: str) -> str:
    """Run a playbook against hosts of which each is a name for a container; what it printed, as JSON."""
    connection = {"ansible_connection": "community.docker.docker", "ansible_user": "root"}
    connection |= {"ansible_python_interpreter": "/usr/bin/python3"}
    hosts = {name: connection | variables for name, variables in inventory.items()}
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": hosts}}))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(path), *arguments]
    environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_FORKS": "4"} | environment
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, cwd=cwd, check=False)
    last = [line[:300] for line in (done.stdout + done.stderr).splitlines()[-5:]]
    assert done.stdout.lstrip().startswith("{"), "\n".join(last)
    return done.stdout


def failure(printed: str, host: str) -> str:
    """All that a playbook said about why it failed for a host."""
    tasks = [task for entry in json.loads(printed)["plays"] for task in entry["tasks"]]
    failed = [task["hosts"][host] for task in tasks if task["hosts"].get(host, {}).get("failed")]
    assert failed, f"{host} did not fail"
    return " ".join(json.dumps(failed[-1], ensure_ascii=False).replace("\\n", " ").replace('\\"', '"').split())


def changed(printed: str, host: str) -> int:
    stats = json.loads(printed)["stats"][host]
    assert not stats["failures"] and not stats["unreachable"], failure(printed, host)
    return stats["changed"]


def expect(said: str, parts: list[str]) -> None:
    for part in parts:
        assert part in said


@pytest.fixture(scope="module")
def bare():
    """A second host, on which nothing has been done but to make an account for Ann."""
    lab = [sys.executable, str(PROJECT / "dev/lab.py")]
    image = os.environ.get("EMPEROR_IMAGE")
    subprocess.run([*lab, "up", BARE, *(["--image", image] if image else [])], check=True)
    subprocess.run(["docker", "exec", BARE, "useradd", "--create-home", "--shell", "/bin/bash", "ann"], check=True)
    yield BARE
    subprocess.run([*lab, "down", BARE], check=True)


def changed_files(container: str) -> set[str]:
    """What differs from the image, but for what every visit of Ansible and every boot leaves."""
    listed = subprocess.run(["docker", "diff", container], capture_output=True, text=True, check=True).stdout
    visits = ("/root/.ansible", "/tmp", "/run", "/var/log/journal", "/var/lib/systemd", "/var/tmp", "/etc/machine-id")
    parents = {"/root", "/var", "/var/lib", "/var/log", "/etc", "/usr", "/usr/lib"}
    paths = {line.split(" ", 1)[1] for line in listed.splitlines()}
    return {path for path in paths if not path.startswith(visits) and path not in parents and "__pycache__" not in path}


@pytest.fixture(scope="module")
def early(bare, address, tmp_path_factory) -> str:
    """All early refusals in one run: each has a name of its own for the one bare host."""
    before = changed_files(bare)
    hosts = {host_name(name): {"ansible_host": bare} | fill(case[0], address) for name, case in EARLY.items()}
    printed = play(hosts, tmp_path_factory.mktemp("early"), "emperor.web.site")
    assert changed_files(bare) == before, "a refusal has changed the bare host"
    return printed


@pytest.mark.parametrize("name", EARLY)
def test_bare_host_is_left_as_it_is(early, address, name):
    expect(failure(early, host_name(name)), fill(EARLY[name][1], address))


def test_unsupported_distribution(bare, tmp_path):
    edit = f"cp /usr/lib/os-release /root/os-release && printf %s {shlex.quote(UBUNTU_20_04)} > /usr/lib/os-release"
    subprocess.run(["docker", "exec", bare, "sh", "-c", edit], check=True)
    try:
        before = changed_files(bare)
        printed = play({bare: fill({"django_apps": [GOOD]}, "127.0.0.1")}, tmp_path, "emperor.web.site")
        expect(failure(printed, bare), ["Ubuntu 20.04 with systemd is not supported", "use Ubuntu 22.04 or later"])
        assert changed_files(bare) == before
    finally:
        subprocess.run(["docker", "exec", bare, "cp", "/root/os-release", "/usr/lib/os-release"], check=True)


def serving(host) -> list[str]:
    """Everything that makes the live site what it is, a line each."""
    release = host.check_output("readlink /srv/django/probe/current")
    tree = (
        "find /etc/nginx /etc/uwsgi /etc/systemd/system /usr/local/bin /usr/local/lib/emperor /srv/django/probe/shared "
        f"/srv/django/probe/static /srv/django/probe/{release} "
        # A folder in which a file came and went has another time, and is the same.
        "\\( -type d -printf '%p %m %U %G\\n' \\) -o -printf '%p %m %U %G %s %T@ %l\\n'; "
        "cat /etc/passwd /etc/group; dpkg-query -W; ls /srv/django"
    )
    return [release, *sorted(host.check_output(tree).splitlines())]


@pytest.mark.parametrize(("changes", "parts"), LATE.values(), ids=LATE)
def test_live_site_is_left_as_it_is(host, site, tmp_path, changes, parts):
    before, page = serving(host), site.get("/").body
    printed = play({HOST: fill({"django_apps": [GOOD | changes]}, "127.0.0.1")}, tmp_path, "emperor.web.deploy")
    expect(failure(printed, HOST), parts)
    assert serving(host) == before
    assert site.get("/").body == page


@pytest.mark.parametrize(
    ("version", "reason"),
    [("wsgi-fails", "RuntimeError: broken wsgi"), ("database-inside", "db.sqlite3 is inside a release")],
)
def test_refused_release_is_refused_again_and_has_failed_each_time(host, tmp_path, version, reason):
    variables = fill({"django_apps": [GOOD | {"version": version}]}, "127.0.0.1")
    for _attempt in range(2):
        printed = play({HOST: variables}, tmp_path, "emperor.web.deploy")
        expect(failure(printed, HOST), [reason])
    failed = list(map(json.loads, host.check_output("tail -n 2 /srv/django/probe/releases.jsonl").splitlines()))
    assert [entry["release"] for entry in failed] == [failed[0]["release"]] * 2
    mark = json.loads(host.check_output(f"cat /srv/django/probe/releases/{failed[0]['release']}/failed.json"))
    for noted in (*failed, mark):
        assert noted["step"] == "check" and reason in noted["reason"]


def test_good_run_after_refusals_clears_away_and_then_changes_nothing(host, tmp_path):
    variables = fill({"django_apps": [GOOD]}, "127.0.0.1")
    assert changed(play({HOST: variables}, tmp_path, "emperor.web.site"), HOST) == 1, "it removes refused releases"
    assert changed(play({HOST: variables}, tmp_path, "emperor.web.site"), HOST) == 0


def test_release_goes_live_and_back(host, site, tmp_path):
    """Another version, and the first one again: the same content is the same release, which is still there."""
    first = json.loads(site.get("/").text)
    variables = {
        version: fill({"django_apps": [GOOD | {"version": version}]}, "127.0.0.1") for version in ("v1.0", "main")
    }
    assert changed(play({HOST: variables["v1.0"]}, tmp_path, "emperor.web.deploy"), HOST) > 0
    second = json.loads(site.get("/").text)
    assert (first["mark"], second["mark"]) == ("branch main", "tag v1.0")
    assert second["environment"]["SECRET_KEY"] == first["environment"]["SECRET_KEY"]
    assert second["environment"]["VIRTUAL_ENV"] != first["environment"]["VIRTUAL_ENV"]
    assert host.check_output("ls /srv/django/probe/venvs | wc -l") == "1", "equal requirements, one environment"
    assert host.check_output("ls /etc/uwsgi/emperor/probe") == f"{second['environment']['EMPEROR_RELEASE']}.ini"
    changed(play({HOST: variables["main"]}, tmp_path, "emperor.web.deploy"), HOST)
    third = json.loads(site.get("/").text)
    first["environment"].pop("UWSGI_EMPEROR_FD"), third["environment"].pop("UWSGI_EMPEROR_FD")  # a number of uWSGI's
    assert third["environment"] == first["environment"]
    history = host.check_output("tail -n 2 /srv/django/probe/releases.jsonl").splitlines()
    assert [json.loads(line)["version"] for line in history] == ["v1.0", "main"]


def test_migration_that_destroys_data_needs_a_word(host, site, tmp_path):
    def deploy(**changes) -> str:
        variables = fill({"django_apps": [GOOD | changes]}, "127.0.0.1")
        return play({HOST: variables}, tmp_path, "emperor.web.deploy")

    changed(deploy(version="with-notes"), HOST)
    insert = "from notes.models import Note; Note.objects.create(text='kept')"
    host.check_output("probe-manage shell -v 0 -c %s", insert)
    live = host.check_output("readlink /srv/django/probe/current")
    expect(failure(deploy(version="without-notes"), HOST), ["notes.0002_drop", "Delete model Note", "allow"])
    assert host.check_output("readlink /srv/django/probe/current") == live
    assert (
        host.check_output("probe-manage shell -v 0 -c %s", "from notes.models import *; print(Note.objects.get().text)")
        == "kept"
    )
    changed(deploy(version="without-notes", allow_migrations=["notes.0002_drop"]), HOST)
    assert host.check_output("readlink /srv/django/probe/current") != live
    assert site.get("/").status == 200


def test_plain_checkout_in_any_folder(host, tmp_path):
    """Without an installed collection and away from this checkout: the playbook's file is all that is named."""
    checkout = tmp_path / "somewhere" / "else"
    left_out = shutil.ignore_patterns(".git", ".ansible", ".cache", ".venv", "__pycache__")
    shutil.copytree(PROJECT, checkout, symlinks=True, ignore=left_out)
    variables = fill({"django_apps": [GOOD | {"version": "without-notes"}]}, "127.0.0.1")
    home = {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "none")}
    printed = play({HOST: variables}, tmp_path, "playbooks/site.yml", cwd=checkout, **home)
    assert changed(printed, HOST) == 0
