# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""A set of configuration files that becomes valid as a whole, or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.emperor.web.plugins.module_utils._files import read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run

_RELOAD_SECONDS = 10.0


class ConfigError(Exception):
    """The daemon refuses the configuration; the one before is in place."""

    def __init__(self, message: str, outcome: Result | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True)
class Wanted:
    """One file as it should be; no content means no file."""

    path: str
    content: str | None
    mode: int = 0o644


@dataclass(frozen=True)
class Found:
    """One file, or link, as it is."""

    content: str | None
    mode: int = 0
    link: str | None = None
    owner: tuple[int, int] = (0, 0)


def look(path: str) -> Found:
    """What is at a path now."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Found(None)
    if stat.S_ISLNK(status.st_mode):
        return Found(read_text(path) or "", link=os.readlink(path))
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is neither a file nor a link; move it away, or use another path")
    return Found(read_text(path), status.st_mode & 0o7777, owner=(status.st_uid, status.st_gid))


class ConfigSet:
    """The wanted files of one daemon below one folder."""

    def __init__(self, root: str, files: list[Wanted], validate: str, reload: str, pid_file: str | None) -> None:
        self.root = os.path.normpath(root)
        self.validate = validate
        self.reload = reload
        self.pid_file = pid_file
        self.files = files
        for file in files:
            path = os.path.normpath(file.path)
            if os.path.isabs(path) or path.startswith(".."):
                raise ConfigError(f"path {file.path} has to be relative to {self.root}, and inside of it")
        paths = [os.path.normpath(file.path) for file in files]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise ConfigError(f"{', '.join(twice)} is given twice; each file can have one content only")

    def changes(self) -> list[tuple[Wanted, Found]]:
        """The files that are not as they should be."""
        return [(file, found) for file in self.files if differs(file, found := look(self._path(file)))]

    def _path(self, file: Wanted) -> str:
        return os.path.join(self.root, file.path)

    # Test.

    def test(self, root: str) -> None:
        """Ask the daemon whether the configuration below a folder is valid."""
        argv = shlex.split(self.validate.replace("%s", root))
        outcome = run(argv, timeout=60)
        if outcome.rc != 0:
            said = outcome.last_lines(20).replace(root, self.root)
            raise ConfigError(f"the configuration is not valid and was not put in place: {said}", outcome)

    def can_test(self) -> bool:
        """Whether the daemon is installed already."""
        return shutil.which(shlex.split(self.validate)[0]) is not None

    @contextmanager
    def staged(self) -> Iterator[str]:
        """A private copy of the whole folder with the wanted files in it, and with all its paths its own."""
        with tempfile.TemporaryDirectory(prefix="emperor-config-") as folder:
            stage = os.path.join(os.path.realpath(folder), os.path.basename(self.root))
            if os.path.isdir(self.root):
                shutil.copytree(self.root, stage, symlinks=True)
            os.makedirs(stage, exist_ok=True)
            self._redirect(stage)
            for file in self.files:
                path = os.path.join(stage, file.path)
                if not os.path.realpath(os.path.dirname(path)).startswith(stage):
                    raise ConfigError(f"path {file.path} leads out of {self.root} through a link; give the real place")
                content = file.content and file.content.replace(f"{self.root}/", f"{stage}/")
                put(path, Wanted(file.path, content, file.mode))
            yield stage

    def _redirect(self, stage: str) -> None:
        for parent, folders, names in os.walk(stage):
            for name in [*folders, *names]:
                path = os.path.join(parent, name)
                if os.path.isdir(path) and not os.path.islink(path):
                    continue
                if os.path.islink(path):
                    target = os.readlink(path)
                    if target.startswith(self.root + os.sep):
                        os.unlink(path)
                        os.symlink(stage + target[len(self.root) :], path)
                    continue
                text = read_text(path) or ""
                if f"{self.root}/" in text:
                    write_atomic(path, text.replace(f"{self.root}/", f"{stage}/"))

    # Swap.

    def apply(self, changes: list[tuple[Wanted, Found]]) -> None:
        """Put the files in place and have the daemon take them; on any failure the old ones are back."""
        try:
            for file, _found in changes:
                put(self._path(file), file)
            self.test(self.root)
            self._reload()
        except BaseException:
            for file, found in changes:
                restore(self._path(file), found)
            # The daemon may have taken the new files before it failed.
            run(shlex.split(self.reload), timeout=90)
            raise

    def _reload(self) -> None:
        before = self._workers()
        outcome = run(shlex.split(self.reload), timeout=90)
        if outcome.rc != 0:
            raise ConfigError(f"the reload failed, the files before are back: {outcome.last_lines()}", outcome)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while before and not self._workers() - before:
            if time.monotonic() > deadline:
                raise ConfigError(
                    "the daemon did not start new workers, so it refused the files when it read them; the files "
                    "before are back. Its error log says why: a port in use, or a certificate it may not read"
                )
            time.sleep(0.05)

    def _workers(self) -> set[str]:
        """Process ids of the daemon's workers; a reload that was accepted makes new ones."""
        pid = (read_text(self.pid_file) or "").strip() if self.pid_file else ""
        return set((read_text(f"/proc/{pid}/task/{pid}/children") or "").split()) if pid else set()


def differs(wanted: Wanted, found: Found) -> bool:
    """Whether a file is not as it should be."""
    if wanted.content is None:
        return found.content is not None
    return found != Found(wanted.content, wanted.mode, owner=(os.geteuid(), os.getegid()))


def put(path: str, file: Wanted) -> None:
    """Make one path as it should be."""
    if file.content is None:
        if os.path.lexists(path):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    write_atomic(path, file.content, mode=file.mode)


def restore(path: str, found: Found) -> None:
    """Make one path as it was."""
    if found.link is not None:
        temporary = f"{path}.{os.getpid()}.tmp"
        os.symlink(found.link, temporary)
        os.rename(temporary, path)
    elif found.content is not None:
        write_atomic(path, found.content, mode=found.mode, uid=found.owner[0], gid=found.owner[1])
    elif os.path.lexists(path):
        os.unlink(path)
