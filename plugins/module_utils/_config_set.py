# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""A set of configuration files that becomes valid as a whole, or not at all."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.emperor.web.plugins.module_utils._config_error import ConfigError
from ansible_collections.emperor.web.plugins.module_utils._config_service import Service, StartError
from ansible_collections.emperor.web.plugins.module_utils._config_swap import (
    Change,
    State,
    Swap,
    clear,
    files_below,
    look,
    unfinished,
    write,
)
from ansible_collections.emperor.web.plugins.module_utils._files import read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run

_RELOAD_SECONDS = 10.0
_LOCK_SECONDS = 300.0


@dataclass(frozen=True)
class Wanted:
    """One file as it should be; no content means no file."""

    path: str
    content: str | None
    mode: int = 0o644

    def state(self) -> State:
        return State() if self.content is None else State(self.content, self.mode, (os.geteuid(), os.getegid()))


@dataclass(frozen=True)
class Daemon:
    """The commands and the file that make a configuration count."""

    validate: str
    reload: str
    pid_file: str = ""
    refuse: tuple[str, ...] = ()
    service: Service | None = None

    def installed(self) -> bool:
        return shutil.which(shlex.split(self.validate)[0]) is not None

    def workers(self) -> set[str]:
        """Process ids of the workers; a reload that was accepted makes new ones."""
        pid = (read_text(self.pid_file) or "").strip() if self.pid_file else ""
        return set((read_text(f"/proc/{pid}/task/{pid}/children") or "").split()) if pid else set()


