# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import grp
import io
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _build, _files, _git, _process, _prune, _room
from ansible_collections.emperor.web.plugins.module_utils._build import Builder, WantsArchive
from ansible_collections.emperor.web.plugins.module_utils._module_django_release import ARGUMENTS
from ansible_collections.emperor.web.plugins.module_utils._outcome import mark
from ansible_collections.emperor.web.plugins.module_utils._process import Result, UserError
from ansible_collections.emperor.web.plugins.module_utils._prune import prune, remove
from ansible_collections.emperor.web.plugins.module_utils._release import Manifest
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import UwsgiError

MYSELF = pwd.getpwuid(os.geteuid()).pw_name
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PROJECT = {
    "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
    "shop/wsgi.py": "application = get_wsgi_application()\n",
    "shop/settings.py": "",
    "requirements.txt": "Django\n",
}


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    """What belongs to root or to the app's user on a host belongs to whoever runs the tests."""

    def ensure_directory(path, *, mode, uid=0, gid=0, dry_run=False):
        return _files.ensure_directory(path, mode=mode, uid=os.geteuid(), gid=os.getegid(), dry_run=dry_run)

    def write_atomic(path, text, *, mode=0o644, uid=-1, gid=-1):
        _files.write_atomic(path, text, mode=mode)

    monkeypatch.setattr(_build, "ensure_directory", ensure_directory)
    monkeypatch.setattr(_build, "write_atomic", write_atomic)

    def run(argv, **options):
        return Result(argv, 0, "", "") if "compileall" in argv else _process.run(argv, **options)

    monkeypatch.setattr(_build, "run", run)  # compiling takes time
    monkeypatch.setattr(os, "chown", lambda *_arguments, **_options: None)
    monkeypatch.setattr(_build, "served_python", lambda: None)
    monkeypatch.setattr(_build._virtualenv, "python_version", lambda _python: HERE)  # to start it often takes time


class App:
    """An app that is built with a stand-in for uv."""

    def __init__(self, folder, repository) -> None:
        self.folder, self.repository = folder, repository
        self.root = folder / "srv"
        self.uv = folder / "uv"
        self.calls = folder / "uv-calls"
        self.install("exit 0")

    def install(self, action: str) -> None:
        self.uv.write_text(
            f'#!/bin/sh\necho "$@" >> {self.calls}\n'
            'if [ "$1" = venv ]; then\n'
            'for target; do :; done; mkdir -p "$target/bin"; touch "$target/bin/python"; exit\n'
            "fi\n"
            f"{action}\n"
        )
        self.uv.chmod(0o755)

    def builder(self, *, check: bool = False, environment: dict | None = None, **changes) -> Builder:
        options = {name: argument.get("default") for name, argument in ARGUMENTS.items()}
        options |= {
            "name": MYSELF,
            "root": str(self.root),
            "source": self.repository.url,
            "uv": str(self.uv),
            "python": sys.executable,
            "web_group": grp.getgrgid(os.getegid()).gr_name,
            "run_directory": "/run/emperor/shop",
            "timeout": 60,
        }
        return Builder(options | changes, environment or {}, check)

    def present(self, **changes) -> dict:
        builder = self.builder(**changes)
        builder.check()
        return builder.present()

    def pruned(self, *, check: bool = False, keep: int = 3) -> dict:
        return prune(self.builder().layout, keep, check_mode=check, timeout=60)

    def tree(self) -> dict[str, tuple]:
        """All below the app's folder, with modes and times of change."""
        return {
            str(path.relative_to(self.root)): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ino)
            for path in self.root.rglob("*")
        }


@pytest.fixture
def app(tmp_path, repository):
    repository.commit(PROJECT)
    return App(tmp_path, repository)


def test_a_release_is_built_once(app):
    assert app.present(check=True)["changed"]
    assert not app.root.exists()
    built = app.present()
    assert built["changed"]
    before = app.tree()
    again = app.present()
    assert again == built | {"changed": False}
    assert app.present(check=True) == again
    assert app.tree() == before


