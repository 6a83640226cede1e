# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of django_release: sources that are here, and logins that no log may show."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
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
from ansible_collections.emperor.web.plugins.plugin_utils._deploy import DeployAction


class ActionModule(DeployAction):
    """Send a local folder or archive only to a host that does not have its content yet."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, once more with the sources when it has to build them."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        source = arguments.get("source")
        if not source:
            return result | self.run_locked(arguments, task_vars)
        if kind(source) != "path":
            source, login = split_login(source)
            arguments |= {"source": source} | ({"login": login} if login else {})
            return result | self.run_locked(arguments, task_vars)
        try:
            return result | self._run_local(source, arguments, task_vars)
        except SourceError as error:
            return result | {"failed": True, "msg": f"app {arguments.get('name')}: {error}"}

    def _run_local(self, source: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        local = LocalSource(os.path.abspath(os.path.expanduser(source)), arguments.get("version"))
        arguments |= {"source": local.path, "revision": local.revision, "archive": None}
        answer = self.run_locked(arguments, task_vars)
        if not answer.pop("wants_archive", False):
            return answer
        with tempfile.TemporaryDirectory(prefix="emperor-") as folder:
            self._make_tmp_path()
            remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "source")
            arguments["archive"] = self._transfer_file(local.pack(folder), remote)
        return self.run_locked(arguments, task_vars)


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
