# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tarfile
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.emperor.web.plugins.action.django_release import ActionModule
from ansible_collections.emperor.web.plugins.module_utils._source import (
    SourceError,
    file_digest,
    folder_files,
    folder_revision,
    pack_folder,
)
from ansible_collections.emperor.web.plugins.plugin_utils._release import LocalSource, split_login

PROJECT = {"manage.py": "", "shop/settings.py": "", "shop/é.py": ""}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://github.com/acme/shop.git", ("https://github.com/acme/shop.git", "")),
        ("https://user:to%40ken@github.com/acme/shop.git", ("https://github.com/acme/shop.git", "user:to%40ken")),
        ("http://token@git.example.com/shop.zip", ("http://git.example.com/shop.zip", "token")),
        ("https://user:p@ss@git.example.com/shop.git", ("https://git.example.com/shop.git", "user:p@ss")),
        ("https://git.example.com/a@b/shop.git", ("https://git.example.com/a@b/shop.git", "")),
        ("git@github.com:acme/shop.git", ("git@github.com:acme/shop.git", "")),
        ("ssh://git@github.com/acme/shop.git", ("ssh://git@github.com/acme/shop.git", "")),
    ],
)
def test_split_login(source, expected):
    assert split_login(source) == expected


# Sources on the controller.