def test_check_mode_foretells_the_release(app):
    app.present(version="main")
    foretold = app.present(check=True, environment={"A": "1"})
    before = app.tree()
    assert foretold["changed"]
    assert app.tree() == before
    built = app.present(environment={"A": "1"})
    assert (foretold["release"], foretold["path"]) == (built["release"], built["path"])
    assert (foretold["settings"], built["settings"]) == ("", "shop.settings")


def test_what_a_release_consists_of(app):
    commit = app.repository.git("rev-parse", "HEAD")
    result = app.present(environment={"GREETING": "é %d $(x)\n", "STATIC_ROOT": "/my/static"})
    release = app.root / "releases" / result["release"]
    assert result == {
        "changed": True,
        "release": result["release"],
        "revision": commit,
        "live": "",
        "path": str(release),
        "project": f"{release}/src",
        "virtualenv": f"{release}/venv",
        "environment_file": f"{release}/env",
        "pending": True,
        "settings": "shop.settings",
        "wsgi": "shop.wsgi:application",
    }
    assert os.readlink(release / "live.sock") == f"/run/emperor/shop/{result['release']}.sock"
    assert (release / "venv" / "bin" / "python").exists()
    assert stat.S_IMODE((release / "env").stat().st_mode) == 0o640
    assert stat.S_IMODE((release / "src" / "manage.py").stat().st_mode) == 0o640
    assert stat.S_IMODE((release / "src").stat().st_mode) == 0o750
    key = (app.root / "secret_key").read_text().strip()
    assert stat.S_IMODE((app.root / "secret_key").stat().st_mode) == 0o600
    assert len(key) >= 50
    assert json.loads((release / "env").read_text()) == {
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "DJANGO_SECRET_KEY": key,
        "EMPEROR_RELEASE": result["release"],
        "EMPEROR_REVISION": commit,
        "GREETING": "é %d $(x)\n",
        "HOME": f"{app.root}/shared",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "MEDIA_ROOT": f"{app.root}/shared/media",
        "PATH": f"{release}/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "SECRET_KEY": key,
        "STATIC_ROOT": "/my/static",
        "VIRTUAL_ENV": f"{release}/venv",
    }
    manifest = json.loads((release / "release.json").read_text())
    assert (manifest["id"], manifest["revision"]) == (result["release"], commit)
    assert key not in (release / "release.json").read_text()


def test_the_sources_are_compiled_because_the_app_may_not_write_beside_them(app, monkeypatch):
    monkeypatch.setattr(_build, "run", _process.run)
    assert os.listdir(f"{app.present()['project']}/shop/__pycache__")


def test_folders_with_data_are_not_listed_by_others(app):
    app.present()
    modes = {
        name: stat.S_IMODE((app.root / name).stat().st_mode)
        for name in ("shared", "shared/media", "shared/protected", "cache", "static")
    }
    assert modes == {
        "shared": 0o711,
        "shared/media": 0o2750,
        "shared/protected": 0o2750,
        "cache": 0o700,
        "static": 0o755,
    }


@pytest.mark.parametrize(
    "change", [{"environment": {"A": "1"}}, {"uwsgi": {"processes": 3}}], ids=["environment", "number of workers"]
)
def test_a_setting_alone_is_another_release_on_the_same_virtual_environment(app, change):
    first = app.present()
    second = app.present(**change)
    assert second["changed"]
    assert first["release"] != second["release"]
    assert first["revision"] == second["revision"]
    assert os.path.realpath(first["virtualenv"]) == os.path.realpath(second["virtualenv"])
    assert app.calls.read_text().count("pip install") == 1


