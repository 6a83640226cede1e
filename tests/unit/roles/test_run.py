# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that gives a vassal, and manage.py, the environment of a release."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import resource
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import render

FILES = Path(__file__).resolve().parents[3] / "roles" / "uwsgi" / "files"
RUN = FILES / "run.py"
MYSELF = pwd.getpwuid(os.geteuid()).pw_name

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "SECRET_KEY": "%d %(x) $(id) $HOME `id` \\ 'q' \"Q\" #!;&|",
    "LINES_OF_TEXT": "one\ntwo\n\ttab\r\n",
    "SPACES": "  a  b  ",
    "GREETING": "é 한글",
    "EMPTY": "",
}


@pytest.fixture
def run_py():
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("run", RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def release(tmp_path):
    """A finished release of an app that is whoever runs the tests."""
    folder = tmp_path / "releases" / "3f2a9c1b-7d04e6aa"
    (folder / "src" / "web").mkdir(parents=True)
    (folder / "release.json").write_text(json.dumps({"app": MYSELF, "project": "web"}))
    (folder / "env").write_text(json.dumps(ENVIRONMENT, ensure_ascii=False), encoding="utf-8")
    return folder


def call(*arguments, **environment: str) -> subprocess.CompletedProcess:
    argv = [sys.executable, "-IS", str(RUN), *map(str, arguments)]
    return subprocess.run(argv, env=environment, capture_output=True, check=False)


def test_values_arrive_unchanged_and_nothing_else_leaks_in(release):
    outcome = call(
        release, "/usr/bin/env", "-0", PERSONAL="x", LC_ALL="POSIX", PATH="/bin", DJANGO_SETTINGS_MODULE="wrong"
    )
    assert outcome.stderr == b""
    got = dict(line.split("=", 1) for line in outcome.stdout.decode().split("\0") if line)
    assert got == ENVIRONMENT


def test_a_terminal_is_passed_on(release):
    outcome = call(release, "/usr/bin/env", TERM="xterm", COLUMNS="80", SHELL="/bin/zsh")
    lines = outcome.stdout.decode().splitlines()
    assert {"TERM=xterm", "COLUMNS=80"} <= set(lines)
    assert not [line for line in lines if line.startswith("SHELL=")]


def test_the_program_runs_in_the_project_with_its_arguments_and_status(release):
    outcome = call(release, "/bin/sh", "-c", 'pwd; umask; printf "%s\\n" "$@"; exit 3', "x", "a b", "--ini-not", "é")
    assert outcome.returncode == 3
    assert outcome.stdout.decode().splitlines() == [f"{release}/src/web", "0027", "a b", "--ini-not", "é"]


def test_a_link_to_a_release_is_followed_once(release):
    """A program that runs on while current moves must stay in the release that it started in."""
    current = release.parent.parent / "current"
    current.symlink_to("releases/3f2a9c1b-7d04e6aa")
    assert call(current, "/bin/pwd").stdout.decode().strip() == f"{release}/src/web"


def test_programs_are_found_on_the_path_of_the_release(release):
    program = release / "bin" / "hello"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    (release / "env").write_text(json.dumps({"PATH": f"{release}/bin:/usr/bin:/bin"}))
    assert call(release, "hello", PATH="/nowhere").stdout == b"hello\n"


@pytest.mark.parametrize("missing", ["release.json", "env", "src/web"])
def test_a_missing_release_is_explained(release, missing):
    os.rename(release / missing, release / "away")
    outcome = call(release, "/usr/bin/env")
    assert outcome.returncode == 1
    said = outcome.stderr.decode()
    assert f"{release}/{missing} does not exist; has the app been deployed?" in said
    assert "Traceback" not in said
    assert outcome.stdout == b""


def test_systemd_is_told_which_release_runs(release, tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(5)
        told = call(release, "env", NOTIFY_SOCKET=address)
        assert systemd.recv(100) == b"STATUS=release 3f2a9c1b-7d04e6aa"
    assert b"NOTIFY_SOCKET" not in told.stdout
    done = call(release, "echo", "hello", NOTIFY_SOCKET=f"{address}-gone")
    assert (done.stdout, b"systemd cannot be told" in done.stderr) == (b"hello\n", True)


def test_a_program_that_is_not_there_is_named(release):
    outcome = call(release, "no-such-program")
    assert outcome.returncode != 0
    said = outcome.stderr.decode()
    assert "no-such-program" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", [[], ["/srv/django/shop/current"]])
def test_too_few_arguments_show_the_usage(arguments):
    outcome = call(*arguments)
    assert outcome.returncode == 1
    assert "RELEASE PROGRAM [ARGUMENT ...]" in outcome.stderr.decode()


def somebody_else() -> pwd.struct_passwd:
    return next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()))


def test_only_root_and_the_app_itself_may_run_it(run_py, release, monkeypatch):
    other = somebody_else()
    (release / "release.json").write_text(json.dumps({"app": other.pw_name, "project": "web"}))
    monkeypatch.setattr(run_py.os, "geteuid", lambda: other.pw_uid + 1)
    monkeypatch.setattr(run_py.os, "umask", lambda _mask: 0)
    with pytest.raises(SystemExit) as end:
        run_py.main([str(release), "/usr/bin/env"])
    said = str(end.value)
    assert said == f"becoming {other.pw_name}: not permitted; run this as root (sudo) or as the app's user"


