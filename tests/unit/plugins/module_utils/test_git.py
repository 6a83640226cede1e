# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os
import re
import shutil
import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _git
from ansible_collections.emperor.web.plugins.module_utils._git import (
    Access,
    CannotTell,
    export,
    fetch,
    has_commit,
    parse_advertisement,
    remote_refs,
    resolve,
)
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError

NOWHERE = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def mirror(tmp_path):
    """Where a mirror is going to be."""
    return str(tmp_path / "app" / "repo.git")


# What a version means.


def test_a_branch_a_tag_and_the_default_branch_are_commits(repository, mirror):
    first = repository.commit({"manage.py": "1"})
    repository.git("tag", "v1")
    second = repository.commit({"manage.py": "2"})
    repository.git("tag", "--annotate", "--message=two", "v2")
    repository.git("branch", "feature/x", first)
    access = Access(repository.url)
    assert repository.git("rev-parse", "v2") != second  # the tag is an object of its own
    expected = {"v1": first, "v2": second, "feature/x": first, "main": second, None: second, "HEAD": second}
    expected["refs/heads/feature/x"] = first
    assert {version: resolve(access, version, mirror) for version in expected} == expected
    assert not os.path.exists(mirror)


def test_a_tag_wins_over_a_branch_of_the_same_name(repository, mirror):
    tagged = repository.commit()
    repository.git("tag", "stable")
    repository.commit()
    repository.git("branch", "stable")
    assert resolve(Access(repository.url), "stable", mirror) == tagged


def test_a_whole_commit_id_is_itself(repository, mirror):
    first = repository.commit()
    repository.commit()
    assert resolve(Access(repository.url), first, mirror) == first


def test_a_commit_that_is_here_already_needs_no_repository(repository, mirror):
    commit = repository.commit({"manage.py": ""})
    fetch(Access(repository.url), commit, mirror)
    shutil.rmtree(repository.path)
    assert resolve(Access(repository.url), commit, mirror) == commit
    fetch(Access(repository.url), commit, mirror)  # and asks for nothing


def test_a_missing_version_lists_what_there_is(repository, mirror):
    commit = repository.commit()
    repository.git("tag", "--annotate", "--message=x", "v1")
    repository.git("branch", "develop")
    with pytest.raises(SourceError) as error:
        resolve(Access(repository.url), commit[:10], mirror)
    message = str(error.value)
    assert f"version {commit[:10]} does not exist in {repository.url}" in message
    assert "all its 40 digits" in message
    assert message.endswith("Branches and tags: develop, main, v1")


def test_a_long_list_of_versions_is_cut(repository, mirror):
    repository.commit()
    for number in range(30):
        repository.git("branch", f"b{number:02}")
    with pytest.raises(SourceError, match=r"b00, b01, .*b09 …$"):
        resolve(Access(repository.url), "nope", mirror)


def test_an_empty_repository_has_no_default_branch(repository, mirror):
    with pytest.raises(SourceError, match="has no default branch; give version, a branch, tag or commit"):
        resolve(Access(repository.url), None, mirror)


def test_a_repository_that_is_not_there_is_named(tmp_path, mirror):
    with pytest.raises(SourceError, match=r"source file://.*/nowhere cannot be reached; check the URL. Git says: "):
        resolve(Access(f"file://{tmp_path}/nowhere"), "main", mirror)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("git@github.com: Permission denied (publickey).", "check deploy_key and known_hosts"),
        ("Host key verification failed.", "check deploy_key and known_hosts"),
        ("fatal: could not read Username for 'https://github.com'", "deploy_key, or user and token in the URL"),
        ("HTTP Error 401: Unauthorized", "the repository wants a login"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", "wants a login"),
        ("ssh: Could not resolve hostname git.example.com: Name or service not known", "check the URL, the network"),
        ("fatal: unable to access 'https://x/': Failed to connect: Connection refused", "check the URL, the network"),
        ("ERROR: Repository not found.", "check the URL"),
        ("SSL: CERTIFICATE_VERIFY_FAILED, certificate verify failed", "give ca_certificates"),
    ],
)
def test_what_git_says_becomes_advice(monkeypatch, said, advice):
    monkeypatch.setattr(_git.Access, "git", lambda *_arguments, **_options: _git.Result([], 128, "", said))
    with pytest.raises(SourceError) as error:
        remote_refs(Access("https://user:t0ken@git.example.com/shop.git"))
    assert advice in str(error.value)
    assert said in str(error.value)
    assert "t0ken" not in str(error.value)