def test_other_requirements_are_another_virtual_environment(app):
    first = app.present()
    before, venv = app.tree(), os.path.realpath(first["virtualenv"])
    app.repository.commit({"requirements.txt": "Django\ngunicorn\n"})
    second = app.present()
    assert first["revision"] != second["revision"]
    assert venv != os.path.realpath(second["virtualenv"])
    now, theirs = app.tree(), (f"venvs/{os.path.basename(venv)}", f"releases/{first['release']}")
    old = {path: state for path, state in before.items() if path.startswith(theirs)}
    assert f"{theirs[0]}/bin/python" in old
    assert {path: now.get(path) for path in old} == old, "what the live release runs with is as it was"


def test_a_secret_key_that_is_given_is_used(app):
    result = app.present(environment={"SECRET_KEY": "mine", "DJANGO_SECRET_KEY": "mine"})
    with open(result["environment_file"], encoding="utf-8") as env:
        assert json.load(env)["SECRET_KEY"] == "mine"
    assert not (app.root / "secret_key").exists()


def test_an_interrupted_build_is_built_again(app):
    result = app.present(check=False)
    release = app.root / "releases" / result["release"]
    (release / "release.json").unlink()
    (release / "src" / "left.py").write_text("")
    assert app.present()["changed"]
    assert not (release / "src" / "left.py").exists()
    assert (release / "release.json").exists()


def test_a_failed_build_leaves_nothing_that_looks_finished(app):
    app.install("echo No matching distribution found for Djagno >&2; exit 1")
    for _run in range(2):
        with pytest.raises(SourceError, match="requirements.txt cannot be installed: No matching distribution found"):
            app.present()
        assert os.listdir(app.root / "releases") == []
        assert os.listdir(app.root / "venvs") == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda release: (release / "env").write_text("{}"), id="environment"),
        pytest.param(lambda release: (release / "env").chmod(0o644), id="mode of the environment"),
        pytest.param(lambda release: (release / "venv").unlink(), id="link"),
        pytest.param(lambda release: (release / "static").rmdir(), id="folder"),
    ],
)
def test_damage_is_repaired(app, damage):
    release = app.root / "releases" / app.present()["release"]
    damage(release)
    assert app.present(check=True)["changed"]
    assert app.present()["changed"]
    assert not app.present()["changed"]
    assert stat.S_IMODE((release / "env").stat().st_mode) == 0o640


def test_a_missing_environment_file_is_repaired_too(app):
    release = app.root / "releases" / app.present()["release"]
    (release / "env").unlink()
    assert app.present(check=True)["changed"]
    assert app.present()["changed"]
    assert (release / "env").exists()


def test_a_virtual_environment_that_is_gone_is_built_again(app):
    result = app.present()
    venv = os.path.realpath(result["virtualenv"])
    os.rename(venv, app.folder / "away")
    assert app.present()["release"] == result["release"]
    assert os.path.realpath(result["virtualenv"]) == venv


def test_the_settings_of_the_environment_win(app):
    result = app.present(environment={"DJANGO_SETTINGS_MODULE": "shop.production"})
    assert result["settings"] == "shop.production"


def test_an_empty_folder_that_git_cannot_hold_is_empty(app):
    app.repository.commit({"media/.gitkeep": "", "kept/.gitkeep": "", "kept/x": ""})
    sources = app.root / "releases" / app.present()["release"] / "src"
    assert os.listdir(sources / "media") == []
    assert sorted(os.listdir(sources / "kept")) == [".gitkeep", "x"]


def test_requirements_at_the_top_serve_a_project_further_down(app):
    moved = {f"web/{name}": text for name, text in PROJECT.items() if name != "requirements.txt"}
    app.repository.commit(moved | {"manage.py": None, "shop/wsgi.py": None})
    result = app.present()
    assert result["project"] == f"{result['path']}/src/web"
    app.repository.commit({"web/requirements.txt": "Django\n# beside manage.py\n"})
    assert os.path.realpath(app.present()["virtualenv"]) != os.path.realpath(result["virtualenv"])


# Too little room.