def test_an_environment_that_may_not_be_read_is_explained(run_py, release, monkeypatch):
    real = run_py.read_json

    def read_json(path):
        if path.endswith("/env"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(run_py, "read_json", read_json)
    monkeypatch.setattr(run_py.os, "umask", lambda _mask: 0)
    monkeypatch.setattr(run_py.os, "chdir", lambda _path: None)
    with pytest.raises(SystemExit, match=r"/env: not permitted; run this as root \(sudo\) or as the app's user"):
        run_py.main([str(release), "/usr/bin/env"])


def test_root_becomes_the_app_with_its_groups_before_it_is_anything_else(run_py, monkeypatch):
    """The user last: without root's rights the groups could not be given up any more."""
    calls = []
    entry = SimpleNamespace(pw_uid=2001, pw_gid=2002)
    monkeypatch.setattr(run_py.pwd, "getpwnam", lambda _name: entry)
    fake = SimpleNamespace(geteuid=lambda: 0)
    for name in ("initgroups", "setgid", "setuid", "umask"):
        setattr(fake, name, lambda *given, name=name: calls.append((name, *given)))
    monkeypatch.setattr(run_py, "os", fake)
    run_py.become("shop")
    assert calls == [("umask", 0o027), ("initgroups", "shop", 2002), ("setgid", 2002), ("setuid", 2001)]


# Vassals.


def test_the_release_of_a_vassal_is_read_from_what_the_collection_writes(run_py, tmp_path):
    ini = tmp_path / "x.ini"
    folder = "/srv/django/shop/releases/3f2a9c1b-7d04e6aa"
    ini.write_text(
        render({"env": "x"}, app="shop", release="x", folder=folder, project=".", wsgi="a:b", run="/run/emperor/shop")
    )
    assert run_py.release_of_vassal(str(ini)) == folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[uwsgi]\nset-ph = release=/srv/a\nset-ph = release=/srv/b\n", "/srv/a"),
        ("set-ph=release=/srv/a=b\n", "/srv/a=b"),
        ("set-ph = other=1\n  set-ph =  release=/srv/a  \n", "/srv/a"),
    ],
)
def test_release_of_vassal(run_py, tmp_path, text, expected):
    (tmp_path / "x.ini").write_text(text)
    assert run_py.release_of_vassal(str(tmp_path / "x.ini")) == expected


def test_a_vassal_without_a_release_is_named(run_py, tmp_path):
    (tmp_path / "x.ini").write_text("[uwsgi]\nrelease = /srv/a\n")
    with pytest.raises(SystemExit, match=r"/x.ini names no release"):
        run_py.release_of_vassal(str(tmp_path / "x.ini"))


def test_a_vassal_gets_its_environment_and_the_way_to_its_emperor(run_py, release, tmp_path, monkeypatch):
    (tmp_path / "x.ini").write_text(f"[uwsgi]\nset-ph = release={release}\n")
    started = []
    environment = {
        "UWSGI_EMPEROR_FD": "7",
        "UWSGI_VASSAL_NAME": "x.ini",
        "LANG": "C.UTF-8",
        "PERSONAL": "x",
        "TERM": "xterm",
    }
    fake = SimpleNamespace(path=os.path, environ=environment, execvp=lambda *given: started.append(given))
    monkeypatch.setattr(run_py, "os", fake)
    ini = str(tmp_path / "x.ini")
    run_py.main(["--ini", ini, "--emperor-freq", "1"])
    assert started == [("/usr/bin/uwsgi", ["/usr/bin/uwsgi", "--ini", ini, "--emperor-freq", "1"])]
    assert environment == ENVIRONMENT | {"UWSGI_EMPEROR_FD": "7", "UWSGI_VASSAL_NAME": "x.ini"}


def test_passed_on(run_py, monkeypatch):
    for name in ("TERM", "COLUMNS", "LINES", "EMPEROR_STEP"):
        monkeypatch.delenv(name, raising=False)
    assert run_py.passed_on() == {}
    passed = {"TERM": "vt100", "EMPEROR_STEP": "/srv/django/shop 4711 12345"}
    for name, value in passed.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert run_py.passed_on() == passed


def test_read_json_is_utf8_whatever_the_locale(release):
    """systemd may start it with LC_ALL=C, or with a locale that does not exist."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import run; print(ascii(run.read_json(sys.argv[2])))"
    outcome = subprocess.run(
        [sys.executable, "-c", code, str(FILES), str(release / "env")],
        env={"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.stdout.strip() == ascii(ENVIRONMENT)


def test_the_emperor_starts_it_as_the_unit_says():
    wrapper = (FILES / "vassal").read_text()
    unit = (FILES.parent / "templates" / "uwsgi-emperor@.service.j2").read_text()
    assert wrapper.startswith("#!/bin/sh\n")
    assert 'exec /usr/bin/python3 -IS /usr/local/lib/emperor/run.py "$@"\n' in wrapper
    assert "--emperor-wrapper /usr/local/lib/emperor/vassal" in unit


def test_a_vassal_may_open_as_many_files_as_the_unit_allows(run_py):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        run_py.allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
