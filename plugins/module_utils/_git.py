# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Git on the host: what a version means in a repository, and its files, without a work tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ansible_collections.emperor.web.plugins.module_utils._environment import without_credentials
from ansible_collections.emperor.web.plugins.module_utils._files import read_text
from ansible_collections.emperor.web.plugins.module_utils._http import NoAuthorities, open_url
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError, unpack_tar

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HELPER = '!f() { echo "username=$EMPEROR_GIT_USER"; echo "password=$EMPEROR_GIT_PASSWORD"; }; f'
_ADVICE = (
    (r"Permission denied \(publickey|Host key verification failed", "check deploy_key and known_hosts"),
    (r"could not read Username|Authentication failed|HTTP (Error )?40[13]|error: 40[13]",
     "the repository wants a login: give a deploy_key, or user and token in the URL"),
    (r"Could not resolve host|Name or service not known|Connection (refused|timed out)|unable to access",
     "the host cannot reach that server: check the URL, the network and proxy"),
    (r"not found|does not (exist|appear to be a git repository)", "check the URL"),
    (r"certificate", "the server's certificate is not trusted: give ca_certificates"),
)  # fmt: skip


class CannotTell(Exception):
    """The question cannot be answered on this host yet, because Git is not installed."""


@dataclass(frozen=True)
class Access:
    """How a repository is reached: what goes into the environment of Git, never into its arguments."""

    url: str
    deploy_key: str | None = None
    known_hosts: str | None = None
    known_hosts_file: str = "/dev/null"
    read_only: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    timeout: int = 600

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        return without_credentials(self.url)

    @contextmanager
    def settings(self) -> Iterator[dict[str, str]]:
        """Environment variables for Git; a key is in a private file only as long as it is needed."""
        parts = urlsplit(self.url) if "://" in self.url else None
        config = {"safe.directory": "*"}
        variables = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", "HOME": "/root"} | self.environment
        if parts and parts.scheme in ("http", "https") and parts.username:
            config["credential.helper"] = _HELPER
            variables["EMPEROR_GIT_USER"] = unquote(parts.username)
            variables["EMPEROR_GIT_PASSWORD"] = unquote(parts.password or "")
        with tempfile.TemporaryDirectory(prefix="emperor-git-") as folder:
            ssh = ["ssh", "-o", "BatchMode=yes"]
            if self.known_hosts:
                listed = _private_file(folder, "known_hosts", self.known_hosts)
                ssh += ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={listed}"]
            else:
                accepted = self.known_hosts_file
                if self.read_only:
                    accepted = _private_file(folder, "known_hosts", read_text(accepted) or "")
                ssh += ["-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={accepted}"]
            if self.deploy_key:
                key = _private_file(folder, "key", self.deploy_key)
                ssh += ["-i", key, "-o", "IdentitiesOnly=yes"]
            variables["GIT_SSH_COMMAND"] = " ".join(ssh)
            for number, (name, value) in enumerate(config.items()):
                variables[f"GIT_CONFIG_KEY_{number}"] = name
                variables[f"GIT_CONFIG_VALUE_{number}"] = value
            variables["GIT_CONFIG_COUNT"] = str(len(config))
            yield variables

    def git(self, *arguments: str, cwd: str | None = None) -> Result:
        """Run Git with this access."""
        with self.settings() as variables:
            return run(["git", *arguments], environment=variables, cwd=cwd, timeout=self.timeout)

    @property
    def argument(self) -> str:
        """The URL as Git's argument: an HTTP login is handed over by the environment instead."""
        return self.shown if re.match(r"https?://", self.url) else self.url


def _private_file(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text.rstrip("\n") + "\n")
    return path


def resolve(access: Access, version: str | None, mirror: str) -> str:
    """The commit that a branch, tag or commit id means in the repository now."""
    wanted = version or "HEAD"
    if _COMMIT.fullmatch(wanted) and has_commit(mirror, wanted):
        return wanted
    refs = remote_refs(access)
    names = ["HEAD"] if wanted == "HEAD" else []
    names += [f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}", f"refs/heads/{wanted}", wanted]
    for name in names:
        if name in refs:
            return refs[name]
    if _COMMIT.fullmatch(wanted):
        return wanted
    if wanted == "HEAD":
        raise SourceError(f"source {access.shown} has no default branch; give version, a branch, tag or commit")
    close = sorted({re.sub(r"^refs/(heads|tags)/|\^\{\}$", "", name) for name in refs if name != "HEAD"})
    some = ", ".join(close[:10]) + (" …" if len(close) > 10 else "")
    raise SourceError(
        f"version {wanted} does not exist in {access.shown}; it is no branch or tag of it, and a commit has to be "
        f"written with all its 40 digits. Branches and tags: {some or 'none'}"
    )