def test_a_build_without_room_is_refused_before_it_writes(app, monkeypatch):
    built = app.present()
    monkeypatch.setattr(_room, "RESERVE", _room.Room(1 << 60, 0))
    assert app.present() == built | {"changed": False}, "there is nothing to build"
    before = app.tree()
    assert app.present(check=True, environment={"A": "1"})["changed"]
    with pytest.raises(_room.RoomError, match="is not built, as the file system of .*/srv/releases has"):
        app.present(environment={"A": "1"})
    with pytest.raises(_room.RoomError):  # and not WantsArchive: nothing is sent
        app.present(source="/controller/shop", revision="f" * 64)
    assert app.tree() == before


def test_room_for_a_virtual_environment_is_wanted_where_one_is_built(app, monkeypatch):
    app.present()
    ask = os.statvfs
    none = SimpleNamespace(f_bavail=0, f_frsize=4096, f_favail=0, f_files=1)
    monkeypatch.setattr(os, "statvfs", lambda path: none if path.endswith("/venvs") else ask(path))
    assert app.present(environment={"A": "1"})["changed"], "the one that is there serves"
    before = kept(app), os.listdir(app.root / "venvs")
    app.repository.commit({"requirements.txt": "Django\nrequests\n"})
    with pytest.raises(_room.RoomError, match="is not built, as the file system of .*/srv/venvs has 0 MB"):
        app.present()
    assert (kept(app), os.listdir(app.root / "venvs")) == before


# What cannot work.


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"root": "/home/me/shop"},
            "root /home/me/shop is below /home/, where the web server cannot enter; use a folder such as",
        ),
        ({"root": "/root/shop"}, "is below /root/"),
        (
            {"python_version": "3.8"},
            f"wants python_version 3.8, but uWSGI of this distribution runs Python {HERE} only",
        ),
    ],
)
def test_what_cannot_work_is_refused(app, options, problem):
    with pytest.raises(SourceError) as error:
        app.builder(**options).check()
    assert problem in str(error.value)


@pytest.mark.parametrize("wanted", [HERE, f"{HERE}.1"])
def test_the_python_that_there_is_may_be_wanted(app, wanted):
    app.builder(python_version=wanted).check()


def test_another_python_than_uwsgi_has_is_refused(app, monkeypatch):
    monkeypatch.setattr(_build, "served_python", lambda: "3.4")
    with pytest.raises(SourceError, match=rf"\({HERE}\), but uWSGI of this distribution runs Python 3.4 only"):
        app.present()


def test_the_sources_may_refuse_this_python(app):
    app.repository.commit({"pyproject.toml": '[project]\nrequires-python = ">=3.99"\n'})
    with pytest.raises(
        SourceError, match=rf"wants Python >=3.99 \(requires-python in its pyproject.toml\), .* {HERE} only"
    ):
        app.present()
    assert os.listdir(app.root / "releases") == []


def test_bad_uwsgi_options_are_refused_before_anything_is_made(app):
    with pytest.raises(UwsgiError, match="uwsgi: socket is set by the release itself"):
        app.present(uwsgi={"socket": "/tmp/x"})
    assert not app.root.exists()


@pytest.mark.parametrize("changes", [{"name": "no-such-user-here"}, {"web_group": "no-such-group-here"}])
def test_user_and_group_have_to_exist_outside_check_mode(app, changes):
    assert app.present(check=True, **changes)["changed"]
    with pytest.raises(UserError, match="the app's user and the web server's group have to exist first"):
        app.present(**changes)
    assert not app.root.exists()


# Archives.


def packed(folder, files: dict[str, str]) -> str:
    path = folder / "source.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"shop-1.0/{name}")
            member.size = len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))
    return str(path)


def test_local_sources_are_asked_for_only_when_they_are_needed(app):
    given = {"source": "/controller/shop", "revision": "f" * 64}
    with pytest.raises(WantsArchive):
        app.present(**given)
    assert app.present(check=True, **given)["changed"]
    archive = packed(app.folder, PROJECT)
    built = app.present(**given, archive=archive)
    assert built["release"].startswith("ffffffff-")
    assert app.present(**given) == built | {"changed": False}