def test_a_server_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(_git.Access, "git", lambda *_arguments, **_options: _git.Result([], -9, "", "", timed_out=True))
    with pytest.raises(SourceError, match="no answer within 7 s"):
        remote_refs(Access("https://git.example.com/shop.git", timeout=7))


# Fetching and exporting.


def files_of(folder) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def exported(mirror, commit, tmp_path):
    target = tmp_path / f"src-{commit[:8]}"
    target.mkdir()
    export(mirror, commit, str(target))
    return target


def kept(mirror) -> list[str]:
    """The commits that a release may need, whatever happens to branches."""
    return os.listdir(os.path.join(mirror, "refs", "emperor"))


def test_a_commit_that_is_no_tip_is_fetched_and_exported(repository, mirror, tmp_path):
    wanted = repository.commit({"manage.py": "1", "shop/é.py": "é", "gone.py": ""})
    (repository.path / "manage.py").chmod(0o755)
    (repository.path / "link").symlink_to("shop")
    middle = repository.commit()
    repository.commit({"manage.py": "2", "gone.py": None})
    access = Access(repository.url)
    for commit in (wanted, middle):
        assert not has_commit(mirror, commit)
        fetch(access, commit, mirror)
        assert has_commit(mirror, commit)
    target = exported(mirror, middle, tmp_path)
    assert files_of(target) == {"manage.py": "1", "shop/é.py": "é", "gone.py": ""}
    assert os.readlink(target / "link") == "shop"
    assert stat.S_IMODE((target / "manage.py").stat().st_mode) == 0o755
    assert not (exported(mirror, wanted, tmp_path) / "link").exists()
    assert stat.S_IMODE(os.stat(mirror).st_mode) == 0o700


def test_a_server_that_gives_no_single_commits_is_asked_for_all(repository, mirror, tmp_path):
    wanted = repository.commit({"manage.py": "1"})
    repository.commit({"manage.py": "2"})
    (tmp_path / ".gitconfig").write_text("[protocol]\n\tversion = 0\n")  # the old protocol, which refuses them
    fetch(Access(repository.url, environment={"HOME": str(tmp_path)}), wanted, mirror)
    assert kept(mirror) == [wanted]
    assert files_of(exported(mirror, wanted, tmp_path)) == {"manage.py": "1"}


def test_a_fetched_commit_is_kept_whatever_becomes_of_its_branch(repository, mirror):
    commit = repository.commit({"manage.py": "1"})
    fetch(Access(repository.url), commit, mirror)
    assert kept(mirror) == [commit]


def test_a_fetch_that_was_killed_is_done_again(repository, mirror, tmp_path):
    """The commit is there, its files are not, and the reference's lock is left."""
    commit = repository.commit({"manage.py": "1"})
    fetch(Access(repository.url), commit, mirror)
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    tree = run(["git", "-C", mirror, "rev-parse", f"{commit}^{{tree}}"]).stdout.strip()
    run(["git", "-C", mirror, "update-ref", "-d", f"refs/emperor/{commit}"])
    packs = list(Path(mirror, "objects/pack").glob("*.pack"))
    for pack in packs:
        moved = pack.rename(tmp_path / pack.name)
        run(["git", "-C", mirror, "unpack-objects", "-q"], stdin=moved.open(), text=False)
    for index in Path(mirror, "objects/pack").glob("*"):
        index.unlink()
    Path(mirror, "objects", tree[:2], tree[2:]).unlink()
    for lock in (f"refs/emperor/{commit}.lock", "shallow.lock", "packed-refs.lock", "config.lock"):
        Path(mirror, lock).touch()
    assert has_commit(mirror, commit)
    fetch(Access(repository.url), commit, mirror)
    assert files_of(exported(mirror, commit, tmp_path)) == {"manage.py": "1"}


def test_a_mirror_that_is_barely_begun_is_used(repository, mirror, tmp_path):
    commit = repository.commit({"manage.py": "1"})
    os.makedirs(mirror)
    fetch(Access(repository.url), commit, mirror)
    assert files_of(exported(mirror, commit, tmp_path)) == {"manage.py": "1"}