def remote_refs(access: Access) -> dict[str, str]:
    """All refs of the remote repository with their commits."""
    if shutil.which("git"):
        result = access.git("ls-remote", "--", access.argument)
        if result.rc != 0:
            raise _unreachable(access, result.last_lines(), timed_out=result.timed_out)
        pairs = (line.split("\t", 1) for line in result.stdout.splitlines() if "\t" in line)
        return {name: commit for commit, name in pairs}
    if access.url.startswith(("http://", "https://")):
        return _http_refs(access)
    raise CannotTell(f"Git is not installed yet, so {access.shown} cannot be asked")


def _http_refs(access: Access) -> dict[str, str]:
    """What C(git ls-remote) would say, asked over Git's smart HTTP protocol where there is no Git yet."""
    url = f"{access.url.rstrip('/')}/info/refs?service=git-upload-pack"
    try:
        with open_url(url, access.environment) as answer:
            return parse_advertisement(answer.read())
    except NoAuthorities as error:
        raise CannotTell(f"{error}, so {access.shown} cannot be asked") from None
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
        raise _unreachable(access, str(error)) from None


def parse_advertisement(data: bytes) -> dict[str, str]:
    """The refs in a smart HTTP ref advertisement (gitprotocol-http)."""
    refs, position = {}, 0
    while position + 4 <= len(data):
        try:
            length = int(data[position : position + 4], 16)
        except ValueError:
            break
        line = data[position + 4 : position + max(length, 4)]
        position += max(length, 4)
        commit, separator, name = line.split(b"\0")[0].strip().partition(b" ")
        if separator and _COMMIT.fullmatch(commit.decode("ascii", "replace")):
            refs[name.decode()] = commit.decode()
    if not refs and not data.startswith(b"001e# service"):
        raise ValueError("the server does not answer as a Git repository")
    return refs


def _unreachable(access: Access, text: str, *, timed_out: bool = False) -> SourceError:
    if timed_out:
        text = f"no answer within {access.timeout} s"
    advice = next((words for pattern, words in _ADVICE if re.search(pattern, text, re.IGNORECASE)), "check the URL")
    return SourceError(f"source {access.shown} cannot be reached; {advice}. Git says: {text}")


def has_commit(mirror: str, commit: str) -> bool:
    """Whether the bare repository holds a commit, or what a reference names."""
    if not os.path.isdir(mirror) or not shutil.which("git"):
        return False
    return run(["git", "-C", mirror, "cat-file", "-e", f"{commit}^{{commit}}"]).rc == 0


def fetch(access: Access, commit: str, mirror: str) -> None:
    """Get one commit into the bare repository, alone where the server allows it."""
    keep = f"refs/emperor/{commit}"
    # A fetch that was killed may leave a commit without its files; the reference is written when all are there.
    if has_commit(mirror, keep):
        return
    os.makedirs(mirror, mode=0o700, exist_ok=True)
    for parent, _folders, names in os.walk(mirror):
        for name in names:
            if name.endswith(".lock"):  # nobody else works here: the app's deploy lock is held
                os.unlink(os.path.join(parent, name))
    run(["git", "init", "--quiet", "--bare", mirror])
    result = access.git(
        "fetch", "--quiet", "--depth=1", "--no-tags", "--", access.argument, f"+{commit}:{keep}", cwd=mirror
    )
    if result.rc != 0:
        everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        result = access.git("fetch", "--quiet", "--", access.argument, *everything, cwd=mirror)
    if result.rc != 0:
        raise _unreachable(access, result.last_lines(), timed_out=result.timed_out)
    if not has_commit(mirror, commit):
        raise SourceError(f"commit {commit} does not exist in {access.shown}, or no branch or tag leads to it")
    run(["git", "-C", mirror, "update-ref", keep, commit])


def export(mirror: str, commit: str, target: str) -> None:
    """Write the files of a commit into an empty folder."""
    modules = run(["git", "-C", mirror, "cat-file", "-e", f"{commit}:.gitmodules"])
    if modules.rc == 0:
        raise SourceError(
            "the repository uses Git submodules, which are not supported; add their files to the repository"
        )
    command = ["git", "-C", mirror, "archive", "--format=tar", commit]
    # run_command would have all of it in memory.
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # pylint: disable=ansible-bad-function
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                unpack_tar(tar, target)
        except tarfile.TarError as error:
            process.kill()
            raise SourceError(
                f"commit {commit} could not be exported from {mirror} ({error}); remove that folder and run again"
            ) from None