def test_an_archive_is_downloaded_with_the_login_that_the_url_had(app, http_server):
    with open(packed(app.folder, PROJECT), "rb") as archive:
        data = archive.read()
    wanted = "Basic " + base64.b64encode(b"us@er:pa$s").decode()

    def answer(request):
        if request.headers["Authorization"] == wanted:
            return 200, {}, data
        return 401, {"WWW-Authenticate": 'Basic realm="files"'}, b""

    with http_server(answer) as url:
        result = app.present(source=f"{url}/shop-1.0.tar.gz", login="us%40er:pa%24s")
    assert result["changed"]
    assert (app.root / "releases" / result["release"] / "src" / "manage.py").exists()


def test_an_archive_by_url_is_a_release(app, http_server):
    with open(packed(app.folder, PROJECT), "rb") as archive:
        data = archive.read()
    with http_server(lambda _request: (200, {}, data)) as url:
        result = app.present(source=f"{url}/shop-1.0.tar.gz")
        assert not app.present(source=f"{url}/shop-1.0.tar.gz")["changed"]
    assert (app.root / "releases" / result["release"] / "src" / "shop" / "settings.py").exists()


def test_a_download_that_fails_is_named(app, http_server):
    answers = [(404, {}, b""), (200, {}, b"<!DOCTYPE html>")]
    with http_server(lambda _request: answers.pop(0)) as url:
        with pytest.raises(SourceError, match=r"shop.zip cannot be downloaded: HTTP Error 404: Not Found; check the"):
            app.present(source=f"{url}/shop.zip")
        with pytest.raises(SourceError, match=r"source http://.*/shop.zip is no archive"):
            app.present(source=f"{url}/shop.zip")


# Removing.


RELEASES = [f"{number}{number}aaaaaa-00000000" for number in range(5)]


def finished(app, *revisions: str) -> None:
    """Finished releases: two share an environment, each has static files of its own, and the first ones were live."""
    layout = app.builder().layout
    for number, (name, revision) in enumerate(zip(RELEASES, revisions, strict=True)):
        venv = app.root / "venvs" / f"venv-{number // 2}"
        venv.mkdir(parents=True, exist_ok=True)
        fields = dict.fromkeys(["version", "source", "settings", "wsgi", "requirements", "python"], "x")
        for folder in (app.root / "releases" / name / "static", app.root / "static"):
            (folder / "sub").mkdir(parents=True, exist_ok=True)
            (folder / "sub" / f"{number}.css").write_text("")
            (folder / "all.css").write_text("")
        os.symlink(f"/run/nowhere/{name}.sock", app.root / "releases" / name / "live.sock")
        Manifest(
            id=name, app=MYSELF, revision=revision, project=".", venv=str(venv), created=float(number), **fields
        ).write(layout.release(name))
    for name in (RELEASES[1], RELEASES[0]):
        _files.replace_link(layout.current, f"releases/{name}")
        layout.record({"release": name, "result": "live"})


@pytest.fixture
def five(tmp_path):
    app = App(tmp_path, SimpleNamespace(url="https://git.example.com/shop.git"))
    finished(app, *(digit * 40 for digit in "01234"))
    return app


def kept(app) -> list[str]:
    return sorted(os.listdir(app.root / "releases"))


def test_old_releases_are_removed_with_what_was_only_theirs(five):
    (five.root / "static" / "foreign.css").write_text("")
    foretold = five.pruned(check=True, keep=1)
    before = five.tree()
    assert foretold["changed"]
    assert five.tree() == before
    result = five.pruned(keep=1)
    assert result == foretold
    assert result["live"] == RELEASES[0]
    gone = [f"releases/{name}" for name in RELEASES[2:4]]
    gone += ["static/foreign.css", "static/sub/2.css", "static/sub/3.css", "venvs/venv-1"]
    assert result["removed"] == [f"{five.root}/{path}" for path in gone]
    assert kept(five) == [RELEASES[0], RELEASES[1], RELEASES[4]]
    assert sorted(os.listdir(five.root / "static" / "sub")) == ["0.css", "1.css", "4.css"]
    assert sorted(os.listdir(five.root / "venvs")) == ["venv-0", "venv-2"]
    assert not five.pruned(keep=1)["changed"]