def test_a_commit_that_no_branch_leads_to_is_named(repository, mirror):
    repository.commit()
    with pytest.raises(SourceError, match=f"commit {NOWHERE} does not exist in {re.escape(repository.url)}"):
        fetch(Access(repository.url), NOWHERE, mirror)


def test_submodules_are_refused(repository, mirror, tmp_path):
    commit = repository.commit({"manage.py": "", ".gitmodules": '[submodule "x"]\n'})
    fetch(Access(repository.url), commit, mirror)
    with pytest.raises(SourceError, match="submodules, which are not supported; add their files to the repository"):
        exported(mirror, commit, tmp_path)


def test_a_broken_mirror_is_named(repository, mirror, tmp_path):
    commit = repository.commit({"manage.py": ""})
    fetch(Access(repository.url), commit, mirror)
    with pytest.raises(SourceError, match=f"{NOWHERE} could not be exported from .*repo.git .*; remove that folder"):
        exported(mirror, NOWHERE, tmp_path)


# How a repository is reached.


def test_a_login_is_in_variables_only():
    access = Access("https://us%40er:pa%24s@git.example.com/shop.git")
    assert access.argument == access.shown == "https://git.example.com/shop.git"
    with access.settings() as variables:
        assert variables["EMPEROR_GIT_USER"] == "us@er"
        assert variables["EMPEROR_GIT_PASSWORD"] == "pa$s"
        holding = [name for name, value in variables.items() if "pa$s" in value or "pa%24s" in value]
    assert holding == ["EMPEROR_GIT_PASSWORD"]


def test_git_gets_the_login_from_the_variables():
    access = Access("https://us%40er:pa%24s@git.example.com/shop.git")
    with access.settings() as variables:
        outcome = _git.run(
            ["git", "credential", "fill"], environment=variables, stdin="protocol=https\nhost=git.example.com\n\n"
        )
    assert {"username=us@er", "password=pa$s"} <= set(outcome.stdout.splitlines())


@pytest.mark.parametrize("url", ["https://git.example.com/shop.git", "git@github.com:acme/shop.git", "/srv/shop.git"])
def test_no_login_means_no_helper(url):
    access = Access(url)
    assert access.argument == url
    with access.settings() as variables:
        assert "EMPEROR_GIT_PASSWORD" not in variables
        assert variables["GIT_TERMINAL_PROMPT"] == "0"
        assert variables["GIT_CONFIG_COUNT"] == "1"


def option(command: str, name: str) -> str:
    return re.search(rf"{name}[= ](\S+)", command).group(1)


def test_a_key_is_private_and_gone_afterwards():
    access = Access("git@github.com:acme/shop.git", deploy_key="KEY\n\n", known_hosts="github.com ssh-ed25519 AAAA")
    with access.settings() as variables:
        command = variables["GIT_SSH_COMMAND"]
        key, hosts = option(command, "-i"), option(command, "UserKnownHostsFile")
        with open(key, encoding="utf-8") as handle:
            assert handle.read() == "KEY\n"  # ssh refuses a key without the last newline
        with open(hosts, encoding="utf-8") as handle:
            assert handle.read() == "github.com ssh-ed25519 AAAA\n"
        assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(key)).st_mode) == 0o700
        assert "StrictHostKeyChecking=yes" in command
        assert "IdentitiesOnly=yes" in command
        assert "KEY" not in "".join(variables.values())
    assert not os.path.exists(os.path.dirname(key))


def test_a_key_is_gone_after_a_failure_too():
    with (
        pytest.raises(RuntimeError),
        Access("git@github.com:acme/shop.git", deploy_key="KEY").settings() as variables,
    ):
        key = option(variables["GIT_SSH_COMMAND"], "-i")
        raise RuntimeError
    assert not os.path.exists(key)


def test_without_known_hosts_the_first_key_is_kept():
    with Access(
        "git@github.com:acme/shop.git", known_hosts_file="/srv/django/shop/known_hosts"
    ).settings() as variables:
        assert "StrictHostKeyChecking=accept-new" in variables["GIT_SSH_COMMAND"]
        assert option(variables["GIT_SSH_COMMAND"], "UserKnownHostsFile") == "/srv/django/shop/known_hosts"
        assert "BatchMode=yes" in variables["GIT_SSH_COMMAND"]  # a question would wait for ever