class ConfigSet:
    """The wanted files of one daemon below one folder."""

    def __init__(self, root: str, files: list[Wanted], daemon: Daemon, owns: tuple[str, ...] = ()) -> None:
        self.given_root = os.path.normpath(root)
        self.root = os.path.realpath(root)
        self.daemon = daemon
        self.atomic = False
        # What a run that was killed left half done, and is put back before anything else.
        self._put_back: dict[str, State] = {}
        self._wanted = {self._real(file.path): file for file in files}
        paths = [self._real(file.path) for file in files]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise ConfigError(f"{', '.join(twice)} is given twice; each file can have one content only")
        self._owned = [self._owned_folder(folder) for folder in owns]

    def _real(self, given: str) -> str:
        """A path below the folder, without links on the way to it."""
        path = os.path.normpath(given)
        if os.path.isabs(path) or path.split("/")[0] in ("..", "."):
            raise ConfigError(f"path {given} has to be relative to {self.given_root}, and inside of it")
        folder, name = os.path.split(os.path.join(self.root, path))
        folder = os.path.realpath(folder)
        if folder != self.root and not folder.startswith(f"{self.root}/"):
            raise ConfigError(f"path {given} leads out of {self.given_root} through a link; give the real place")
        return os.path.relpath(os.path.join(folder, name), self.root)

    def _owned_folder(self, given: str) -> str:
        path = os.path.join(self.root, self._real(given))
        if os.path.islink(path) or (os.path.exists(path) and not os.path.isdir(path)):
            raise ConfigError(f"{given} in owns is no folder; give the real place of the files")
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time. The folder itself is replaced, so the one that it is in bears the lock."""
        folder = os.path.dirname(self.root)
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        deadline = time.monotonic() + _LOCK_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ConfigError(
                            f"another run has been changing files below {folder} for {_LOCK_SECONDS:.0f} seconds, and "
                            f"holds the lock on it (lslocks shows its pid); nothing was changed. Run this again later"
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    # Compare.

    def changes(self) -> list[Change]:
        """The files that are not as they should be, and those that should not be there."""
        wanted = {path: file.state() for path, file in self._wanted.items()}
        for folder in self._owned:
            for name in files_below(folder):
                wanted.setdefault(os.path.relpath(os.path.join(folder, name), self.root), State())
        found = [Change(path, self._now(path), after) for path, after in wanted.items()]
        return [change for change in found if change.before != change.after]

    def _now(self, path: str) -> State:
        state = self._put_back[path] if path in self._put_back else look(os.path.join(self.root, path))
        if state is None:
            raise ConfigError(
                f"{os.path.join(self.given_root, path)} is neither a file nor a link; move it away, or use another path"
            )
        return state

    # Test.

    def test(self, root: str, verdict: str = "the configuration is not valid") -> list[str]:
        """Have the daemon test the configuration below a folder; returns the warnings that are not to be."""
        outcome = run([word.replace("%s", root) for word in shlex.split(self.daemon.validate)], timeout=60)
        if outcome.rc != 0:
            raise ConfigError(f"{verdict}: {outcome.last_lines(20).replace(root, self.given_root)}", outcome)
        lines = (outcome.stderr + outcome.stdout).replace(root, self.given_root).splitlines()
        found = [re.search(f"(?:{pattern}).*", line) for line in lines for pattern in self.daemon.refuse]
        return sorted({match.group() for match in found if match})

    def test_staged(self, changes: list[Change]) -> list[str]:
        """Test the files as they would be; the warnings that are returned are not new."""
        with self.staged(changes) as stage:
            warnings = self.test(stage, "the configuration is not valid and was not put in place")
            if not warnings:
                return []
            try:
                known = self.test(self.given_root)
            except ConfigError:
                known = []
            if new := [line for line in warnings if line not in known]:
                raise ConfigError(
                    f"the configuration was not put in place, because the daemon would not do what it says: "
                    f"{'; '.join(new)}{mentioned(stage, new)}"
                )
        return warnings

    @contextmanager
    def staged(self, changes: list[Change]) -> Iterator[str]:
        """A private copy of the whole folder with the changes in it, and with all its paths its own."""
        prefix = f"emperor-config-{hashlib.sha256(self.root.encode()).hexdigest()[:8]}-"
        for stale in glob.glob(os.path.join(tempfile.gettempdir(), f"{prefix}*")):  # of a run that was killed
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix) as folder:
            stage = os.path.join(os.path.realpath(folder), os.path.basename(self.root))
            if os.path.isdir(self.root):
                shutil.copytree(self.root, stage, symlinks=True)
            os.makedirs(stage, exist_ok=True)
            for path, state in self._put_back.items():
                write(os.path.join(stage, path), state)
            for change in changes:
                write(os.path.join(stage, change.path), change.after)
            redirect(stage, {self.root, self.given_root})
            yield stage

    # Swap.

    def apply(self, changes: list[Change]) -> None:
        """Put the changes in place and have the daemon take them; on any failure the old files are back."""
        swap = Swap(self.root, changes)
        try:
            swap.begin()
            swap.make()
            self.test(self.given_root, "the configuration is not valid where it belongs; the files before are back")
            self._load()
        except BaseException as error:
            self._take_back(swap, error)
            raise
        swap.finish()
        self.atomic = swap.atomic

    def _take_back(self, swap: Swap, error: BaseException) -> None:
        try:
            undone = swap.undo()
        except OSError as stuck:
            raise ConfigError(
                f"{error}. The files before could not be put back: {stuck}. Mend that and run this again, which puts "
                "them back first"
            ) from error
        swap.finish()
        service = self.daemon.service
        if undone and service and isinstance(error, StartError):
            with_those = "it runs with them" if service.start_again() else "it does not start with them either"
            raise ConfigError(
                f"{service.name} did not start with these files; those before are back, and {with_those}. "
                f"{error.reasons}",
                error.outcome,
            ) from error
        # The daemon may have taken the new files before it failed.
        if undone and (outcome := self._reload()).rc != 0:
            raise ConfigError(
                f"{error}. Loading the files before failed, too: {outcome.last_lines()}", outcome
            ) from error

    def heal(self, *, dry_run: bool = False) -> list[Change]:
        """Bring what a killed run left to an end; returns what is in place and was loaded only now.

        A complete set may be what serves since, so it is kept if the daemon takes it. The rest is put back.
        """
        left = unfinished(self.root)
        if not left:
            if not dry_run:
                clear(self.root)
            return []
        done = [change for change in left if look(os.path.join(self.root, change.path)) == change.after]
        if done == left:
            try:
                self.test(self.given_root)
                if not dry_run:
                    self._load()
                    Swap(self.root, left).finish()
                return left
            except ConfigError:
                pass
        if dry_run:
            self._put_back = {change.path: change.before for change in done}
            return []
        Swap(self.root, [change.reversed() for change in done]).make()
        self._reload()
        Swap(self.root, left).finish()
        return []

    def _reload(self) -> Result:
        return run(shlex.split(self.daemon.reload), timeout=90)

    def _load(self) -> None:
        if self.daemon.service and not self.daemon.service.running:
            self.daemon.service.start()
            return
        before = self.daemon.workers()
        outcome = self._reload()
        if outcome.rc != 0:
            raise ConfigError(f"the reload failed, the files before are back: {outcome.last_lines()}", outcome)
        deadline = time.monotonic() + _RELOAD_SECONDS
        new: set[str] = set()
        while before:
            seen, new = new, self.daemon.workers() - before
            if seen & new:  # one that ends at once is none
                return
            if time.monotonic() > deadline:
                raise ConfigError(
                    "the daemon did not start new workers, so it refused the files when it read them; the files "
                    "before are back. Its error log says why: a port in use, or a certificate it may not read"
                )
            time.sleep(0.05)


def redirect(stage: str, roots: set[str]) -> None:
    """Have all links and texts of a copy name the copy where they name the folder that it was made of."""
    original = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, sorted(roots)))})(?=/)")
    for name in files_below(stage):
        path = os.path.join(stage, name)
        if os.path.islink(path):
            target = os.readlink(path)
            if original.match(target):
                os.unlink(path)
                os.symlink(original.sub(stage, target), path)
            continue
        text = read_text(path) or ""
        if original.search(text):
            write_atomic(path, original.sub(stage, text), mode=os.stat(path).st_mode & 0o7777)


def mentioned(folder: str, warnings: list[str]) -> str:
    """Where the names that warnings have in quotes are found, in words."""
    said = ""
    for name in sorted({name for line in warnings for name in re.findall(r'"([^"]+)"', line)}):
        word = re.compile(rf"^[^#\n]*(?<![\w.-]){re.escape(name)}(?![\w.-])", re.MULTILINE)
        found = sorted(path for path in files_below(folder) if word.search(read_text(os.path.join(folder, path)) or ""))
        said += f". {name} is in {', '.join(found)}" if found else ""
    return said