def test_the_last_good_release_stays_when_the_one_before_has_failed(five):
    """So that there is a way back, also when few are kept."""
    layout = five.builder().layout
    for name in RELEASES[::-1]:
        layout.record({"release": name, "result": "live"})

    def left() -> list[str]:
        return sorted(set(kept(five)) - {os.path.basename(path) for path in five.pruned(check=True, keep=0)["removed"]})

    assert left() == RELEASES[:2]
    mark(layout, RELEASES[1], "it was too slow", "probation")
    assert left() == RELEASES[:3]
    mark(layout, RELEASES[2], "so was this", "check")
    assert left() == [*RELEASES[:2], RELEASES[3]]
    shutil.rmtree(layout.release(RELEASES[3]))
    assert left() == [*RELEASES[:2], RELEASES[4]], "one that is gone is no way back"


def test_what_is_removed_only_in_part_is_not_finished(five, monkeypatch):
    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(_prune.shutil, "rmtree", killed)
    Path(five.root, "venvs/venv-1", ".emperor.json").touch()
    foretold = five.pruned(check=True, keep=1)["removed"]
    for path in foretold:
        if os.path.isdir(path):
            with pytest.raises(KeyboardInterrupt):
                remove(path)
    layout = five.builder().layout
    assert [bool(layout.manifest(name)) for name in RELEASES] == [True, True, False, False, True]
    assert not Path(five.root, "venvs/venv-1", ".emperor.json").exists()


def test_a_release_is_pending_until_it_is_deployed_to_the_end(app):
    first = app.present(environment={"A": "1"})
    assert first["pending"] and app.present(environment={"A": "1"})["pending"]
    _files.replace_link(app.builder().layout.current, f"releases/{first['release']}")
    assert app.present(environment={"A": "1"})["pending"], "the run may have died after the switch"
    assert app.present(check=True, environment={"A": "1"})["pending"]
    app.pruned(check=True)
    assert app.present(environment={"A": "1"})["pending"]
    app.pruned()
    assert not app.present(environment={"A": "1"})["pending"]
    assert app.present(check=True, environment={"A": "2"})["pending"]


def test_commits_of_removed_releases_are_forgotten(app):
    """At the first time and at later ones, when Git has packed its refs; else the mirror only grows."""
    commits = [app.repository.commit() for _number in RELEASES]
    finished(app, *commits)
    mirror = app.builder().layout.mirror
    for commit in commits:
        _git.fetch(app.builder().access, commit, mirror)

    def remembered() -> set[str]:
        listed = subprocess.run(
            ["git", "-C", mirror, "for-each-ref", "--format=%(objectname)"], capture_output=True, check=True, text=True
        )
        return set(listed.stdout.split())

    for keep in (3, 2, 1):
        app.pruned(keep=keep)
        assert remembered() == {manifest.revision for manifest in app.builder().layout.finished()}


def test_enough_to_keep_removes_nothing(five):
    assert five.pruned(keep=5) == {"changed": False, "removed": [], "live": RELEASES[0]}


def test_keeping_none_keeps_what_is_live_and_what_was_before(five):
    five.pruned(keep=0)
    assert kept(five) == RELEASES[:2]


def test_a_release_with_a_socket_is_kept(five):
    link = five.root / "releases" / RELEASES[2] / "live.sock"
    link.unlink()
    link.write_text("")
    five.pruned(keep=1)
    assert RELEASES[2] in kept(five)


def test_what_was_never_finished_is_removed(five):
    (five.root / "releases" / "half-built").mkdir()
    assert five.pruned(keep=5)["removed"] == [f"{five.root}/releases/half-built"]


def test_an_app_that_was_never_built_has_nothing_to_remove(app):
    assert app.pruned() == {"changed": False, "removed": [], "live": ""}