def test_looking_does_not_accept_keys_for_good(tmp_path):
    """Check mode changes nothing, not even the list of known servers."""
    known = tmp_path / "known_hosts"
    known.write_text("git.example.com ssh-ed25519 AAAA\n")
    with Access("git@x.org:shop.git", known_hosts_file=str(known), read_only=True).settings() as variables:
        copy = option(variables["GIT_SSH_COMMAND"], "UserKnownHostsFile")
        assert copy != str(known)
        with open(copy, encoding="utf-8") as handle:
            assert handle.read() == known.read_text()
    assert not os.path.exists(copy)


# Before Git is installed.


def packets(*lines: bytes) -> bytes:
    """Lines as Git frames them; an empty one is a flush."""
    return b"".join(b"%04x%s" % (len(line) + 4, line) if line else b"0000" for line in lines)


A, B, C = "a" * 40, "b" * 40, "c" * 40
ADVERTISEMENT = packets(
    b"# service=git-upload-pack\n",
    b"",
    f"{A} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=git/2.39\n".encode(),
    f"{A} refs/heads/main\n".encode(),
    f"{B} refs/tags/v1\n".encode(),
    f"{C} refs/tags/v1^{{}}\n".encode(),
    b"",
)
REFS = {"HEAD": A, "refs/heads/main": A, "refs/tags/v1": B, "refs/tags/v1^{}": C}


def test_an_advertisement_is_read():
    assert parse_advertisement(ADVERTISEMENT) == REFS


def test_the_advertisement_of_an_empty_repository_has_no_refs():
    none = packets(b"# service=git-upload-pack\n", b"", b"0" * 40 + b" capabilities^{}\0agent=git/2.39\n", b"")
    assert set(parse_advertisement(none)) <= {"capabilities^{}"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<!DOCTYPE html><title>Sign in</title>", id="a page"),
        pytest.param(b"0000", id="a flush only"),
        pytest.param(b"0008abcd", id="something else in packets"),
        pytest.param(b"-001" * 20, id="negative lengths"),
    ],
)
def test_garbage_is_no_advertisement(data):
    with pytest.raises(ValueError, match="the server does not answer as a Git repository"):
        parse_advertisement(data)


@pytest.fixture
def no_git(monkeypatch):
    monkeypatch.setattr(_git.shutil, "which", lambda _name: None)


def test_without_git_a_server_is_asked_over_http(no_git, http_server, mirror):
    asked = []

    def answer(request):
        asked.append((request.path, request.headers["Authorization"]))
        return 200, {}, ADVERTISEMENT

    with http_server(answer) as url:
        access = Access(url.replace("://", "://us%40er:pa%24s@") + "/acme/shop.git")
        assert resolve(access, "v1", mirror) == C
        assert resolve(Access(f"{url}/acme/shop.git/"), "main", mirror) == A
    login = base64.b64encode(b"us@er:pa$s").decode()
    path = "/acme/shop.git/info/refs?service=git-upload-pack"
    assert asked == [(path, f"Basic {login}"), (path, None)]


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        pytest.param(401, b"", "the repository wants a login", id="login"),
        pytest.param(404, b"", "check the URL", id="not found"),
        pytest.param(200, b"<!DOCTYPE html>", "the server does not answer as a Git repository", id="a page"),
    ],
)
def test_without_git_a_refusal_is_explained(no_git, http_server, mirror, status, body, problem):
    with http_server(lambda _request: (status, {}, body)) as url:
        access = Access(url.replace("://", "://user:t0ken@") + "/shop.git")
        with pytest.raises(SourceError) as error:
            resolve(access, "main", mirror)
    assert problem in str(error.value)
    assert "/shop.git cannot be reached" in str(error.value)
    assert "t0ken" not in str(error.value)


def test_without_git_ssh_cannot_tell_yet(no_git, mirror):
    with pytest.raises(CannotTell, match=r"Git is not installed yet, so git@github.com:acme/shop.git cannot be asked"):
        resolve(Access("git@github.com:acme/shop.git"), "main", mirror)