@pytest.fixture
def folder(tmp_path):
    """A project that is no Git work tree."""
    path = tmp_path / "shop"
    for name, content in (PROJECT | {".env": "SECRET_KEY=x", "venv/x": ""}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return path


def names_in(archive: str) -> list[str]:
    with tarfile.open(archive) as tar:
        return sorted(member.name for member in tar if not member.isdir())


def test_a_folder_is_taken_as_it_is(folder, tmp_path):
    source = LocalSource(str(folder), None)
    assert source.revision == folder_revision(str(folder), sorted(PROJECT))
    assert names_in(source.pack(str(tmp_path))) == sorted(PROJECT)
    (folder / "shop" / "new.py").write_text("")
    assert LocalSource(str(folder), None).revision != source.revision


def test_a_work_tree_is_taken_with_what_is_not_committed(repository, tmp_path):
    repository.commit(PROJECT | {".gitignore": "secrets.py\n"})
    for name in ("secrets.py", "new.py"):
        (repository.path / name).write_text("")
    source = LocalSource(str(repository.path), None)
    assert names_in(source.pack(str(tmp_path))) == sorted([*PROJECT, ".gitignore", "new.py"])


def test_a_version_of_a_work_tree_is_what_was_committed(repository, tmp_path):
    first = repository.commit(PROJECT)
    repository.git("tag", "--annotate", "--message=x", "v1")
    second = repository.commit({"more.py": ""})
    (repository.path / "dirty.py").write_text("")
    for version, revision in {"v1": first, "main": second, first[:10]: first, second: second}.items():
        assert LocalSource(str(repository.path), version).revision == revision
    packed = LocalSource(str(repository.path), "v1").pack(str(tmp_path))
    assert names_in(packed) == sorted(PROJECT)


def test_a_version_of_a_folder_below_the_top(repository, tmp_path):
    commit = repository.commit({f"web/{name}": content for name, content in PROJECT.items()} | {"README": ""})
    source = LocalSource(str(repository.path / "web"), "main")
    assert source.revision == commit
    assert names_in(source.pack(str(tmp_path))) == sorted(PROJECT)


@pytest.mark.parametrize("version", ["v9", "--help", "deadbeef"])
def test_a_version_that_is_not_there_is_named(repository, version):
    repository.commit(PROJECT)
    with pytest.raises(SourceError) as error:
        LocalSource(str(repository.path), version)
    assert f"version {version} does not exist in source {repository.path}; give a branch, tag or commit" in str(
        error.value
    )


def test_a_version_of_a_folder_without_git_says_to_leave_it_out(folder):
    with pytest.raises(SourceError, match="or leave version out to take the folder as it is"):
        LocalSource(str(folder), "main")


def test_an_archive_is_sent_as_it_is(folder, tmp_path):
    archive = str(tmp_path / "shop.tar.gz")
    pack_folder(str(folder), folder_files(str(folder)), archive)
    source = LocalSource(archive, None)
    assert source.revision == file_digest(archive).hexdigest()
    assert source.pack("/nowhere") == archive


def test_a_missing_source_says_what_to_give(tmp_path):
    with pytest.raises(
        SourceError, match=r"/nowhere does not exist on the controller; give a Git URL, an archive or a fold"
    ):
        LocalSource(str(tmp_path / "nowhere"), None)


def test_a_file_that_is_no_archive_is_refused(folder):
    with pytest.raises(
        SourceError, match=r"manage.py is no archive; give a .tar.gz or .zip file, a folder, or a Git URL"
    ):
        LocalSource(str(folder / "manage.py"), None)


@pytest.mark.parametrize("kind", ["folder", "version", "archive"])
def test_a_source_without_a_project_is_refused(repository, tmp_path, kind):
    repository.commit({"README": "", "docs/not_manage.py": ""})
    archive = str(tmp_path / "shop.tar.gz")
    pack_folder(str(repository.path), ["README"], archive)
    path = archive if kind == "archive" else str(repository.path)
    with pytest.raises(SourceError, match="has no manage.py, so it is no Django project; give the project's folder"):
        LocalSource(path, "main" if kind == "version" else None)


@pytest.mark.parametrize("version", [None, "main"])
def test_submodules_are_refused_as_they_are_in_a_repository_by_url(repository, version):
    """Else a release would silently be without their files."""
    repository.commit(PROJECT | {".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib\n'})
    with pytest.raises(SourceError, match="submodules"):
        LocalSource(str(repository.path), version)


# The action.


class Host:
    """What the plugin does to a host: calls of the module, and files that are sent."""

    def __init__(self, answers: list[dict]) -> None:
        self.answers = answers
        self.calls: list[dict] = []
        self.sent: list[list[str]] = []


@pytest.fixture
def action(monkeypatch, tmp_path):
    """Run the plugin with arguments; returns its result and what happened to the host."""

    def run(arguments: dict, *answers: dict) -> tuple[dict, Host]:
        host = Host(list(answers) or [{"changed": False}])
        plugin = ActionModule.__new__(ActionModule)
        plugin._task = SimpleNamespace(args=arguments, async_val=False, environment=None)
        plugin._playbook = os.getppid()
        shell = SimpleNamespace(tmpdir="/remote/tmp", join_path=os.path.join)
        plugin._connection = SimpleNamespace(_shell=shell)

        def execute(module_args, task_vars):
            holder = module_args.pop("holder")
            assert holder["pid"] == os.getppid()
            assert plugin._task.environment == [{"EMPEROR_DEPLOY": holder["token"]}]
            host.calls.append(dict(module_args))
            return dict(host.answers.pop(0))

        def transfer(local, remote):
            host.sent.append(names_in(local))
            return remote

        monkeypatch.setattr(ActionBase, "run", lambda _self, _tmp, _task_vars: {})
        monkeypatch.setattr(plugin, "_execute_module", execute)
        monkeypatch.setattr(plugin, "_transfer_file", transfer)
        monkeypatch.setattr(plugin, "_make_tmp_path", lambda: None)
        return plugin.run(task_vars={}), host

    return run


def test_a_login_is_moved_out_of_the_source(action):
    _result, host = action({"name": "shop", "source": "https://user:t0ken@github.com/acme/shop.git"})
    assert host.calls == [{"name": "shop", "source": "https://github.com/acme/shop.git", "login": "user:t0ken"}]


@pytest.mark.parametrize(
    "arguments", [{"name": "shop", "state": "pruned"}, {"name": "shop", "source": "git@x.org:shop.git"}]
)
def test_other_calls_are_passed_on_as_they_are(action, arguments):
    result, host = action(arguments, {"changed": True})
    assert host.calls == [arguments]
    assert result["changed"] is True


def test_a_folder_that_the_host_has_built_is_not_sent(action, folder):
    result, host = action({"name": "shop", "source": str(folder)}, {"changed": False, "release": "x"})
    assert result["release"] == "x"
    assert host.sent == []
    revision = folder_revision(str(folder), sorted(PROJECT))
    assert host.calls == [{"name": "shop", "source": str(folder), "revision": revision, "archive": None}]


def test_a_folder_that_the_host_has_to_build_is_sent_once(action, folder):
    answers = {"changed": False, "wants_archive": True}, {"changed": True, "release": "x"}
    result, host = action({"name": "shop", "source": str(folder)}, *answers)
    assert host.sent == [sorted(PROJECT)]
    assert [call["archive"] for call in host.calls] == [None, "/remote/tmp/source-0"]
    assert result["changed"] is True
    assert "wants_archive" not in result


def test_a_relative_folder_and_a_home_are_understood(action, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    for written in ("shop", "./shop/", "~/shop"):
        _result, host = action({"name": "shop", "source": written})
        assert host.calls[0]["source"] == str(folder)


def test_a_bad_source_fails_before_the_host_is_asked(action, tmp_path):
    result, host = action({"name": "shop", "source": str(tmp_path / "nowhere")})
    assert result["failed"] is True
    assert result["msg"].startswith(f"app shop: source {tmp_path}/nowhere does not exist on the controller")
    assert host.calls == []
