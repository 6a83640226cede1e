# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's action plugins only; it may change in any release.

"""The controller's part of building releases: sources that are here, and logins that no log may show."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._source import (
    SourceError,
    archive_names,
    file_digest,
    folder_files,
    folder_revision,
    kind,
    pack_folder,
    require_archive,
)
from ansible_collections.emperor.web.plugins.plugin_utils._deploy import Calls, DeployAction


class ReleaseAction(DeployAction):
    """Send a local folder or archive only to a host that does not have its content yet."""

    def release_each(self, calls: Calls, execute: Callable[[Calls], Calls]) -> Calls:
        """Run the module for each app, once more with the sources for those that have to be built.

        Raises SourceError, before the host is asked, where a source on the controller is wrong.
        """
        prepared, sources = prepare(calls)
        answers = self.run_each_locked(prepared, execute)
        wanting = [app for app, answer in answers.items() if answer.pop("wants_archive", False)]
        for number, app in enumerate(wanting):
            with tempfile.TemporaryDirectory(prefix="emperor-") as folder:
                if not number:
                    self._make_tmp_path()
                remote = self._connection._shell.join_path(self._connection._shell.tmpdir, f"source-{number}")
                prepared[app]["archive"] = self._transfer_file(sources[app].pack(folder), remote)
        answers |= self.run_each_locked({app: prepared[app] for app in wanting}, execute)
        return {app: answers[app] for app in calls}


def prepare(calls: Calls) -> tuple[Calls, dict[str, LocalSource]]:
    """The calls as the module on the host takes them, and the sources that are on the controller, by app.

    Raises SourceError with what is wrong with any of these.
    """
    prepared: Calls = {}
    sources: dict[str, LocalSource] = {}
    errors = []
    for app, arguments in calls.items():
        try:
            source = local_source(arguments.get("source"), arguments.get("version"))
        except SourceError as error:
            errors.append(f"app {arguments.get('name')}: {error}")
            continue
        if source:
            sources[app] = source
            prepared[app] = arguments | {"source": source.path, "revision": source.revision, "archive": None}
        else:
            prepared[app] = without_login(arguments)
    if errors:
        raise SourceError("; ".join(errors))
    return prepared, sources


@cache
def local_source(source: str | None, version: str | None) -> LocalSource | None:
    """A source that is on the controller; read once for a task."""
    if not source or kind(source) != "path":
        return None
    return LocalSource(os.path.abspath(os.path.expanduser(source)), version)


def without_login(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with user and password of the source in an option of their own."""
    source, login = split_login(arguments.get("source") or "")
    return arguments | {"source": source, "login": login} if login else arguments


class LocalSource:
    """An archive, a folder, or one revision of a Git work tree on the controller."""

    def __init__(self, path: str, version: str | None) -> None:
        self.path = path
        self.version = version
        self.names: list[str] = []
        if os.path.isdir(path) and version:
            self.revision = self._git("rev-parse", "--verify", "--quiet", f"{version}^{{commit}}").strip()
            names = self._git("ls-tree", "-r", "--name-only", self.revision).splitlines()
        elif os.path.isdir(path):
            names = self.names = folder_files(path)
            self.revision = folder_revision(path, names)
        elif os.path.isfile(path):
            require_archive(path, path)
            names = archive_names(path)
            self.revision = file_digest(path).hexdigest()
        else:
            raise SourceError(f"source {path} does not exist on the controller; give a Git URL, an archive or a folder")
        if os.path.isdir(path) and ".gitmodules" in names:
            raise SourceError(f"source {path} uses Git submodules, which are not supported; add their files to it")
        if not any(os.path.basename(name) == "manage.py" for name in names):
            raise SourceError(f"source {path} has no manage.py, so it is no Django project; give the project's folder")

    def _git(self, *arguments: str) -> str:
        try:
            return subprocess.run(
                ["git", "-C", self.path, *arguments], capture_output=True, check=True, text=True
            ).stdout
        except (OSError, subprocess.CalledProcessError):
            raise SourceError(
                f"version {self.version} does not exist in source {self.path}; give a branch, tag or commit of the "
                f"Git repository there, or leave version out to take the folder as it is"
            ) from None

    def pack(self, folder: str) -> str:
        """The path of an archive that holds the source; a new one is made in the given folder."""
        if os.path.isfile(self.path):
            return self.path
        archive = os.path.join(folder, "source.tar.gz")
        if self.version:
            self._git("archive", "--format=tar.gz", f"--output={archive}", self.revision)
        else:
            pack_folder(self.path, self.names, archive)
        return archive


def split_login(source: str) -> tuple[str, str]:
    """Cut user and password out of an HTTP URL, so that the module's arguments can be logged."""
    found = re.match(r"(https?://)([^/\s]*)@(.*)", source)
    return (found.group(1) + found.group(3), found.group(2)) if found else (source, "")
