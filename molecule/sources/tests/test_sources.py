"""Each kind of source and of requirements ends in a site that runs the right revision."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Site

TRICKY = "100% %h $(id) `id` ${HOME} 'single' \"double\" # hash ; semicolon \\ é ü 한글\nsecond line "
MARKS = {
    "branch": "branch main",
    "commit": "first commit",
    "tag": "tag v1.0",
    "locked": "tar.gz with uv.lock",
    "alone": "zip with pyproject.toml",
    "pip-file": "branch main",
    "pip-alone": "zip with pyproject.toml",
}


def shown(address: str, app: str) -> dict:
    answer = Site(address, f"{app}.example.com").get("/")
    assert answer.status == 200
    return json.loads(answer.text)


@pytest.mark.parametrize(("app", "mark"), MARKS.items(), ids=MARKS)
def test_right_revision_is_live(address, app, mark):
    page = shown(address, app)
    assert page["mark"] == mark
    assert page["django"].startswith("5.2.")


@pytest.mark.parametrize("app", MARKS)
def test_app_runs_in_its_own_environment(host, address, app):
    environment = shown(address, app)["environment"]
    assert environment["VIRTUAL_ENV"] == f"/srv/django/{app}/releases/{environment['EMPEROR_RELEASE']}/venv"
    assert environment["ALLOWED_HOSTS"] == f"{app}.example.com"
    assert environment["HOME"] == f"/srv/django/{app}/shared"
    assert "SUDO_USER" not in environment and "proxy" not in str(environment).lower()


def test_environment_arrives_unchanged_in_a_worker(address):
    assert shown(address, "branch")["environment"]["TRICKY"] == TRICKY


def test_secret_key_of_each_app_is_its_own(address):
    keys = {shown(address, app)["environment"]["SECRET_KEY"] for app in MARKS}
    assert len(keys) == len(MARKS)


def test_another_database_than_sqlite(host, address):
    assert Site(address, "database.example.com").get("/healthz").text == "ok"
    plan = host.check_output("database-manage showmigrations --plan")
    assert "[X]  entries.0008_entry_message_not_empty" in plan and "[ ]" not in plan
    query = "runuser --user postgres -- psql --no-align --tuples-only --command %s guestbook"
    assert int(host.check_output(query, "SELECT count(*) FROM django_migrations")) > 20
    assert not host.file("/srv/django/database/shared/db.sqlite3").exists


def test_equal_requirements_share_an_environment_between_releases(host):
    assert host.check_output("ls /srv/django/branch/venvs | wc -l") == "1"


def test_build_went_through_the_proxy(host):
    log = host.check_output("journalctl --unit source-server --no-pager")
    assert "CONNECT git.emperor.test:8443" in log


SECRETS = [
    "p@ss/word-of-the-source",
    "p%40ss%2Fword-of-the-source",
    "-----BEGIN OPENSSH PRIVATE KEY",
    "p@ss of the database",
    "p%40ss%20of%20the%20database",
]


def test_most_talkative_run_shows_no_secret():
    """With -vvv Ansible prints each command that it sends, as the host's list of processes would show it."""
    scenario = Path(__file__).parents[1]
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-vvv", "-i", str(scenario / "inventory.yml")]
    done = subprocess.run([*command, str(scenario / "converge.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "module_args" in done.stdout
    assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []


@pytest.mark.parametrize("secret", SECRETS[:4])
def test_credentials_are_left_nowhere(host, secret):
    # The source server's own program and the keys of sshd are no leaks.
    places = "/etc /run /srv/django /tmp /root /var /usr/local"
    search = f"grep -rlF --exclude=source_server.py --exclude='ssh_host_*' -e %s {places}"
    assert host.run(search, secret).stdout == ""
    assert secret not in host.check_output("journalctl --no-pager --all --output verbose")


def test_accepted_host_key_is_kept(host):
    assert "ssh-ed25519" in host.file("/srv/django/tag/known_hosts").content_string
